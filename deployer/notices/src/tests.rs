//! Shapes of messages, sending them, and that an incident is told once.

mod mail;
mod once;
mod sending;
mod settings;
mod shapes;
mod world;
