//! Content-addressed blobs through object_store.
