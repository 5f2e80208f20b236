//! The tiers that hold entries.

mod breaker;
mod erase;
#[cfg(feature = "test-util")]
mod fault;
#[cfg(feature = "test-util")]
mod in_process;
mod journal;
mod lease;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod sealed;
#[cfg(test)]
mod testing;
mod tiers;
mod writer;

pub(crate) use self::breaker::{Breaker, BreakerStatus};
#[cfg(feature = "test-util")]
pub use self::fault::{Fault, FaultCounts, FaultStore, InjectedFault, Operation};
#[cfg(feature = "test-util")]
pub use self::in_process::MemoryStore;
pub use self::journal::{Append, AppendMode, Appended, Journal, JournalEntry, Tail};
pub(crate) use self::lease::Held;
pub(crate) use self::memory::Memory;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
pub(crate) use self::sealed::SealedStore;
pub(crate) use self::tiers::{Draft, SharedTier, Target, Tiers, Unanswered};
pub(crate) use self::writer::{Writer, WriterStatus};

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use crate::key::Key;

/// A boxed future of a [`Store`]'s method.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A boxed future of [`Leases::given_back`].
pub type GivenBack<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

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
    /// The server doesn't know what it was asked for.
    #[error("the server doesn't support this: {0}")]
    Unsupported(String),
}

/// A shared tier. Values are opaque bytes; the caller checks them.
///
/// Implementations keep their own time limits: no future may stay pending for ever, but that of [`ready`](Self::ready).
/// The cache has limits of its own beside them.
///
/// After 5 failed lookups in a row a circuit breaker opens, and of all the methods that ask the server only
/// [`probe`](Self::probe) is called until it succeeds. [`StoreError::Unavailable`] counts as a failure if
/// [`last_error`](Self::last_error) says why: while the first connects are under way it doesn't. No failure counts while
/// the store [answers in part](Self::answers_in_part).
pub trait Store: Send + Sync + 'static {
    /// The value under `key`, if there is one.
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>>;

    /// Puts `value` under `key` for `life`, in one atomic step.
    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()>;

    /// Removes what stands under `key`.
    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()>;

    /// Resolves once a connection is up. Starts one if there is none. Callers have a time limit of their own.
    fn ready(&self) -> StoreFuture<'_, ()>;

    /// A sign of life from the server, over a new connection if need be; slower than a lookup may be, it is none. While
    /// the circuit breaker is open this alone is called, once at a time, from a task that ends it after
    /// `connect_timeout` + `lookup_timeout` + 1 s. Default: [`ready`](Self::ready).
    fn probe(&self) -> StoreFuture<'_, ()> {
        self.ready()
    }

    /// Told when the circuit breaker opens (`true`) and when it closes (`false`): in between the store must send
    /// nothing of its own accord. Must not wait, nor ask the cache. Default: nothing.
    fn suspend(&self, suspended: bool) {
        let _ = suspended;
    }

    /// Leases, by which several processes do a piece of work once. Default: none.
    fn leases(&self) -> Option<&dyn Leases> {
        None
    }

    /// The journal of purges, which all who share the store read. Default: none, and then a purge holds in its own process
    /// alone.
    fn journal(&self) -> Option<&dyn Journal> {
        None
    }

    /// Figures from the server itself. The caller asks at most once a second.
    fn status(&self) -> StoreFuture<'_, StoreStatus>;

    /// Figures of the connections, from local counters.
    fn pool(&self) -> PoolStatus;

    /// Why there is no connection, without credentials; `None` while all is well, and while the first are being made.
    fn last_error(&self) -> Option<String> {
        None
    }

    /// Whether a part of the store answers while another fails, as one node of a Cluster: failed lookups don't open the
    /// circuit breaker then. Asked after each of them; must not wait. Default: false.
    fn answers_in_part(&self) -> bool {
        false
    }
}

/// Leases of a [`Store`]: whoever holds the lease of a key fills it, and the other processes wait.
///
/// They save work; nothing is wrong without them. See [`Policy::lease`](crate::Policy::lease) for who asks for them,
/// and the crate's docs for what a waiter does.
pub trait Leases: Send + Sync {
    /// Takes the lease of `key` for `life`. `None`: another holder has it.
    fn acquire<'a>(&'a self, key: &'a Key, life: Duration) -> StoreFuture<'a, Option<Lease>>;

    /// Puts `value` under `key` for `life` and gives the lease back, in one atomic step. False, and nothing is put: the
    /// lease was lost, and another holder has it now, or what stands under `key` isn't what stood there when it was
    /// taken. A lease that merely ran out is no obstacle.
    fn commit<'a>(
        &'a self,
        key: &'a Key,
        lease: &'a Lease,
        value: Bytes,
        life: Duration,
    ) -> StoreFuture<'a, bool>;

    /// Gives the lease back without a value, unless another holder has it by now.
    fn release<'a>(&'a self, key: &'a Key, lease: &'a Lease) -> StoreFuture<'a, ()>;

    /// True when a lease of `key` is given back, with a value or without, by any process after this call. False when one
    /// may have been, because words were missed. It may also miss the word and not know: callers look for themselves from
    /// time to time, and have a time limit of their own.
    fn given_back<'a>(&'a self, key: &Key) -> GivenBack<'a>;
}

/// A holder's proof that it has, or had, a lease: bytes that only their [`Leases`] reads.
#[derive(Clone, PartialEq, Eq)]
pub struct Lease(Bytes);

impl Lease {
    /// A proof of these bytes.
    #[must_use]
    pub const fn new(proof: Bytes) -> Self {
        Self(proof)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Without the bytes: whoever has them can give the lease back.
impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").finish_non_exhaustive()
    }
}

/// What a store does on a request's way. Its panic is a failure like any other, and not the request's.
pub(crate) async fn guarded<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| Err(panicked()))
}

fn panicked() -> StoreError {
    StoreError::Connection("the store panicked".to_owned())
}

/// Figures that a shared tier's server gives; `None` where it doesn't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Keys in the selected database, those of the journal aside.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_not_shown() {
        assert_eq!(format!("{:?}", Some(Lease::new("token".into()))), "Some(Lease { .. })");
    }
}
