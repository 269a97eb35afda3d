//! Disks that fill, engines that go away, registries that fail or hang, a database that is held, and
//! requests that mean harm: each ends as something with a name, and what was wrong leaves nothing behind
//! once it is gone.

mod base;
mod database;
mod disk;
mod docker;
mod hostile;
mod hostile_git;
mod registry;
mod world;
