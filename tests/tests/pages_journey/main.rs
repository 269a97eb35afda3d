//! Journeys over the pages in a real Chromium, from the first visit to a rollback: by mouse and by keys alone, in both
//! languages, on telephones and desktops, by every role.
//!
//! Steps are functions of [`visit::Visit`]; each ends with [`visit::Visit::look`], which holds what holds for
//! every page and compares its picture.

mod audit;
mod bundles;
mod deploying;
mod forged;
mod hostile;
mod keyboard;
mod live;
mod long_log;
mod roles;
mod shop;
mod speed;
mod steps;
mod visit;
mod walk;
mod watching;
mod webhook;
mod words;
