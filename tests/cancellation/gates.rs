//! The points where a fill waits, each with a gate, and a shared tier that has two of them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tower_query_cache::{Key, PoolStatus, RedisStore, Store, StoreFuture, StoreStatus};

/// Where a fill waits, in the order of its way. At each there is a gate that the test opens.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Stage {
    Lookup,
    NotReady,
    Called,
    HeadSent,
    HalfABody,
    Committing,
    Writing,
}

pub(crate) const STAGES: [Stage; 7] = [
    Stage::Lookup,
    Stage::NotReady,
    Stage::Called,
    Stage::HeadSent,
    Stage::HalfABody,
    Stage::Committing,
    Stage::Writing,
];

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lookup => "lookup under way",
            Self::NotReady => "inner service not ready",
            Self::Called => "inner service pending",
            Self::HeadSent => "head sent, body pending",
            Self::HalfABody => "half a body",
            Self::Committing => "committing",
            Self::Writing => "shared tier's write under way",
        })
    }
}

/// Stops whoever comes until it is opened.
pub(crate) struct Gate {
    arrived: AtomicUsize,
    open: Semaphore,
}

impl Gate {
    pub(crate) async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        drop(self.open.acquire().await.expect("never closed"));
    }

    pub(crate) fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }
}

pub(crate) struct Gates([Gate; STAGES.len()]);

impl Gates {
    pub(crate) fn closed() -> Arc<Self> {
        let gate = |_| Gate { arrived: AtomicUsize::new(0), open: Semaphore::new(0) };
        Arc::new(Self(STAGES.map(gate)))
    }

    pub(crate) fn at(&self, stage: Stage) -> &Gate {
        &self.0[stage as usize]
    }

    pub(crate) fn open(&self, stage: Stage) {
        self.at(stage).open.add_permits(1);
    }
}

/// A Redis tier with a gate before lookups and one before writes: what comes after them is the real one's.
pub(crate) struct GatedStore {
    pub(crate) redis: Arc<RedisStore>,
    pub(crate) gates: Arc<Gates>,
}

impl Store for GatedStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async {
            self.gates.at(Stage::Lookup).pass().await;
            self.redis.get(key).await
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.gates.at(Stage::Writing).pass().await;
            self.redis.set(key, value, life).await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.redis.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.redis.ready()
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.redis.probe()
    }

    fn suspend(&self, suspended: bool) {
        self.redis.suspend(suspended);
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.redis.status()
    }

    fn pool(&self) -> PoolStatus {
        self.redis.pool()
    }

    fn last_error(&self) -> Option<String> {
        self.redis.last_error()
    }
}
