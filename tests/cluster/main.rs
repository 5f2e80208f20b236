//! The Redis tier on a Cluster: each key on its node, slots that move, nodes that are gone. Real servers, but where a real
//! one won't say what it shall.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod load;
mod nodes;
mod scripted;
mod slots;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use support::RedisCluster;
use support::store::{key, open, patient};
use tower_query_cache::{Key, RedisStore, Store as _};

/// The name of a key in a store of the test support.
fn name(key: &Key) -> String {
    format!("test:v1:e:{}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

/// A store with a lane to every master.
async fn store(cluster: &RedisCluster) -> Arc<RedisStore> {
    let store = open(&patient(cluster.url()));
    store.ready().await.unwrap();
    store
}

/// A key, and its slot, on the node at this place.
fn key_on(cluster: &RedisCluster, place: usize) -> (Key, u16) {
    (0..=255)
        .map(|number| (key(number), cluster.slot(&name(&key(number)))))
        .find(|(_, slot)| cluster.owner(*slot) == place)
        .expect("a key on each node")
}
