//! Handles with keys over a real Redis: what they store, what they find, and what they leave alone; and erasing.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod erasing;
mod rotation;
mod values;

use support::RedisServer;
use support::http::{ok, ok_with};
use support::site::{MINUTE, Site};
use support::store::patient;
use tower_query_cache::{CacheBuilder, KeyRing, Policy, QueryCache, SecretKey};

/// The secret of all names.
const NAMES: u8 = 200;

/// What a lookup comes to that finds nothing, for a site that never stores.
const NOT_FOUND: &str = "tower-query-cache; fwd=miss; detail=no-store";

/// How a handle keeps its values from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Sealed,
    #[cfg(feature = "encrypt")]
    Encrypted,
    #[cfg(feature = "encrypt")]
    Both,
}

impl Way {
    /// Those that need keys.
    const KEYED: &[Self] = &[
        Self::Sealed,
        #[cfg(feature = "encrypt")]
        Self::Encrypted,
        #[cfg(feature = "encrypt")]
        Self::Both,
    ];

    /// A handle's settings, with keys of one repeated byte.
    fn on(self, redis: &RedisServer, keys: &[u8]) -> CacheBuilder {
        let builder = QueryCache::builder().redis(patient(redis.url())).app("shop");
        let (first, rest) = keys.split_first().unwrap();
        let secret = |number: &u8| SecretKey::new([*number; 32]);
        let ring = rest.iter().fold(KeyRing::new(secret(first)), |ring, key| ring.reads(secret(key)));
        match self {
            Self::Plain => builder,
            Self::Sealed => builder.seal(ring, secret(&NAMES)),
            #[cfg(feature = "encrypt")]
            Self::Encrypted => builder.encrypt(ring),
            #[cfg(feature = "encrypt")]
            Self::Both => builder.seal(KeyRing::new(secret(&100)), secret(&NAMES)).encrypt(ring),
        }
    }

    /// A handle with these keys, connected.
    async fn handle(self, redis: &RedisServer, keys: &[u8]) -> QueryCache {
        let cache = self.on(redis, keys).build().unwrap();
        assert!(cache.ready(MINUTE).await);
        cache
    }

    /// A handle, and a site on it that stores `body`.
    async fn writer(self, redis: &RedisServer, keys: &[u8], body: &'static str) -> (QueryCache, Site) {
        let cache = self.handle(redis, keys).await;
        let site = Site::new(&cache, Policy::ttl(MINUTE), move |_| ok(body));
        (cache, site)
    }

    /// A handle, and a site on it that finds what others stored, and never stores anything itself.
    async fn reader(self, redis: &RedisServer, keys: &[u8]) -> (QueryCache, Site) {
        let cache = self.handle(redis, keys).await;
        let site =
            Site::new(&cache, Policy::ttl(MINUTE), |_| ok_with(&[("cache-control", "no-store")], "own"));
        (cache, site)
    }
}

/// The names of the values.
fn entries(redis: &RedisServer) -> Vec<String> {
    redis.keys().into_iter().filter(|key| key.contains(":v1:e:")).collect()
}

fn value(redis: &RedisServer, key: &str) -> Vec<u8> {
    redis.call(&[b"GET", key.as_bytes()])
}

fn put(redis: &RedisServer, key: &str, value: &[u8]) {
    assert_eq!(redis.call(&[b"SET", key.as_bytes(), value, b"EX", b"600"]), b"OK");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
