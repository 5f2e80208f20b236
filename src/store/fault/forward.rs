//! The operations: each struck as the faults say, else handed on as it is.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::{FaultStore, Operation, Shared, Strike};
use crate::key::Key;
use crate::store::{
    GivenBack, Journal, Lease, Leases, PoolStatus, Store, StoreError, StoreFuture, StoreStatus,
};

/// `operation`, after what strikes it.
pub(super) async fn after<T>(
    strike: Option<Strike>,
    operation: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    if let Some(strike) = strike {
        strike.endure().await?;
    }
    operation.await
}

impl Store for FaultStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        let strike = self.0.strike(Operation::Get, Some(key));
        Box::pin(async move {
            if let Some(strike) = &strike {
                strike.endure().await?;
            }
            let value = self.0.inner.get(key).await?;
            let handed_out = match (&value, &strike) {
                (Some(value), Some(strike)) => Some(self.0.corrupted(key, value.clone(), strike)),
                _ => value.clone(),
            };
            if let Some(value) = &value {
                self.0.remember(key, value);
            }
            Ok(handed_out)
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        let strike = self.0.strike(Operation::Set, Some(key));
        Box::pin(after(strike, async move {
            self.0.remember(key, &value);
            self.0.inner.set(key, value, life).await
        }))
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        let strike = self.0.strike(Operation::Remove, Some(key));
        Box::pin(after(strike, async move { self.0.inner.remove(key).await }))
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        let strike = self.0.strike(Operation::Ready, None);
        Box::pin(after(strike, async move { self.0.inner.ready().await }))
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        let strike = self.0.strike(Operation::Probe, None);
        Box::pin(after(strike, async move { self.0.inner.probe().await }))
    }

    fn suspend(&self, suspended: bool) {
        self.0.inner.suspend(suspended);
    }

    fn leases(&self) -> Option<&dyn Leases> {
        self.0.inner.leases().map(|_| &*self.0 as &dyn Leases)
    }

    fn journal(&self) -> Option<&dyn Journal> {
        self.0.inner.journal().map(|_| &self.0 as &dyn Journal)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        let strike = self.0.strike(Operation::Status, None);
        Box::pin(after(strike, async move { self.0.inner.status().await }))
    }

    fn pool(&self) -> PoolStatus {
        self.0.inner.pool()
    }

    fn last_error(&self) -> Option<String> {
        self.0.inner.last_error()
    }
}

impl Shared {
    fn inner_leases(&self) -> Result<&dyn Leases, StoreError> {
        self.inner.leases().ok_or(StoreError::Unavailable)
    }
}

impl Leases for Shared {
    fn acquire<'a>(&'a self, key: &'a Key, life: Duration) -> StoreFuture<'a, Option<Lease>> {
        let strike = self.strike(Operation::Acquire, Some(key));
        Box::pin(after(strike, async move { self.inner_leases()?.acquire(key, life).await }))
    }

    fn commit<'a>(
        &'a self,
        key: &'a Key,
        lease: &'a Lease,
        value: Bytes,
        life: Duration,
    ) -> StoreFuture<'a, bool> {
        let strike = self.strike(Operation::Commit, Some(key));
        Box::pin(after(strike, async move {
            self.remember(key, &value);
            self.inner_leases()?.commit(key, lease, value, life).await
        }))
    }

    fn release<'a>(&'a self, key: &'a Key, lease: &'a Lease) -> StoreFuture<'a, ()> {
        let strike = self.strike(Operation::Release, Some(key));
        Box::pin(after(strike, async move { self.inner_leases()?.release(key, lease).await }))
    }

    fn given_back<'a>(&'a self, key: &Key) -> GivenBack<'a> {
        let strike = self.strike(Operation::GivenBack, Some(key));
        // Asked for now: what is given back from here on counts, whenever the future is polled.
        let given_back = self.inner_leases().map(|leases| leases.given_back(key));
        Box::pin(async move {
            if let Some(strike) = strike
                && strike.endure().await.is_err()
            {
                strike.hang().await;
            }
            match given_back {
                Ok(given_back) => given_back.await,
                Err(_) => std::future::pending().await,
            }
        })
    }
}
