//! A store as a handle with keys sees it: under other names, and with values that others can't make or read.
//!
//! All that goes out by a key goes through here: values, leases and the words about them. What comes back plain is what
//! the cache wrote; of what else it finds the decoder hears whether to leave it alone or to remove it. Values are closed
//! when they are written, behind the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{GivenBack, Journal, Lease, Leases, PoolStatus, Store, StoreError, StoreFuture, StoreStatus};
use crate::entry::Seals;
use crate::key::Key;

pub(crate) struct SealedStore {
    inner: Arc<dyn Store>,
    seals: Seals,
}

impl SealedStore {
    pub(crate) fn new(inner: Arc<dyn Store>, seals: Seals) -> Self {
        Self { inner, seals }
    }

    fn inner_leases(&self) -> Result<&dyn Leases, StoreError> {
        self.inner.leases().ok_or(StoreError::Unavailable)
    }
}

impl Store for SealedStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let name = self.seals.name(key);
            let value = self.inner.get(&name).await?;
            Ok(value.map(|value| self.seals.open(&name, value).unwrap_or_else(|error| error.example())))
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let name = self.seals.name(key);
            let closed = self.seals.close(&name, &value)?;
            drop(value);
            self.inner.set(&name, closed, life).await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.inner.remove(&self.seals.name(key)).await })
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.inner.ready()
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.inner.probe()
    }

    fn suspend(&self, suspended: bool) {
        self.inner.suspend(suspended);
    }

    fn leases(&self) -> Option<&dyn Leases> {
        self.inner.leases().map(|_| self as &dyn Leases)
    }

    fn journal(&self) -> Option<&dyn Journal> {
        self.inner.journal()
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.inner.status()
    }

    fn pool(&self) -> PoolStatus {
        self.inner.pool()
    }

    fn last_error(&self) -> Option<String> {
        self.inner.last_error()
    }
}

impl Leases for SealedStore {
    fn acquire<'a>(&'a self, key: &'a Key, life: Duration) -> StoreFuture<'a, Option<Lease>> {
        Box::pin(async move { self.inner_leases()?.acquire(&self.seals.name(key), life).await })
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        lease: &'a Lease,
        value: Bytes,
        life: Duration,
    ) -> StoreFuture<'a, bool> {
        Box::pin(async move {
            let name = self.seals.name(key);
            let closed = self.seals.close(&name, &value)?;
            drop(value);
            self.inner_leases()?.commit(&name, lease, closed, life).await
        })
    }

    fn release<'a>(&'a self, key: &'a Key, lease: &'a Lease) -> StoreFuture<'a, ()> {
        Box::pin(async move { self.inner_leases()?.release(&self.seals.name(key), lease).await })
    }

    fn given_back<'a>(&'a self, key: &Key) -> GivenBack<'a> {
        match self.inner_leases() {
            Ok(leases) => leases.given_back(&self.seals.name(key)),
            Err(_) => Box::pin(std::future::pending()),
        }
    }
}
