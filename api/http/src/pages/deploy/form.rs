//! Forms made from the JSON Schema of a definition's properties: shown from values or from what was sent, and read
//! back to values. What no input stands for is edited as YAML, in a field whose name begins with `y` instead of
//! `p`; so whatever was there before comes back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use slipway_yaml::YamlOptions;

use super::field::{Area, Field, Input, Items, Line};
use super::shape::{self, Property, Scalar, Shape, Unfit};
use crate::pages::address;
use crate::pages::forms::Fields;
use crate::pages::frame::Choice;
use crate::pages::texts::DeployTexts;

/// Inputs of one form, at most; properties beyond them are edited as YAML. Lists repeat theirs.
const INPUTS_MAX: usize = 90;
/// Groups of one list, at most; a longer one is edited as YAML.
const GROUPS_MAX: usize = 10;
/// Where the values stand.
const ROOT: &str = "";

/// What is wrong, by the name of the field.
pub(super) type Wrong = BTreeMap<String, String>;

/// A form over a schema.
pub(super) struct Form {
    d: &'static DeployTexts,
    root: Shape,
    /// Whether there are properties that have no input of their own.
    has_others: bool,
}

/// Where the inputs get what they show.
#[derive(Clone, Copy)]
enum Filled<'a> {
    /// A value, absent where nothing is set.
    Value(Option<&'a Value>),
    /// What was sent before, and whether lists get an item more.
    Sent(&'a Fields, bool),
}

/// What an input is shown with.
struct Shown<'a> {
    /// What holds where nothing is set here.
    in_force: Option<&'a Value>,
    wrong: &'a Wrong,
}

/// A text as YAML; nothing where it is empty.
pub(super) fn yaml(text: &str) -> Result<Option<Value>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    // Browsers end lines so.
    let text = text.replace("\r\n", "\n");
    let read = slipway_yaml::read(text.as_bytes(), &YamlOptions::default());
    let documents = read.map_err(|errors| {
        let lines = errors.iter().take(5).map(|error| {
            let at = error.at;
            format!("{}:{}: {}", at.line, at.column, error.message)
        });
        lines.collect::<Vec<_>>().join("; ")
    })?;
    match &documents[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.to_json())),
        [_, second, ..] => Err(format!("{}:1: a second document begins here", second.at.line)),
    }
}

fn below(path: &str, key: &str) -> String {
    format!("{path}/{}", address::encoded(key))
}

impl Form {
    /// A form over `schema`, of the properties that `takes` lets pass.
    pub(super) fn new(d: &'static DeployTexts, schema: &Value, takes: &dyn Fn(&str) -> bool) -> Self {
        let is_open = schema.get("additionalProperties") != Some(&Value::Bool(false));
        match shape::of(schema) {
            Shape::Group(mut properties) => {
                let all = properties.len();
                let mut inputs = 0;
                properties.retain(|property| takes(&property.key));
                properties.retain(|property| {
                    inputs += property.shape.inputs();
                    inputs <= INPUTS_MAX
                });
                let has_others = is_open || properties.len() < all;
                Self { d, root: Shape::Group(properties), has_others }
            }
            root => Self { d, root, has_others: false },
        }
    }

