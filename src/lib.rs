//! A tower [`Layer`](tower_layer::Layer) that answers repeated requests from a cache.
#![forbid(unsafe_code)]

mod clock;
mod config;
mod entry;
mod error;
mod key;
mod policy;
mod store;

pub use self::config::{CacheConfig, LimitsConfig, MemoryConfig, RedisConfig};
pub use self::error::{ConfigError, PolicyError};
pub use self::key::Key;
pub use self::policy::{BodyKey, Bypass, CacheTtl, Etag, HeadKey, NoStore, Policy, PolicyConfig, Refusal};
#[cfg(feature = "redis")]
pub use self::store::RedisStore;
pub use self::store::{PoolStatus, Store, StoreError, StoreFuture, StoreStatus, WriterStatus};
