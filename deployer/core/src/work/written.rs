//! What was just written, as the cluster gave it back: what is ready as it was written need not be read again to say so.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use slipway_handoff::{Node, Object, ObjectRef};

use super::look::{Found, stands_against};

/// Objects that were ready as they were written, until their node is looked at.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Found>);

impl Written {
    /// Keeps an object if nothing stands against its being ready. Of what a controller has yet to act on, the answer to
    /// the write is too old.
    pub(super) fn keep(&self, object: &Object, live: Value) {
        let is_ready = stands_against(object, &live, false).is_none();
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_ready {
            written.insert(object.object.clone(), Some(live));
        } else {
            written.remove(&object.object);
        }
    }

    /// Forgets an object that is written again, or that another write changes.
    pub(super) fn forget(&self, object: &ObjectRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }

    /// What is kept of a node, once: whoever looks again reads.
    pub(super) fn take(&self, node: &Node) -> Found {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        node.objects.iter().filter_map(|object| written.remove_entry(&object.object)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use slipway_types::Digest;

    use super::*;

    fn object(live: &Value) -> Object {
        Object::new(ObjectRef::of(live).expect("an object"), Digest::of("a"))
    }

    #[test]
    fn what_is_ready_as_it_was_written_is_kept_for_one_look() {
        let settings =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}});
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "namespace": "shop", "generation": 1}, "spec": {"replicas": 1}, "status": {}});
        let gone =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "shop"}});
        let node = Node { objects: vec![object(&settings), object(&web), object(&gone)], ..Node::default() };
        let written = Written::default();
        for (object, live) in node.objects.iter().zip([&settings, &web]) {
            written.keep(object, live.clone());
        }
        written.keep(&object(&gone), gone.clone());
        written.forget(&object(&gone).object);
        let found = written.take(&node);
        assert_eq!(found.into_values().collect::<Vec<_>>(), [Some(settings)]);
        assert!(written.take(&node).is_empty());
    }
}
