//! A tower [`Layer`](tower_layer::Layer) that answers repeated requests from a cache.
#![forbid(unsafe_code)]

mod clock;
mod config;
#[allow(dead_code, unused_imports)]
mod entry;
mod error;
#[allow(dead_code, unused_imports)]
mod key;
#[allow(dead_code, unused_imports)]
mod policy;
#[allow(dead_code, unused_imports)]
mod stats;
mod store;

pub use self::config::{CacheConfig, LimitsConfig, MemoryConfig, RedisConfig};
pub use self::error::{ConfigError, PolicyError};
pub use self::key::Key;
pub use self::policy::{
    BodyKey, Bypass, CacheTtl, Etag, HeadKey, Keying, NoStore, Policy, PolicyConfig, Refusal, RouteConfig,
    Routes, RoutesConfig,
};
pub use self::policy::{BodyKey, Bypass, CacheTtl, Etag, HeadKey, NoStore, Policy, PolicyConfig, Refusal};
pub use self::stats::{StatsFuture, StatsHandler};
pub use self::store::{PoolStatus, Store, StoreError, StoreFuture, StoreStatus};
#[cfg(feature = "redis")]
pub use self::store::RedisStore;
pub use self::store::{PoolStatus, Store, StoreError, StoreFuture, StoreStatus, WriterStatus};
