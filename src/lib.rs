#![doc = include_str!("docs/crate.md")]
#![forbid(unsafe_code)]
// Here and not in the manifest, because tests, benches and examples may panic and print.
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr
)]

// In the order of a request's way.
mod config;
mod builder;
mod cache;
mod layer;
mod service;
mod future;
mod request_body;
mod route;
mod policy;
mod key;
mod drive;
mod exchange;
mod look;
mod refresh;
mod origin;
mod fallback;
mod store;
mod entry;
mod flight;
mod purge;
mod body;
mod budget;
mod answer;
mod cache_status;
mod conditional;
mod stats;
mod admin;
mod figures;
mod warm;
mod clock;
mod error;
#[cfg(feature = "test-util")]
pub mod test_util;
#[doc = include_str!("docs/rfc9111.md")]
pub mod rfc9111 {}

pub use self::admin::{Authorize, BearerToken, Denied, PurgeAnswer, PurgeHandler, TokenError};
pub use self::body::CacheBody;
pub use self::builder::CacheBuilder;
pub use self::cache::QueryCache;
pub use self::config::{CacheConfig, LimitsConfig, MemoryConfig, RedisConfig};
pub use self::entry::{KeyRing, SecretKey};
pub use self::error::{ConfigError, PolicyError};
pub use self::future::ResponseFuture;
pub use self::key::Key;
pub use self::layer::CacheLayer;
pub use self::policy::{
    BodyKey, Bypass, CacheTtl, Etag, HeadKey, Keying, NoStore, Policy, PolicyConfig, Preset, Refusal,
    RouteConfig, Routes, RoutesConfig, Stale,
};
pub use self::purge::{CacheTags, JournalId, Purge, PurgeError, PurgeFuture, Purged, TagError};
pub use self::request_body::RequestBody;
pub use self::service::Cache;
pub use self::stats::{StatsFuture, StatsHandler};
#[cfg(feature = "redis")]
pub use self::store::RedisStore;
pub use self::store::{
    Append, AppendMode, Appended, GivenBack, Journal, JournalEntry, Lease, Leases, PoolStatus, Store,
    StoreError, StoreFuture, StoreStatus, Tail,
};
pub use self::warm::Warmed;
