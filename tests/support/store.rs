//! Stores over the servers of this module, and what tests ask of them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tower_query_cache::{Key, RedisConfig, RedisStore, Store, StoreError};

use super::RedisServer;

/// A life that no test outlasts.
pub const LIFE: Duration = Duration::from_secs(60);

/// What a lookup may take over its limit before a test fails; it only has to tell milliseconds from for ever.
pub const SLACK: Duration = Duration::from_secs(1);

/// The defaults, but for the URL.
pub fn config(url: String) -> RedisConfig {
    let mut config = RedisConfig::default();
    config.url = url;
    config
}

/// A store with a lookup limit that a busy machine doesn't reach.
pub fn patient(url: String) -> RedisConfig {
    let mut config = config(url);
    config.lookup_timeout = Duration::from_secs(5);
    config
}

/// A store whose keys start with `test:`.
pub fn open(config: &RedisConfig) -> Arc<RedisStore> {
    Arc::new(RedisStore::new(config, "test").unwrap())
}

/// A store with a read lane up.
pub async fn connected(server: &RedisServer) -> Arc<RedisStore> {
    let store = open(&patient(server.url()));
    store.ready().await.unwrap();
    store
}

/// Makes the user of the ACL rule in the docs. The URL for it.
pub fn documented_user(server: &RedisServer) -> String {
    add_documented_user(server);
    server.url().replace("redis://", "redis://cache:secret@")
}

/// The ACL rule in the docs, part by part, from `on` on.
pub fn documented_rule() -> Vec<&'static str> {
    let rule = include_str!("../../src/docs/crate.md")
        .lines()
        .find_map(|line| line.strip_prefix("ACL SETUSER cache "))
        .expect("the rule in the docs");
    rule.split(' ').collect()
}

/// Makes the user of the ACL rule in the docs.
pub fn add_documented_user(server: &RedisServer) {
    add_user(server, &documented_rule());
}

/// Makes a user `cache` of this ACL rule.
pub fn add_user(server: &RedisServer, rule: &[&str]) {
    let command = [&["ACL", "SETUSER", "cache"], rule].concat();
    assert_eq!(server.cli(&command).trim(), "OK");
}

/// A key of one repeated byte.
pub fn key(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

/// A value of `size` bytes.
pub fn value(size: usize) -> Bytes {
    Bytes::from(vec![b'v'; size])
}

/// A lookup that must end long before a test's patience does.
pub async fn bounded(store: &RedisStore, key: &Key) -> Result<Option<Bytes>, StoreError> {
    tokio::time::timeout(SLACK, store.get(key)).await.expect("a lookup ends in time")
}

/// The name of `key(0)` in Redis.
pub fn name_of_key_0() -> String {
    format!("test:v1:e:{}", "A".repeat(43))
}

/// Time goes by at once, for timers too; before and after it goes as ever, so that servers answer. On a runtime of one
/// thread alone.
pub async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Field `name` of every line of `CLIENT LIST`.
pub fn clients(server: &RedisServer, name: &str) -> Vec<String> {
    let list = server.cli(&["CLIENT", "LIST"]);
    let field =
        |line: &str| Some(line.split(' ').find_map(|f| f.strip_prefix(name)?.strip_prefix('='))?.to_owned());
    list.lines().filter_map(field).collect()
}