    /// The inputs, filled with `properties`.
    pub(super) fn shown(&self, properties: &Value, in_force: Option<&Value>, wrong: &Wrong) -> Vec<Field> {
        let shown = Shown { in_force, wrong };
        let Shape::Group(own) = &self.root else {
            let properties = Some(properties).filter(|properties| !is_empty(properties));
            return vec![self.whole(Filled::Value(properties), &shown)];
        };
        let mut fields = self.group(own, ROOT, Filled::Value(Some(properties)), &shown);
        let others: Map<String, Value> = properties
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !own.iter().any(|property| property.key == **key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if self.has_others || !others.is_empty() {
            let text =
                if others.is_empty() { String::new() } else { slipway_yaml::write(&Value::Object(others)) };
            fields.push(self.others(text, wrong));
        }
        fields
    }

    /// The inputs as they were sent; with `more`, lists get an item more.
    pub(super) fn sent(
        &self,
        fields: &Fields,
        more: bool,
        in_force: Option<&Value>,
        wrong: &Wrong,
    ) -> Vec<Field> {
        let shown = Shown { in_force, wrong };
        let Shape::Group(own) = &self.root else {
            return vec![self.whole(Filled::Sent(fields, more), &shown)];
        };
        let mut inputs = self.group(own, ROOT, Filled::Sent(fields, more), &shown);
        if let Some(text) = fields.exact("y") {
            inputs.push(self.others(text.to_owned(), wrong));
        }
        inputs
    }

    /// What was sent, as properties; or what is wrong with it.
    pub(super) fn read(&self, fields: &Fields) -> Result<Value, Wrong> {
        let mut wrong = Wrong::new();
        let found = match &self.root {
            Shape::Group(own) => {
                let mut found = self.read_group(own, ROOT, fields, &mut wrong);
                match yaml(fields.exact("y").unwrap_or_default()) {
                    Ok(None) => {}
                    Ok(Some(Value::Object(others))) => found.extend(others),
                    Ok(Some(_)) => drop(wrong.insert("y".to_owned(), self.d.needs_mapping.to_owned())),
                    Err(why) => drop(wrong.insert("y".to_owned(), why)),
                }
                Value::Object(found)
            }
            root => {
                let found = self.read_shape(root, ROOT, fields, &mut wrong);
                found.unwrap_or_else(|| Value::Object(Map::new()))
            }
        };
        if !found.is_object() {
            wrong.insert("y".to_owned(), self.d.needs_mapping.to_owned());
        }
        if wrong.is_empty() { Ok(found) } else { Err(wrong) }
    }

    /// The one input of properties that are no group.
    fn whole(&self, from: Filled<'_>, shown: &Shown<'_>) -> Field {
        let property = Property {
            key: String::new(),
            title: self.d.properties.to_owned(),
            description: None,
            required: false,
            deprecated: false,
            default: None,
            example: None,
            shape: self.root.clone(),
        };
        self.field(&property, ROOT, from, shown, false)
    }

    fn others(&self, text: String, wrong: &Wrong) -> Field {
        Field {
            name: "y".to_owned(),
            label: self.d.other_properties.to_owned(),
            description: None,
            notes: vec![self.d.as_yaml.to_owned()],
            required: false,
            deprecated: None,
            wrong: wrong.get("y").cloned(),
            input: Input::Area(Area::new(text)),
        }
    }

    fn group(&self, own: &[Property], path: &str, from: Filled<'_>, shown: &Shown<'_>) -> Vec<Field> {
        let mut fields = Vec::new();
        for property in own {
            let inside = below(path, &property.key);
            let from = match from {
                Filled::Value(value) => Filled::Value(value.and_then(|value| value.get(&property.key))),
                sent @ Filled::Sent(..) => sent,
            };
            // What is old is only offered to those who have it.
            let is_unused = match from {
                Filled::Value(value) => value.is_none(),
                Filled::Sent(fields, _) => {
                    !["p", "y", "c"].iter().any(|kind| fields.holds(&format!("{kind}{inside}")))
                }
            };
            if property.deprecated && is_unused {
                continue;
            }
            let in_force = shown.in_force.and_then(|value| value.get(&property.key));
            let shown = Shown { in_force, wrong: shown.wrong };
            let required = property.required && path == ROOT;
            fields.push(self.field(property, &inside, from, &shown, required));
        }
        fields
    }

    fn field(
        &self,
        property: &Property,
        path: &str,
        from: Filled<'_>,
        shown: &Shown<'_>,
        required: bool,
    ) -> Field {
        let (kind, input) = self.input(&property.shape, path, from, shown);
        let name = format!("{kind}{path}");
        let mut notes = Vec::new();
        match (kind, &property.shape) {
            ('y', _) => notes.push(self.d.as_yaml.to_owned()),
            (_, Shape::Lines(_)) => notes.push(self.d.one_a_line.to_owned()),
            (_, Shape::Pairs(_)) => notes.push(self.d.pair_a_line.to_owned()),
            _ => {}
        }
        let is_inner = matches!(property.shape, Shape::Group(_) | Shape::Items(_)) && kind == 'p';
        if !is_inner {
            let default = property.default.as_ref();
            notes.extend(shown.in_force.map(|value| (self.d.words.in_force)(&plain(value))));
            notes.extend(
                default
                    .filter(|_| shown.in_force.is_none())
                    .map(|value| (self.d.words.default)(&plain(value))),
            );
            notes.extend(property.example.as_ref().map(|value| (self.d.words.example)(&plain(value))));
        }
        Field {
            wrong: shown.wrong.get(&name).cloned(),
            name,
            label: property.title.clone(),
            description: property.description.clone(),
            notes,
            required,
            deprecated: property.deprecated.then_some(self.d.deprecated),
            input,
        }
    }

    /// The input of a shape, and the first letter of its name.
    fn input(&self, shape: &Shape, path: &str, from: Filled<'_>, shown: &Shown<'_>) -> (char, Input) {
        let area = |text: String| Input::Area(Area::new(text));
        let text = match from {
            Filled::Sent(fields, _) => {
                if let Some(text) = fields.exact(&format!("y{path}")) {
                    return ('y', area(text.to_owned()));
                }
                fields.exact(&format!("p{path}")).unwrap_or_default().to_owned()
            }
            Filled::Value(None) => String::new(),
            Filled::Value(Some(value)) => match plain_text(shape, value) {
                Some(text) => text,
                None => return ('y', area(slipway_yaml::write(value))),
            },
        };
        let input = match shape {
            Shape::Flag => Input::Choice(self.choices(&[Value::Bool(true), Value::Bool(false)], &text)),
            Shape::Choice(options) => Input::Choice(self.choices(options, &text)),
            Shape::Scalar(_) if text.contains('\n') => area(text),
            Shape::Scalar(scalar) => Input::Line(Line {
                value: text,
                is_number: scalar.is_number(),
                longest: scalar.longest.map(|longest| longest.to_string()).unwrap_or_default(),
            }),
            Shape::Lines(_) | Shape::Pairs(_) => area(text),
            Shape::Group(own) => Input::Group(self.group(own, path, from, shown)),
            Shape::Items(own) => Input::Items(self.items(own, path, from, shown.wrong)),
            Shape::Yaml => return ('y', area(text)),
        };
        ('p', input)
    }

    fn items(&self, own: &[Property], path: &str, from: Filled<'_>, wrong: &Wrong) -> Items {
        let shown = Shown { in_force: None, wrong };
        let count = format!("c{path}");
        let groups = match from {
            Filled::Value(value) => value.and_then(Value::as_array).map_or(0, Vec::len) + 1,
            Filled::Sent(fields, more) => count_of(fields, path).max(1) + usize::from(more),
        };
        let group = |index: usize| {
            let from = match from {
                Filled::Value(value) => Filled::Value(value.and_then(|value| value.get(index))),
                sent @ Filled::Sent(..) => sent,
            };
            self.group(own, &below(path, &index.to_string()), from, &shown)
        };
        Items { count, groups: (0..groups.min(GROUPS_MAX + 1)).map(group).collect(), noun: self.d.item }
    }

    fn choices(&self, options: &[Value], text: &str) -> Vec<Choice> {
        let unset = Choice { value: String::new(), text: self.d.not_set.to_owned(), chosen: text.is_empty() };
        let options = options.iter().map(|option| {
            let value = option.to_string();
            let text_of = match option {
                Value::Bool(true) => self.d.yes.to_owned(),
                Value::Bool(false) => self.d.no.to_owned(),
                option => plain(option),
            };
            Choice { chosen: value == text, value, text: text_of }
        });
        std::iter::once(unset).chain(options).collect()
    }

    fn read_group(
        &self,
        own: &[Property],
        path: &str,
        fields: &Fields,
        wrong: &mut Wrong,
    ) -> Map<String, Value> {
        let mut found = Map::new();
        let before = wrong.len();
        for property in own {
            let inside = below(path, &property.key);
            if let Some(value) = self.read_shape(&property.shape, &inside, fields, wrong) {
                found.insert(property.key.clone(), value);
            }
        }
        // A group that nothing is set of is not there, so nothing of it is missing.
        if path == ROOT || !found.is_empty() || wrong.len() > before {
            for property in own.iter().filter(|property| property.required) {
                let name = format!("p{}", below(path, &property.key));
                if !found.contains_key(&property.key) && !wrong.contains_key(&name) {
                    wrong.insert(name, self.d.is_needed.to_owned());
                }
            }
        }
        found
    }

    fn read_shape(&self, shape: &Shape, path: &str, fields: &Fields, wrong: &mut Wrong) -> Option<Value> {
        if let Some(text) = fields.exact(&format!("y{path}")) {
            return yaml(text).unwrap_or_else(|why| {
                wrong.insert(format!("y{path}"), why);
                None
            });
        }
        match shape {
            Shape::Group(own) => {
                let found = self.read_group(own, path, fields, wrong);
                return (!found.is_empty()).then_some(Value::Object(found));
            }
            Shape::Items(own) => {
                let count = count_of(fields, path);
                let groups = (0..count)
                    .map(|index| self.read_group(own, &below(path, &index.to_string()), fields, wrong));
                let groups: Vec<Value> =
                    groups.filter(|group| !group.is_empty()).map(Value::Object).collect();
                return (!groups.is_empty()).then_some(Value::Array(groups));
            }
            _ => {}
        }
        let name = format!("p{path}");
        let text = fields.exact(&name)?.replace("\r\n", "\n");
        match value_of(shape, &text) {
            Ok(value) => value,
            Err(why) => {
                wrong.insert(name, self.unfit(&why));
                None
            }
        }
    }

    fn unfit(&self, why: &Unfit) -> String {
        let words = self.d.words;
        match why {
            Unfit::NoNumber => self.d.needs_number.to_owned(),
            Unfit::NoWholeNumber => self.d.needs_whole_number.to_owned(),
            Unfit::Below(bound) => (words.at_least)(&bound.to_string()),
            Unfit::Above(bound) => (words.at_most)(&bound.to_string()),
            Unfit::TooLong(longest) => (words.longest)(*longest),
        }
    }
}

/// How many groups a list has in what was sent.
fn count_of(fields: &Fields, path: &str) -> usize {
    let count = fields.text(&format!("c{path}")).and_then(|count| count.parse::<usize>().ok());
    count.unwrap_or(0).min(GROUPS_MAX + 1)
}

/// The value that a text stands for in one input; `None` if it is empty.
fn value_of(shape: &Shape, text: &str) -> Result<Option<Value>, Unfit> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Some(match shape {
        Shape::Flag | Shape::Choice(_) => match serde_json::from_str::<Value>(text) {
            Ok(value) => value,
            Err(_) => Value::String(text.to_owned()),
        },
        Shape::Scalar(scalar) => scalar.read(text.trim())?,
        Shape::Lines(scalar) => {
            Value::Array(lines().map(|line| scalar.read(line)).collect::<Result<_, _>>()?)
        }
        Shape::Pairs(scalar) => {
            let pair = |line: &str| -> Result<(String, Value), Unfit> {
                let (name, value) = line.split_once('=').unwrap_or((line, ""));
                Ok((name.trim().to_owned(), pair_value(scalar, value.trim())?))
            };
            Value::Object(lines().map(pair).collect::<Result<_, _>>()?)
        }
        Shape::Group(_) | Shape::Items(_) | Shape::Yaml => return Ok(None),
    }))
}

