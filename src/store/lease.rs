//! A lease that a fill holds: it goes with the entry's write, and back whatever becomes of that.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::tiers::{SharedTier, Target, Tiers};
use super::writer::Writer;
use super::{Lease, Leases, StoreError, guarded};
use crate::entry::Entry;
use crate::key::Key;
use crate::purge::Trust;
use crate::stats::Stats;

/// A lease that is held. Dropped before its value was put, it is given back in the background.
///
/// The fill shares it with its writes, so that the last of them gives it back, if none did with its value.
pub(crate) struct Held {
    key: Key,
    lease: Lease,
    writer: Writer,
    stats: Arc<Stats>,
    /// Whether there is nothing left to give back.
    settled: AtomicBool,
}

impl Held {
    /// Whether this is the lease of `key`.
    pub(crate) fn is_of(&self, key: &Key) -> bool {
        self.key == *key
    }

    /// Puts the value and gives the lease back. False, and nothing is put, if another holder's value is to stand.
    pub(super) async fn commit(
        &self,
        leases: &dyn Leases,
        value: Bytes,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let put = leases.commit(&self.key, &self.lease, value, life).await?;
        self.settled.store(true, Ordering::Relaxed);
        if !put {
            self.stats.lease_fenced();
        }
        Ok(put)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !*self.settled.get_mut() {
            self.writer.give_back(self.key, self.lease.clone());
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("key", &self.key).finish_non_exhaustive()
    }
}

impl SharedTier {
    /// Queues the write of an entry, with the lease of its fill if there is one.
    pub(super) fn put(&self, key: Key, value: Bytes, life: Duration, held: Option<&Arc<Held>>) {
        match held {
            Some(held) => self.writer.push_held(key, value, life, Arc::clone(held)),
            None => self.writer.push(key, value, life),
        }
    }
}

impl Tiers {
    /// Takes the lease of `key` for `life`, if that can be said before `limit`. `None`: another holder has it.
    pub(crate) async fn take_lease(
        &self,
        shared: &SharedTier,
        leases: &dyn Leases,
        key: Key,
        life: Duration,
        limit: Instant,
    ) -> Result<Option<Arc<Held>>, StoreError> {
        let taken = timeout_at(limit, guarded(async { leases.acquire(&key, life).await })).await;
        let taken =
            taken.unwrap_or(Err(StoreError::Timeout)).inspect_err(|error| self.stats.shared_error(error))?;
        Ok(taken.map(|lease| {
            self.stats.lease_acquired();
            let (writer, stats) = (shared.writer.clone(), Arc::clone(&self.stats));
            Arc::new(Held { key, lease, writer, stats, settled: AtomicBool::new(false) })
        }))
    }

    /// Looks in the shared tier once more, on behalf of a request whose miss is counted already.
    pub(crate) async fn look_again(
        &self,
        shared: &SharedTier,
        target: &mut Target,
        request: &HeaderMap,
        limit: Instant,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        let found = async {
            // The journal may have been lost while the lease was waited for.
            if self.purges.trust(false) == Trust::Ask && self.purges.ask(false).await != Trust::Known {
                return Err(StoreError::Unavailable);
            }
            self.search(shared, target, request).await
        };
        let found = timeout_at(limit, guarded(found)).await;
        found.unwrap_or(Err(StoreError::Timeout)).inspect_err(|error| self.stats.shared_error(error))
    }
}

#[cfg(test)]
mod tests;
