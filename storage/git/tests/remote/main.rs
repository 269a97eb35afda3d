//! The built-in remote and mirrors, driven by the real `git` client.

#[cfg(test)]
mod consolidate;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod push;
#[cfg(test)]
mod trees;
#[cfg(test)]
mod world;
