//! Properties of merging and of leaf paths, on random objects.
#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use slipway_definitions::FieldPath;
use slipway_definitions::object::claims::Claims;
use slipway_definitions::object::leaves::{Leaf, leaves};
use slipway_definitions::object::merge::merge;

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (0..5).prop_map(Value::from),
        "[ab]".prop_map(Value::from)
    ]
}

/// Lists with keys, of containers that have lists with keys.
fn items(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    let item = (0..4u8, prop::collection::btree_map("[xyz]", inner, 0..3));
    prop::collection::btree_map(0..4u8, item, 0..4).prop_map(|items| {
        let items = items.into_iter().map(|(name, (_, fields))| {
            let mut item: Map<String, Value> = fields.into_iter().collect();
            item.insert("name".into(), format!("n{name}").into());
            Value::Object(item)
        });
        items.collect()
    })
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 3, |inner| {
        let inner = inner.boxed();
        prop_oneof![
            prop::collection::btree_map("[abc]", inner.clone(), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
            items(inner.clone()).prop_map(|items| json!({"env": items})),
            items(inner).prop_map(|items| json!({"containers": items, "ports": [{"containerPort": 80}]})),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc]", value(), 0..4).prop_map(|fields| {
        let mut object: Map<String, Value> = fields.into_iter().collect();
        object.insert("kind".into(), "Pod".into());
        Value::Object(object)
    })
}

fn values(object: &Value) -> BTreeSet<FieldPath> {
    let leaves = leaves(object).unwrap();
    leaves.into_iter().filter(|(_, leaf)| matches!(leaf, Leaf::Value(_))).map(|(path, _)| path).collect()
}

fn meet(base: &Value, partial: &Value) -> bool {
    let mut claims = Claims::default();
    claims.take(0, leaves(base).unwrap(), |_| false);
    !claims.take(1, leaves(partial).unwrap(), |_| false).is_empty()
}

proptest! {
    #[test]
    fn merging_twice_changes_nothing(base in object(), partial in object()) {
        let mut once = base;
        merge(&mut once, &partial);
        let mut twice = once.clone();
        merge(&mut twice, &partial);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn merging_an_object_with_itself_changes_nothing(base in object()) {
        let mut merged = base.clone();
        merge(&mut merged, &base);
        prop_assert_eq!(merged, base);
    }

    #[test]
    fn who_do_not_meet_lose_nothing(base in object(), partial in object()) {
        prop_assume!(!meet(&base, &partial));
        let mut merged = base.clone();
        merge(&mut merged, &partial);
        let union: BTreeSet<FieldPath> = values(&base).union(&values(&partial)).cloned().collect();
        prop_assert_eq!(values(&merged), union);
        let (merged, base, partial) = (leaves(&merged).unwrap(), leaves(&base).unwrap(), leaves(&partial).unwrap());
        for (path, leaf) in base.iter().chain(&partial).filter(|(_, leaf)| **leaf != Leaf::Empty) {
            prop_assert_eq!(merged.get(path), Some(leaf));
        }
    }

    #[test]
    fn who_do_not_meet_may_come_in_any_order(base in object(), one in object(), other in object()) {
        let mut claims = Claims::default();
        let mut meetings = 0;
        for (writer, object) in [&base, &one, &other].into_iter().enumerate() {
            meetings += claims.take(writer, leaves(object).unwrap(), |_| false).len();
        }
        prop_assume!(meetings == 0);
        let merged = |order: [&Value; 2]| {
            let mut merged = base.clone();
            for partial in order {
                merge(&mut merged, partial);
            }
            merged
        };
        let (first, second) = (merged([&one, &other]), merged([&other, &one]));
        let (first, second) = (leaves(&first).unwrap(), leaves(&second).unwrap());
        prop_assert_eq!(first, second);
    }

    #[test]
    fn meeting_is_mutual(one in object(), other in object()) {
        prop_assert_eq!(meet(&one, &other), meet(&other, &one));
    }
}
