//! A shared tier of the tests' own, for what a server can't be made to do on demand.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tower_query_cache::{Key, PoolStatus, Store, StoreError, StoreFuture, StoreStatus};

/// Forgets nothing, whatever life it was given, and answers only as the test lets it.
pub struct Hoard {
    values: Mutex<HashMap<Key, Bytes>>,
    /// Lookups that may be answered.
    pub replies: Semaphore,
    /// Writes that may be made.
    pub writes: Semaphore,
    /// Whether writes fail.
    pub refuses: AtomicBool,
}

impl Hoard {
    /// As many permits as no test uses up.
    pub const OPEN: usize = 1 << 20;

    /// Answers everything, until the test takes permits away.
    pub fn open() -> Self {
        Self {
            values: Mutex::default(),
            replies: Semaphore::new(Self::OPEN),
            writes: Semaphore::new(Self::OPEN),
            refuses: AtomicBool::new(false),
        }
    }

    /// Answers no lookup until the test adds permits.
    pub fn gated() -> Self {
        Self { replies: Semaphore::new(0), ..Self::open() }
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
            self.replies.acquire().await.expect("it is never closed").forget();
            Ok(found)
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.writes.acquire().await.expect("it is never closed").forget();
            if self.refuses.load(Ordering::SeqCst) {
                return Err(StoreError::Timeout);
            }
            self.values.lock().unwrap().insert(*key, value);
            Ok(())
        })
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
