//! The promise of purges on real servers: nodes on one Redis, each behind a proxy of its own, under fills, reads, purges and
//! faults in an order drawn from a seed. What happened is recorded, and held against the promise afterwards.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod broken;
mod checker;
mod node;
mod processes;
mod random;
mod schedule;
