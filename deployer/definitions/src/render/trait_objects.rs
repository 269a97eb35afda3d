//! What traits write: into the component's objects, and objects of their own.

use std::collections::BTreeMap;

use serde_json::Value;
use slipway_types::Violation;

use super::{OwnedPath, RenderedComponent, RenderedObject, base};
use crate::call;
use crate::code;
use crate::definition::Definition;
use crate::field_path::{FieldPath, Step};
use crate::object::claims::{BASE, Claims, Meeting};
use crate::object::leaves::{self, Leaf, PATCH};
use crate::object::{ObjectKey, merge};
use crate::request::{ComponentRequest, RenderRequest, TraitRequest};

/// An object as one trait returned it.
pub(super) struct Partial {
    /// Which of the component's traits.
    pub(super) index: usize,
    /// Its fields.
    pub(super) object: Value,
}

/// Everything that the traits of one component returned.
pub(super) struct Written {
    /// How many objects the component type rendered.
    base: usize,
    partials: Vec<Partial>,
}

impl Written {
    pub(super) fn new(base: usize) -> Self {
        Self { base, partials: Vec::new() }
    }

    pub(super) fn push(&mut self, partial: Partial) {
        self.partials.push(partial);
    }

    /// Writes everything into `rendered`, telling who meets whom.
    pub(super) fn settle(
        &self,
        request: &RenderRequest,
        component: &ComponentRequest,
        rendered: &mut RenderedComponent,
    ) {
        let places = self.places(request, component, rendered);
        for place in 0..rendered.objects.len() {
            let into: Vec<&Partial> = self
                .partials
                .iter()
                .zip(&places)
                .filter(|(_, at)| **at == Some(place))
                .map(|(partial, _)| partial)
                .collect();
            let owned: Vec<&OwnedPath> =
                rendered.owns.iter().filter(|owned| owns(owned, &rendered.objects[place])).collect();
            if into.is_empty() && owned.is_empty() {
                continue;
            }
            let writing = Writing { request, component, owned, is_base: place < self.base };
            let violations = writing.write(&mut rendered.objects[place], &into);
            rendered.violations.extend(violations);
        }
        base::take_secrets(rendered, self.base);
    }

    /// Where each partial object goes; new objects are added. `None`: it is no object.
    fn places(
        &self,
        request: &RenderRequest,
        component: &ComponentRequest,
        rendered: &mut RenderedComponent,
    ) -> Vec<Option<usize>> {
        let mut places = Vec::with_capacity(self.partials.len());
        for partial in &self.partials {
            let attached = &component.traits[partial.index];
            let definition = &*attached.definition;
            let phase = definition.manifest().as_trait().map(|body| body.phase).unwrap_or_default();
            let as_new = base::rendered_object(definition, partial.object.clone(), phase);
            let key = ObjectKey::of(&partial.object);
            let known = key.as_ref().and_then(|key| {
                rendered.objects.iter().position(|object| {
                    ObjectKey::of(&object.object).is_some_and(|known| known.is_same_object(key))
                })
            });
            let mut faults =
                base::object_faults(request, definition, &as_new, &attached.path, code::BAD_RESULT);
            if known.is_some() {
                // Whether it may be there is the concern of whoever rendered it.
                faults.retain(|fault| fault.code != code::CLUSTER_SCOPED_OBJECT);
            }
            let sound = faults.is_empty();
            rendered.violations.extend(faults);
            places.push(match known {
                _ if !sound || key.is_none() => None,
                Some(place) => Some(place),
                None => {
                    let empty = RenderedObject { object: identity(&partial.object), ..as_new };
                    rendered.objects.push(empty);
                    Some(rendered.objects.len() - 1)
                }
            });
        }
        places
    }
}

/// An object of which nothing is written but which it is.
fn identity(object: &Value) -> Value {
    let key = |field: &str| object.get(field).cloned().unwrap_or_default();
    let name = object.pointer("/metadata/name").cloned().unwrap_or_default();
    serde_json::json!({"apiVersion": key("apiVersion"), "kind": key("kind"), "metadata": {"name": name}})
}

fn owns(owned: &OwnedPath, object: &RenderedObject) -> bool {
    ObjectKey::of(&object.object).is_some_and(|key| key.is_same_object(&owned.object))
}

/// Marks of removal or exchange where the trait may not overwrite, or which say something else.
pub(super) fn misplaced_marks(definition: &Definition, at: &str, object: &Value) -> Vec<Violation> {
    let Ok(leaves) = leaves::leaves(object) else { return Vec::new() };
    let mut violations = Vec::new();
    for (path, leaf) in leaves {
        let as_field = path.steps().iter().any(|step| matches!(step, Step::Field(field) if field == PATCH));
        if as_field {
            let why = format!("`{path}`: `{PATCH}` may stand only in items of lists that merge by a key");
            violations.extend(call::bad_result(definition, at, &why));
        } else if leaf == Leaf::Patch && !may_overwrite(definition, &path) {
            let why = format!(
                "`{path}` is marked with `{PATCH}`, and spec.overwrites of its definition.yaml does not cover it"
            );
            violations.extend(call::bad_result(definition, at, &why));
        }
    }
    if let Some(wrong) = wrong_mark(object) {
        let why = format!("`{PATCH}` must be `delete` or `replace`, is {wrong}");
        violations.extend(call::bad_result(definition, at, &why));
    }
    violations
}

