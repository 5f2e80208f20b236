//! The example `hyper_gateway` as a process of its own, between clients and an upstream that speak HTTP/1.1 by hand.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod wire;

mod bounds;
mod connections;
mod fields;
mod framing;
mod interim;
mod targets;
