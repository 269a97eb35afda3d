//! Webhooks as each forge sends them, from the request to the bundle.

mod accepted;
mod hmac;
mod payload;
mod refused;
mod world;
