//! A shared tier of the tests' own, for what a server can't be made to do on demand.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tower_query_cache::{Key, PoolStatus, Store, StoreFuture, StoreStatus};

/// Forgets nothing, whatever life it was given, and answers lookups only as the test lets it.
pub struct Hoard {
    values: Mutex<HashMap<Key, Bytes>>,
    /// Lookups that may be answered.
    pub gate: Semaphore,
}

impl Hoard {
    /// Answers every lookup.
    pub fn open() -> Self {
        Self { values: Mutex::default(), gate: Semaphore::new(Semaphore::MAX_PERMITS) }
    }

    /// Answers none until the test adds permits to the gate.
    pub fn gated() -> Self {
        Self { values: Mutex::default(), gate: Semaphore::new(0) }
    }

    /// Values in it.
    pub fn len(&self) -> usize {
        self.values.lock().unwrap().len()
    }
}

impl Store for Hoard {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        // What is there when it is asked, and not when it may answer.
        let found = self.values.lock().unwrap().get(key).cloned();
        Box::pin(async {
            self.gate.acquire().await.expect("the gate is never closed").forget();
            Ok(found)
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        self.values.lock().unwrap().insert(*key, value);
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.values.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async { Ok(StoreStatus::default()) })
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus::default()
    }
}
