//! Taking back what is to be written under a key, and removing what stands there.

use std::pin::pin;

use tokio::time::timeout;

use super::{Queue, Writer};
use crate::key::Key;
use crate::store::{StoreError, guarded};

impl Writer {
    /// Takes back what waits to be written under `key`, and waits for what is being written.
    ///
    /// # Errors
    ///
    /// It isn't done in the time for a write.
    pub(crate) async fn withdraw(&self, key: &Key) -> Result<(), StoreError> {
        let withdrawn = async {
            loop {
                let mut done = pin!(self.0.done.notified());
                done.as_mut().enable();
                if self.0.lock().withdraw(key) {
                    return;
                }
                done.await;
            }
        };
        timeout(self.0.write_timeout, withdrawn).await.map_err(|_| StoreError::Timeout)
    }

    /// Removes what stands under `key`, past the queue and instead of what waits there.
    ///
    /// # Errors
    ///
    /// It isn't done in the time for a write, or the store says why not.
    pub(crate) async fn erase(&self, key: &Key) -> Result<(), StoreError> {
        self.withdraw(key).await?;
        let removed = timeout(self.0.write_timeout, guarded(self.0.store.remove(key))).await;
        removed.unwrap_or(Err(StoreError::Timeout))
    }
}

impl Queue {
    /// Drops what waits under `key`. Whether nothing is being written either.
    fn withdraw(&mut self, key: &Key) -> bool {
        if let Some(op) = self.waiting.remove(key) {
            self.status.queued_entries -= 1;
            self.status.queued_bytes -= op.bytes();
            self.status.superseded += 1;
            self.order.retain(|waiting| waiting != key);
        }
        !self.running.contains(key)
    }
}
