//! The kits: from a component declaration to build and package steps.
