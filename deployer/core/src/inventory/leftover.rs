//! What server-side apply leaves behind of what a manifest no longer has.
//!
//! Apply takes out the fields that its writer owned and sends no more, and none that the API server had filled in
//! beside them: of a probe that is left out the defaults stay, and with them a probe without a handler, which
//! the API server refuses. Nobody owns defaults, so nobody can apply them away: they are taken out first.

use serde_json::Value;

use super::FIELD_MANAGER;
use super::fields::{Fields, Step};
use super::live::Live;

/// Where kinds have the specification of their pods.
const POD_SPECS: [&[&str]; 2] =
    [&["spec", "template", "spec"], &["spec", "jobTemplate", "spec", "template", "spec"]];
const SERVICE_ACCOUNT: &str = "serviceAccountName";
/// The account of pods that name none.
const NO_SERVICE_ACCOUNT: &str = "default";

/// One step to a place in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Field(String),
    Index(usize),
}

/// `live` without what an apply of `sent` would leave behind; `None` if that does not explain all fields that the
/// API server calls `invalid`: then taking it out would not help.
pub fn without_leftovers(live: &Live<'_>, sent: &Value, invalid: &[&str]) -> Option<Value> {
    let own = own(live)?;
    let others: Vec<Fields<'_>> = live
        .managers()
        .filter(|manager| !(manager.applies && manager.name == FIELD_MANAGER))
        .filter_map(|manager| manager.fields)
        .collect();
    let mut left = Vec::new();
    let top = own.steps().filter(|(step, _)| *step != Step::Field("metadata"));
    for (step, below) in top {
        let Step::Field(name) = step else { continue };
        let others = narrowed(&others, name);
        collect(
            &mut left,
            &[At::Field(name.to_owned())],
            (live.object().get(name), sent.get(name)),
            below,
            &others,
        );
    }
    let named: Vec<String> = left.iter().map(|path| in_words(path)).collect();
    for field in invalid {
        let field = without_indices(field);
        let is_below = |outer: &String| field == *outer || field.starts_with(&format!("{outer}."));
        if !named.iter().any(is_below) {
            left.push(defaulted(live.object(), sent, &field, &others)?);
        }
    }
    let mut trimmed = live.object().clone();
    for path in &left {
        remove(&mut trimmed, path);
    }
    (!invalid.is_empty() && trimmed != *live.object()).then_some(trimmed)
}

/// Names the usual service account where a manifest names none any more: merely left out, the API server would
/// take the former one from its older field `serviceAccount`.
pub(super) fn name_service_account(sent: &mut Value, live: &Live<'_>) {
    let Some(own) = own(live) else { return };
    for path in POD_SPECS {
        let owned = path.iter().try_fold(own, |fields, step| fields.field(step));
        let pods = path.iter().try_fold(&mut *sent, |value, step| value.get_mut(*step));
        let (Some(owned), Some(Value::Object(pods))) = (owned, pods) else { continue };
        if owned.field(SERVICE_ACCOUNT).is_some() {
            pods.entry(SERVICE_ACCOUNT).or_insert_with(|| NO_SERVICE_ACCOUNT.into());
        }
    }
}

fn own<'a>(live: &Live<'a>) -> Option<Fields<'a>> {
    live.managers().find(|manager| manager.applies && manager.name == FIELD_MANAGER)?.fields
}

fn narrowed<'a>(all: &[Fields<'a>], name: &str) -> Vec<Fields<'a>> {
    all.iter().filter_map(|fields| fields.field(name)).collect()
}

/// Collects the mappings below a place of which `own` has a part, nobody else has any, and nothing is sent.
fn collect(
    left: &mut Vec<Vec<At>>,
    path: &[At],
    (live, sent): (Option<&Value>, Option<&Value>),
    own: Fields<'_>,
    others: &[Fields<'_>],
) {
    let below = |step: At| [path, &[step]].concat();
    match (live, sent.filter(|sent| !sent.is_null())) {
        (Some(Value::Object(_)), None) if !own.is_whole() && others.is_empty() => left.push(path.to_vec()),
        (Some(Value::Object(live)), Some(sent)) => {
            for (step, own) in own.steps() {
                let Step::Field(name) = step else { continue };
                let step = At::Field(name.to_owned());
                collect(left, &below(step), (live.get(name), sent.get(name)), own, &narrowed(others, name));
            }
        }
        (Some(Value::Array(live)), Some(Value::Array(sent))) => {
            for (index, item) in live.iter().enumerate() {
                let Some((step, own)) = own.item(item, index) else { continue };
                let found = sent.iter().enumerate().find(|(index, sent)| step.means(sent, *index));
                let Some((_, sent)) = found else { continue };
                let others: Vec<_> =
                    others.iter().filter_map(|fields| Some(fields.item(item, index)?.1)).collect();
                collect(left, &below(At::Index(index)), (Some(item), Some(sent)), own, &others);
            }
        }
        _ => {}
    }
}

/// A mapping that the API server filled in by itself and now calls invalid beside what is sent.
fn defaulted(live: &Value, sent: &Value, field: &str, others: &[Fields<'_>]) -> Option<Vec<At>> {
    let steps: Vec<&str> = field.split('.').collect();
    let is_anothers = others
        .iter()
        .any(|fields| steps.iter().try_fold(*fields, |fields, step| fields.field(step)).is_some());
    let is_left =
        at(live, &steps).is_some_and(Value::is_object) && at(sent, &steps).is_none_or(Value::is_null);
    let path = steps.iter().map(|step| At::Field((*step).to_owned())).collect();
    (is_left && !is_anothers).then_some(path)
}

fn at<'v>(value: &'v Value, steps: &[&str]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| value.get(*step))
}

/// A path as the API server writes it, without its indices.
fn in_words(path: &[At]) -> String {
    let fields = path.iter().filter_map(|at| match at {
        At::Field(name) => Some(name.as_str()),
        At::Index(_) => None,
    });
    fields.collect::<Vec<_>>().join(".")
}

fn without_indices(field: &str) -> String {
    let parts = field.split('[').enumerate();
    parts
        .map(|(at, part)| if at == 0 { part } else { part.split_once(']').map_or("", |(_, rest)| rest) })
        .collect()
}

fn remove(value: &mut Value, path: &[At]) {
    match (value, path) {
        (Value::Object(fields), [At::Field(name)]) => drop(fields.remove(name)),
        (Value::Object(fields), [At::Field(name), rest @ ..]) => {
            if let Some(below) = fields.get_mut(name) {
                remove(below, rest);
            }
        }
        (Value::Array(items), [At::Index(index), rest @ ..]) => {
            if let Some(item) = items.get_mut(*index) {
                remove(item, rest);
            }
        }
        _ => {}
    }
}