/// The value of a pair, which may be an empty text.
fn pair_value(scalar: &Scalar, text: &str) -> Result<Value, Unfit> {
    if text.is_empty() && scalar.text { Ok(Value::String(String::new())) } else { scalar.read(text) }
}

/// What an input of the shape shows for a value; `None` if it cannot: what is there and empty is not the same as
/// what is not there. Groups show nothing themselves.
fn plain_text(shape: &Shape, value: &Value) -> Option<String> {
    if is_empty(value) && *shape != Shape::Yaml {
        return None;
    }
    match shape {
        Shape::Flag => value.is_boolean().then(|| value.to_string()),
        Shape::Choice(options) => options.contains(value).then(|| value.to_string()),
        Shape::Scalar(scalar) => scalar.write(value),
        Shape::Lines(scalar) => {
            let lines = value.as_array()?.iter().map(|item| one_line(scalar.write(item)?));
            Some(lines.collect::<Option<Vec<_>>>()?.join("\n"))
        }
        Shape::Pairs(scalar) => {
            let pairs = value.as_object()?.iter().map(|(key, item)| {
                let is_empty = item.as_str() == Some("") && scalar.text;
                let item = if is_empty { String::new() } else { one_line(scalar.write(item)?)? };
                let is_plain = !key.is_empty() && key.trim() == key && !key.contains(['=', '\n', '\r']);
                is_plain.then(|| format!("{key}={item}"))
            });
            Some(pairs.collect::<Option<Vec<_>>>()?.join("\n"))
        }
        Shape::Group(own) => holds_only(own, value).then(String::new),
        Shape::Items(own) => {
            let items = value.as_array()?;
            let is_group = |item: &Value| holds_only(own, item) && !is_empty(item);
            let fits = items.len() <= GROUPS_MAX && items.iter().all(is_group);
            fits.then(String::new)
        }
        Shape::Yaml => Some(slipway_yaml::write(value)),
    }
}

/// Whether it is a list or mapping of nothing.
fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn one_line(text: String) -> Option<String> {
    (!text.contains('\n')).then_some(text)
}

/// Whether a value is a group of these properties and none else.
fn holds_only(own: &[Property], value: &Value) -> bool {
    let is_known = |key: &String| own.iter().any(|property| property.key == *key);
    value.as_object().is_some_and(|value| value.keys().all(is_known))
}

/// A value in a few words.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    match text.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