fn wrong_mark(value: &Value) -> Option<&Value> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(PATCH).filter(|mark| *mark != "delete" && *mark != "replace");
            own.or_else(|| fields.values().find_map(wrong_mark))
        }
        Value::Array(items) => items.iter().find_map(wrong_mark),
        _ => None,
    }
}

fn may_overwrite(definition: &Definition, path: &FieldPath) -> bool {
    let body = definition.manifest().as_trait();
    body.is_some_and(|body| body.overwrites.iter().any(|pattern| pattern.covers(path)))
}

/// The writing of one object.
struct Writing<'a> {
    request: &'a RenderRequest,
    component: &'a ComponentRequest,
    owned: Vec<&'a OwnedPath>,
    /// Whether the component type rendered the object.
    is_base: bool,
}

impl Writing<'_> {
    fn write(&self, object: &mut RenderedObject, partials: &[&Partial]) -> Vec<Violation> {
        let base = object.object.clone();
        let key = ObjectKey::of(&base);
        let what = key.as_ref().map_or_else(String::new, ToString::to_string);
        let mut claims = Claims::default();
        let mut violations = Vec::new();
        let base_leaves = leaves::leaves(&base).unwrap_or_default();
        violations.extend(self.runtime_owned(&base_leaves, None, &what));
        claims.take(BASE, base_leaves, |_| false);
        for partial in partials {
            let attached = &self.component.traits[partial.index];
            let leaves = leaves::leaves(&partial.object).unwrap_or_default();
            violations.extend(self.runtime_owned(&leaves, Some(attached), &what));
            let mut meetings =
                claims.take(partial.index + 1, leaves, |path| may_overwrite(&attached.definition, path));
            meetings.extend(other_version(&base, partial));
            violations.extend(meetings.into_iter().map(|meeting| self.conflict(&meeting, &what)));
            merge::merge(&mut object.object, &partial.object);
        }
        object.writers = self.writers(&claims);
        let limit = self.request.options.max_conflicts;
        violations.truncate(limit);
        violations
    }

    /// The fields that traits wrote, by trait.
    fn writers(&self, claims: &Claims<'_>) -> BTreeMap<String, Vec<String>> {
        let mut writers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (writer, paths) in claims.by_writer() {
            if writer != BASE {
                let name = self.component.traits[writer - 1].definition.name().to_owned();
                writers.entry(name).or_default().extend(paths.iter().map(ToString::to_string));
            }
        }
        writers
    }

    fn name(&self, writer: usize) -> String {
        match writer {
            BASE => self.component.type_definition.to_string(),
            writer => self.component.traits[writer - 1].definition.to_string(),
        }
    }

    fn conflict(&self, meeting: &Meeting, what: &str) -> Violation {
        let (first, second) = (self.name(meeting.first), self.name(meeting.second));
        let message = format!("{first} and {second} both write `{}` of {what}", meeting.path);
        let hint = if meeting.first == BASE {
            "remove the property that sets it, or the trait"
        } else {
            "remove one of the two traits, or what one of them sets there"
        };
        let path = &self.component.traits[meeting.second - 1].path;
        Violation::new(code::FIELD_CONFLICT, path, message).hint(hint)
    }

    /// Fields written that a controller writes at run time. `writer`: a trait, else the type.
    fn runtime_owned(
        &self,
        leaves: &BTreeMap<FieldPath, Leaf<'_>>,
        writer: Option<&TraitRequest>,
        what: &str,
    ) -> Vec<Violation> {
        if writer.is_none() && !self.is_base {
            return Vec::new();
        }
        let mut violations = Vec::new();
        for (path, leaf) in leaves {
            let owner = self.owned.iter().find(|owned| *leaf != Leaf::Empty && owned.path.touches(path));
            if let Some(owner) = owner {
                let who = writer.map_or_else(
                    || self.component.type_definition.to_string(),
                    |writer| writer.definition.to_string(),
                );
                let at = writer.map_or(&self.component.path, |writer| &writer.path);
                let message = format!(
                    "{who} writes `{path}` of {what}, which the trait `{}` leaves to its controller",
                    owner.by
                );
                violations.push(
                    Violation::new(code::RUNTIME_OWNED_FIELD, at, message)
                        .hint(format!("remove what sets it, or the trait `{}`", owner.by)),
                );
            }
        }
        violations
    }
}

/// A trait that speaks another version of the object's kind: both cannot be applied at once.
fn other_version(base: &Value, partial: &Partial) -> Option<Meeting> {
    (base.get("apiVersion") != partial.object.get("apiVersion")).then(|| Meeting {
        first: BASE,
        second: partial.index + 1,
        path: FieldPath::of_fields(["apiVersion"]),
    })
}
