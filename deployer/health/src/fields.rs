//! Reading the fields of an object that may have any shape: what is missing or of another type is `None`.

use serde_json::Value;

/// An object as the API server gives it.
pub(crate) struct Object<'a> {
    value: &'a Value,
}

/// An entry of `status.conditions`.
pub(crate) struct Condition<'a> {
    /// `True`, `False` or `Unknown`.
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    message: &'a str,
    /// Of which generation it tells, if it says so.
    pub(crate) seen: Option<i64>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(value: &'a Value) -> Self {
        Self { value }
    }

    /// The API group, empty for the core, and the kind.
    pub(crate) fn group_kind(&self) -> (&'a str, &'a str) {
        let version = self.text("/apiVersion").unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        (group, self.text("/kind").unwrap_or_default())
    }

    pub(crate) fn get(&self, pointer: &str) -> Option<&'a Value> {
        self.value.pointer(pointer)
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.get(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    pub(crate) fn number(&self, pointer: &str) -> Option<i64> {
        self.get(pointer).and_then(Value::as_i64)
    }

    /// A counter of a status, which the API server leaves out when it is zero.
    pub(crate) fn count(&self, pointer: &str) -> i64 {
        self.number(pointer).unwrap_or(0)
    }

    pub(crate) fn is_true(&self, pointer: &str) -> bool {
        self.get(pointer).and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn list(&self, pointer: &str) -> &'a [Value] {
        self.get(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn generation(&self) -> i64 {
        self.count("/metadata/generation")
    }

    /// Whether any controller has written a status.
    pub(crate) fn has_status(&self) -> bool {
        self.get("/status").and_then(Value::as_object).is_some_and(|status| !status.is_empty())
    }

    /// The first condition of this type.
    pub(crate) fn condition(&self, name: &str) -> Option<Condition<'a>> {
        let found =
            self.list("/status/conditions").iter().find(|condition| text(condition, "type") == name)?;
        Some(Condition {
            status: text(found, "status"),
            reason: text(found, "reason"),
            message: text(found, "message"),
            seen: found.get("observedGeneration").and_then(Value::as_i64),
        })
    }

    /// A count that is written as a number or as a percentage of `total`, which is rounded up.
    pub(crate) fn portion(&self, pointer: &str, total: i64) -> i64 {
        let Some(value) = self.get(pointer) else { return 0 };
        let percent = || value.as_str()?.strip_suffix('%')?.parse::<i64>().ok();
        let count = value.as_i64().or_else(|| {
            percent().map(|percent| total.saturating_mul(percent.clamp(0, 100)).saturating_add(99) / 100)
        });
        count.unwrap_or(0).clamp(0, total.max(0))
    }
}

/// The text under `key`, empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Condition<'_> {
    pub(crate) fn is_true(&self) -> bool {
        self.status == "True"
    }

    pub(crate) fn is_false(&self) -> bool {
        self.status == "False"
    }

    /// What it says, for people.
    pub(crate) fn words(&self) -> String {
        match (self.reason, self.message) {
            ("", "") => "no reason is given".to_owned(),
            (one, "") | ("", one) => one.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_portion_is_a_number_or_a_percentage_rounded_up() {
        let value =
            json!({"n": 3, "p": "30%", "more": 9, "all": "100%", "odd": "x", "below": -4, "over": "900%"});
        let object = Object::new(&value);
        for (pointer, expected) in [
            ("/n", 3),
            ("/p", 2),
            ("/more", 5),
            ("/all", 5),
            ("/odd", 0),
            ("/below", 0),
            ("/over", 5),
            ("/none", 0),
        ] {
            assert_eq!(object.portion(pointer, 5), expected, "{pointer}");
        }
    }

    #[test]
    fn the_group_is_what_stands_before_the_version() {
        for (version, group) in [("v1", ""), ("apps/v1", "apps"), ("a.b.c/v1beta1", "a.b.c")] {
            let value = json!({"apiVersion": version, "kind": "K"});
            assert_eq!(Object::new(&value).group_kind(), (group, "K"));
        }
    }
}
