//! Taking fields out of an object that server-side apply cannot take out.

use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value};

use crate::call::CallError;
use crate::cluster::Cluster;
use crate::objects::{Applied, ObjectKey, applied};

impl Cluster {
    /// Has the object that was read as `live` become `trimmed`, which lacks some of its fields. Who owns the
    /// others stays as it is.
    ///
    /// # Errors
    ///
    /// As of [`Cluster::apply_at`].
    pub async fn trim(
        &self,
        key: &ObjectKey,
        live: &Value,
        trimmed: &Value,
        writer: &str,
    ) -> Result<Applied, CallError> {
        let Some(api) = self.api(key).await? else { return Ok(Applied::NotServed) };
        let mut patch = merge_patch(live, trimmed);
        // Only the object of this version: lists are sent whole.
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        let parameters = PatchParams { field_manager: Some(writer.to_owned()), ..PatchParams::default() };
        let answer = self.within(api.patch(&key.name, &parameters, &Patch::Merge(&patch))).await?;
        applied(key, answer)
    }
}

/// What turns `from` into `to` (RFC 7386).
fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for (key, before) in from {
        match to.get(key) {
            None => drop(patch.insert(key.clone(), Value::Null)),
            Some(after) if after == before => {}
            Some(after) => drop(patch.insert(key.clone(), merge_patch(before, after))),
        }
    }
    let new = to.iter().filter(|(key, _)| !from.contains_key(*key));
    patch.extend(new.map(|(key, value)| (key.clone(), value.clone())));
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_sent_and_lists_are_sent_whole() {
        let from = json!({"a": {"b": 1, "c": {"d": 1}}, "e": [{"f": 1, "g": 2}, 3], "h": 1, "i": 1});
        let to = json!({"a": {"b": 1}, "e": [{"f": 1}, 3], "h": 1, "i": 2});
        let expected = json!({"a": {"c": null}, "e": [{"f": 1}, 3], "i": 2});
        assert_eq!(merge_patch(&from, &to), expected);
        assert_eq!(merge_patch(&from, &from), json!({}));
    }
}
