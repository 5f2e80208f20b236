//! A store that can't tell other processes of purges.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tower_query_cache::{Key, PoolStatus, Store, StoreFuture, StoreStatus};

/// Another store without its journal and leases.
pub struct WithoutJournal(pub Arc<dyn Store>);

impl Store for WithoutJournal {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        self.0.get(key)
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        self.0.set(key, value, life)
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.0.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.0.ready()
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.0.status()
    }

    fn pool(&self) -> PoolStatus {
        self.0.pool()
    }
}
