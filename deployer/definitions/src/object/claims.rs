//! Who writes which field of an object, and where two writers meet.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::leaves::Leaf;
use crate::field_path::{FieldPath, Step};

/// A writer by its place in the order of writing; the component type is the first.
pub type WriterIndex = usize;

/// The writer of an object as the component type rendered it.
pub const BASE: WriterIndex = 0;

/// Two writers of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// Who wrote it first.
    pub first: WriterIndex,
    /// Who writes it too.
    pub second: WriterIndex,
    /// The field, as the second writes it.
    pub path: FieldPath,
}

/// The fields of one object and who wrote each.
#[derive(Debug, Default)]
pub struct Claims<'a> {
    held: BTreeMap<FieldPath, (WriterIndex, Leaf<'a>)>,
}

impl<'a> Claims<'a> {
    /// Takes in what `writer` writes; what `may_overwrite` covers is taken from the base without a
    /// meeting.
    pub fn take(
        &mut self,
        writer: WriterIndex,
        leaves: BTreeMap<FieldPath, Leaf<'a>>,
        may_overwrite: impl Fn(&FieldPath) -> bool,
    ) -> Vec<Meeting> {
        let mut meetings = Vec::new();
        for (path, leaf) in leaves {
            let others = self.others(writer, &path, leaf);
            let allowed = may_overwrite(&path);
            for (other, _) in others.iter().filter(|(other, _)| !(*other == BASE && allowed)) {
                let meeting = Meeting { first: *other, second: writer, path: path.clone() };
                if meetings.last() != Some(&meeting) {
                    meetings.push(meeting);
                }
            }
            for (_, taken) in others.iter().filter(|(other, _)| *other == BASE && allowed) {
                self.held.remove(taken);
            }
            self.held.entry(path).or_insert((writer, leaf));
        }
        meetings
    }

    /// The fields that each writer holds.
    pub fn by_writer(&self) -> BTreeMap<WriterIndex, Vec<&FieldPath>> {
        let mut held: BTreeMap<WriterIndex, Vec<&FieldPath>> = BTreeMap::new();
        for (path, (writer, _)) in &self.held {
            held.entry(*writer).or_default().push(path);
        }
        held
    }

    /// Who else holds `path`, something it lies in, or something in it.
    fn others(&self, writer: WriterIndex, path: &FieldPath, leaf: Leaf<'_>) -> Vec<(WriterIndex, FieldPath)> {
        let steps = path.steps();
        let above = (1..steps.len()).filter_map(|end| self.held.get_key_value(&steps[..end]));
        let here = self.held.get_key_value(steps);
        let from: (Bound<&[Step]>, Bound<&[Step]>) = (Bound::Excluded(steps), Bound::Unbounded);
        let below =
            self.held.range::<[Step], _>(from).take_while(|(held, _)| held.steps().starts_with(steps));
        let whole = |held: &Leaf<'_>| *held != Leaf::Empty;
        above
            .filter(|(_, (_, held))| whole(held))
            .chain(here.filter(|(held, (_, there))| !agree(held, *there, leaf)))
            .chain(below.filter(|(_, (_, _))| whole(&leaf)))
            .filter(|(_, (other, _))| *other != writer)
            .map(|(held, (other, _))| (*other, held.clone()))
            .collect()
    }
}

/// Whether two writers of one path do each other no harm.
fn agree(path: &FieldPath, one: Leaf<'_>, other: Leaf<'_>) -> bool {
    match (one, other) {
        (Leaf::Empty, Leaf::Empty) => true,
        (Leaf::Value(one), Leaf::Value(other)) => path.is_label_or_annotation() && one == other,
        // A map beside a scalar is no map, and a removed item is not there.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::leaves::leaves;

    fn meetings(writes: &[Value]) -> Vec<(usize, usize, String)> {
        let mut claims = Claims::default();
        let mut found = Vec::new();
        for (writer, object) in writes.iter().enumerate() {
            found.extend(claims.take(writer, leaves(object).unwrap(), |_| false));
        }
        found.into_iter().map(|meeting| (meeting.first, meeting.second, meeting.path.to_string())).collect()
    }

    #[test]
    fn one_field_two_writers() {
        let env = |value: &str| json!({"env": [{"name": "A", "value": value}]});
        assert_eq!(meetings(&[env("1"), json!({"env": [{"name": "B"}]})]), []);
        assert_eq!(meetings(&[env("1"), env("1")]), [(0, 1, "env[name=A].value".into())]);
        assert_eq!(meetings(&[json!({}), env("1"), env("2")]), [(1, 2, "env[name=A].value".into())]);
    }

    #[test]
    fn a_whole_meets_its_parts_and_an_empty_map_does_not() {
        assert_eq!(meetings(&[json!({"a": {"b": 1}}), json!({"a": 2})]), [(0, 1, "a".into())]);
        assert_eq!(meetings(&[json!({"a": 2}), json!({"a": {"b": 1}})]), [(0, 1, "a.b".into())]);
        assert_eq!(meetings(&[json!({"a": {}}), json!({"a": {"b": 1}})]), []);
        assert_eq!(meetings(&[json!({"a": {"b": 1}}), json!({"a": {}})]), []);
        assert_eq!(meetings(&[json!({"a": 1}), json!({"a": {}})]), [(0, 1, "a".into())]);
    }

    #[test]
    fn labels_may_be_written_twice_if_equal() {
        let label = |value: &str| json!({"spec": {"template": {"metadata": {"labels": {"a": value}}}}});
        assert_eq!(meetings(&[label("1"), label("1")]), []);
        assert_eq!(meetings(&[label("1"), label("2")]).len(), 1);
    }

    #[test]
    fn what_may_be_overwritten_is_taken_from_the_base_alone() {
        let (base, first, second) = (json!({"a": 1}), json!({"a": 2}), json!({"a": 3}));
        let mut claims = Claims::default();
        claims.take(BASE, leaves(&base).unwrap(), |_| false);
        assert!(claims.take(1, leaves(&first).unwrap(), |_| true).is_empty());
        let meetings = claims.take(2, leaves(&second).unwrap(), |_| true);
        assert_eq!((meetings[0].first, meetings[0].second), (1, 2));
        assert_eq!(claims.by_writer().keys().copied().collect::<Vec<_>>(), [1]);
    }
}
