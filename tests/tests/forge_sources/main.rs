//! Sources on forges: fetched with a credential, swept, checked, and kept from reaching the neighbours.

mod address;
mod check;
mod credential;
mod sweep;
mod world;
