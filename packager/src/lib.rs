//! Versions, labels, deterministic archives, component packages and bundles.
