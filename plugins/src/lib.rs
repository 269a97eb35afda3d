//! The caged plug-in host.
