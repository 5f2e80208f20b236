//! Purges through whole caches over a real Redis.

#[path = "../support/mod.rs"]
mod support;

mod nodes;
