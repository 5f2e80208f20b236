//! Removing what stands under a key, and waiting until it is done.

use tokio::time::timeout;

use super::memory::Cached;
use super::tiers::{SharedTier, Tiers};
use super::{StoreError, guarded};
use crate::entry::{self, Record};
use crate::key::Key;

/// Variants that are removed by one list. Lists that the cache wrote have no more.
const MAX_VARIANTS: usize = 16;

impl Tiers {
    /// The variants of a primary key that either tier's list names, as far as that can be asked.
    pub(crate) async fn listed(&self, primary: &Key) -> Vec<Key> {
        let mut keys = self.listed_here(primary);
        if let Some(shared) = self.shared.as_ref().filter(|shared| shared.breaker.is_closed()) {
            keys.extend(shared.variants(primary).await.unwrap_or_default());
        }
        keys
    }

    fn listed_here(&self, primary: &Key) -> Vec<Key> {
        match self.memory.get(primary) {
            Some(Cached::Vary(record)) => record.variants.iter().map(|(key, _)| *key).collect(),
            _ => Vec::new(),
        }
    }

    /// Removes the entry of a primary key, or the list of its variants and those, and what was listed before.
    ///
    /// # Errors
    ///
    /// The shared tier couldn't be asked, or wasn't done in time.
    pub(crate) async fn erase(&self, primary: &Key, listed: Vec<Key>) -> Result<(), StoreError> {
        let mut keys = listed;
        keys.extend(self.listed_here(primary));
        keys.iter().chain([primary]).for_each(|key| self.memory.remove(key));
        if let Some(shared) = &self.shared {
            if !shared.breaker.is_closed() {
                return Err(StoreError::Unavailable);
            }
            // NOTE: before the look: what is on its way would come after it.
            shared.writer.withdraw(primary).await?;
            let listed = shared.variants(primary).await?;
            listed.iter().for_each(|key| self.memory.remove(key));
            keys.extend(listed);
            keys.sort_unstable_by_key(|key| *key.as_bytes());
            keys.dedup();
            for key in &keys {
                shared.writer.erase(key).await?;
            }
            // Last, so that another try finds the variants again.
            shared.writer.erase(primary).await?;
        }
        Ok(())
    }
}

impl SharedTier {
    /// The variants that the list under `primary` names, if there is one.
    async fn variants(&self, primary: &Key) -> Result<Vec<Key>, StoreError> {
        let found = timeout(self.lookup_timeout, guarded(self.store.get(primary))).await;
        let Some(found) = found.unwrap_or(Err(StoreError::Timeout))? else { return Ok(Vec::new()) };
        match entry::decode(found, primary) {
            Ok(Record::Vary(record)) => {
                Ok(record.variants.iter().map(|(key, _)| *key).take(MAX_VARIANTS).collect())
            }
            _ => Ok(Vec::new()),
        }
    }
}
