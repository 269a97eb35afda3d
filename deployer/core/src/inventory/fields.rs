//! Sets of fields as `metadata.managedFields` holds them (`fieldsV1`), as
//! <https://github.com/kubernetes-sigs/structured-merge-diff> writes them.

use serde_json::{Map, Value};

/// A set of fields below one place. An empty one means the place as a whole: a plain value, or a list or
/// mapping that is only ever written whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a Map<String, Value>);

/// One step down.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step<'a> {
    /// `.`: the place itself.
    Itself,
    /// `f:NAME`: a field.
    Field(&'a str),
    /// `k:{…}`: the item of a list with these keys.
    Keys(Map<String, Value>),
    /// `v:…`: the item of a list with this value.
    Item(Value),
    /// `i:N`: the item of a list at this index.
    At(usize),
    /// Written in a way that is not known here.
    Unknown,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_object().map(Self)
    }

    /// Whether the place is meant as a whole.
    pub(super) fn is_whole(self) -> bool {
        self.0.is_empty()
    }

    /// Whether the place itself is among them.
    pub(super) fn has_itself(self) -> bool {
        self.0.contains_key(".")
    }

    /// The same as it is written.
    pub(super) fn to_value(self) -> Value {
        Value::Object(self.0.clone())
    }

    /// The set below a field.
    pub(super) fn field(self, name: &str) -> Option<Self> {
        self.0.get(&format!("f:{name}")).and_then(Self::of)
    }

    /// Every step down, with the set below it.
    pub(super) fn steps(self) -> impl Iterator<Item = (Step<'a>, Self)> {
        self.0.iter().map(move |(step, below)| match Self::of(below) {
            Some(below) => (Step::of(step), below),
            None => (Step::Unknown, self),
        })
    }

    /// The set below the item of a list that `item`, at `index`, is, and the step to it.
    pub(super) fn item(self, item: &Value, index: usize) -> Option<(Step<'a>, Self)> {
        self.steps().find(|(step, _)| step.means(item, index))
    }
}

impl<'a> Step<'a> {
    fn of(text: &'a str) -> Self {
        let parsed = match text.split_once(':') {
            None if text == "." => Some(Self::Itself),
            Some(("f", name)) => Some(Self::Field(name)),
            Some(("k", keys)) => serde_json::from_str(keys).ok().map(Self::Keys),
            Some(("v", value)) => serde_json::from_str(value).ok().map(Self::Item),
            Some(("i", index)) => index.parse().ok().map(Self::At),
            _ => None,
        };
        parsed.unwrap_or(Self::Unknown)
    }

    /// Whether it leads to this item of a list. A key that the item does not say is one that the API server
    /// fills in.
    pub(super) fn means(&self, item: &Value, index: usize) -> bool {
        match self {
            Self::Keys(keys) => {
                keys.iter().all(|(key, value)| item.get(key).is_none_or(|said| said == value))
                    && keys.keys().any(|key| item.get(key).is_some())
            }
            Self::Item(value) => value == item,
            Self::At(at) => *at == index,
            Self::Itself | Self::Field(_) | Self::Unknown => false,
        }
    }
}
