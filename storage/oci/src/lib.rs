//! OCI media types, manifests and the registry client.
