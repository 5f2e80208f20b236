//! Purges through whole caches over a real Redis.

#[path = "../support/mod.rs"]
mod support;

mod delay;
mod figures;
mod forged;
mod lost;
mod nodes;
mod outages;
mod overtaken;
mod team;
