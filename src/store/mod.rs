//! The tiers that hold entries.

mod memory;
#[cfg(feature = "redis")]
mod redis;
mod tiers;
mod writer;

pub(crate) use self::memory::Memory;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub(crate) use self::tiers::{Draft, SharedTier, Target, Tiers};
pub(crate) use self::writer::{Writer, WriterStatus};

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use crate::key::Key;

/// A boxed future of a [`Store`]'s method.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store couldn't do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no connection now; one is being made.
    #[error("not connected")]
    Unavailable,
    /// No answer in time.
    #[error("timed out")]
    Timeout,
    /// The connection broke.
    #[error("connection: {0}")]
    Connection(String),
    /// The server answered with an error, such as `OOM` or `LOADING`.
    #[error("server: {0}")]
    Server(String),
}

/// A shared tier. Values are opaque bytes; the caller checks them.
///
/// Implementations keep their own time limits: no future may stay pending for ever.
pub trait Store: Send + Sync + 'static {
    /// The value under `key`, if there is one.
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>>;

    /// Puts `value` under `key` for `life`, in one atomic step.
    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()>;

    /// Removes what stands under `key`.
    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()>;

    /// Resolves once a connection is up. Starts one if there is none.
    fn ready(&self) -> StoreFuture<'_, ()>;

    /// Figures from the server itself. The caller asks at most once a second.
    fn status(&self) -> StoreFuture<'_, StoreStatus>;

    /// Figures of the connections, from local counters.
    fn pool(&self) -> PoolStatus;

    /// Why there is no connection, without credentials; `None` while all is well.
    fn last_error(&self) -> Option<String> {
        None
    }
}

/// Figures that a shared tier's server gives; `None` where it doesn't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Keys in the selected database.
    pub keys: Option<u64>,
    /// Memory in use, as the server writes it, such as `1.5M`.
    pub memory_used: Option<String>,
    /// Seconds since the server started.
    pub uptime_seconds: Option<u64>,
}

/// Connections of a shared tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct PoolStatus {
    /// The most that may be open.
    pub max_connections: usize,
    /// Open now.
    pub connections_created: usize,
    /// Open without a command outstanding.
    pub available_connections: usize,
    /// Open with a command outstanding.
    pub in_use_connections: usize,
}
