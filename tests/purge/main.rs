//! Purges through whole caches over a real Redis.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod delay;
mod figures;
mod forged;
mod lost;
mod modes;
mod nodes;
mod outages;
mod overtaken;
mod retention;
mod team;
