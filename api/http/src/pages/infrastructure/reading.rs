//! Reading what a form holds: everything that is wrong with it is found at once.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use slipway_types::{Violation, json_words};

use crate::pages::forms::Fields;
use crate::problem::ApiError;

/// What is read of a form, and what is wrong so far.
pub(super) struct Reading<'f> {
    fields: &'f Fields,
    wrong: Vec<Violation>,
}

impl<'f> Reading<'f> {
    pub(super) fn new(fields: &'f Fields) -> Self {
        Self { fields, wrong: Vec::new() }
    }

    /// Notes what is wrong with a field.
    pub(super) fn refuse(&mut self, name: &str, why: impl Display) {
        self.wrong.push(Violation::new("invalid_field", name, why.to_string()));
    }

    /// The value of a field that may be empty.
    pub(super) fn one<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let parsed = self.fields.text(name)?.parse::<T>();
        parsed.map_err(|error| self.refuse(name, error)).ok()
    }

    /// The value of a field that may not be empty.
    pub(super) fn needed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        if self.fields.text(name).is_none() {
            self.refuse(name, "is empty");
        }
        self.one(name)
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &str) -> Option<u32> {
        let text = self.fields.text(name)?;
        let number = text.parse().ok();
        if number.is_none() {
            self.refuse(name, format!("expected a whole number up to {}", u32::MAX));
        }
        number
    }

    /// The values of a field that holds one in each line.
    pub(super) fn each<T: FromStr<Err: Display>>(&mut self, name: &str) -> Vec<T> {
        let parsed: Vec<_> = self.fields.lines(name).map(str::parse::<T>).collect();
        let each =
            parsed.into_iter().filter_map(|parsed| parsed.map_err(|error| self.refuse(name, error)).ok());
        each.collect()
    }

    /// What a field holds that has `KEY=VALUE` in each line.
    pub(super) fn pairs(&mut self, name: &str) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        let fields = self.fields;
        for line in fields.lines(name) {
            match line.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => {
                    pairs.insert(key.trim().to_owned(), value.trim().to_owned());
                }
                _ => self.refuse(name, format!("`{line}` is not of the form KEY=VALUE")),
            }
        }
        pairs
    }

    /// What a field holds that is JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let text = self.fields.file(name)?;
        let read = serde_json::from_str(&text).map_err(|error| {
            let said = error.to_string();
            let why = if error.is_data() { json_words::data(&said) } else { json_words::syntax(&said) };
            self.refuse(name, why);
        });
        read.ok()
    }

    /// Whether a box is ticked.
    pub(super) fn ticked(&self, name: &str) -> bool {
        self.fields.text(name).is_some()
    }

    /// What a field holds as text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.fields.text(name).map(str::to_owned)
    }

    /// Refuses the form if anything is wrong with it.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.wrong.is_empty() { Ok(()) } else { Err(ApiError::violations(self.wrong)) }
    }
}

/// `KEY=VALUE` in each line.
pub(super) fn lines_of_pairs<V: Display>(pairs: &BTreeMap<String, V>) -> String {
    lines_of(pairs.iter().map(|(key, value)| format!("{key}={value}")))
}

/// One in each line.
pub(super) fn lines_of<T: Display>(each: impl IntoIterator<Item = T>) -> String {
    each.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use slipway_types::environment::Window;
    use slipway_types::name::EnvironmentName;

    use super::*;

    #[test]
    fn everything_that_is_wrong_is_found_at_once() {
        let fields = Fields::filled([
            ("name", " prod ".to_owned()),
            ("other", "No Name".to_owned()),
            ("minutes", "ten".to_owned()),
            ("windows", "mon-fri 09:00-17:00\n\nsometimes\n".to_owned()),
            ("labels", "ring = 1\nno\n=x".to_owned()),
            ("box", "yes".to_owned()),
        ]);
        let mut reading = Reading::new(&fields);
        assert_eq!(reading.one::<EnvironmentName>("name").unwrap().as_str(), "prod");
        assert_eq!(reading.one::<EnvironmentName>("other"), None);
        assert_eq!(reading.needed::<EnvironmentName>("absent"), None);
        assert_eq!(reading.number("minutes"), None);
        assert_eq!(reading.number("absent"), None);
        assert_eq!(reading.each::<Window>("windows").len(), 1);
        let labels = reading.pairs("labels");
        assert_eq!(lines_of_pairs(&labels), "ring=1");
        assert!(reading.ticked("box") && !reading.ticked("absent"));
        let refused = reading.finish().unwrap_err();
        let places: Vec<_> = refused.all_violations().iter().map(|wrong| wrong.path.as_str()).collect();
        assert_eq!(places, ["other", "absent", "minutes", "windows", "labels", "labels"]);
    }
}
