//! Definitions as plug-ins.
