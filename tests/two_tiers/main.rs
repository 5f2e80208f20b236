//! Memory in front of Redis, as one cache: what goes from one to the other, how long it lives, and who is let in.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod min_uses;
mod promotion;

use support::RedisServer;
use support::site::MINUTE;
use support::store::patient;
use tower_query_cache::{MemoryConfig, QueryCache};

/// A handle on the Redis whose memory has room for so many entries of these bytes in all.
async fn handle(redis: &RedisServer, entries: usize, bytes: u64) -> QueryCache {
    let mut memory = MemoryConfig::default();
    memory.max_entries = entries;
    memory.max_bytes = bytes;
    let cache = QueryCache::builder().redis(patient(redis.url())).app("shop").memory(memory).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}
