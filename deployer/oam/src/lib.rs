//! The OAM application model.
