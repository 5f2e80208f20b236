//! Beginning an epoch: a record with a new token, above all that this process has seen. Everything from before is gone.

use std::sync::atomic::Ordering;

use tokio::time::timeout;

use super::journal::{Inner, Link};
use super::record;
use super::stamp::{Epoch, JournalId, random};
use crate::store::{Append, AppendMode, Appended, Journal, StoreError, Tail, guarded};

/// The connection that an entry goes over.
pub(super) enum Through<'a> {
    /// The tail's own.
    Tail(&'a mut dyn Tail),
    /// One that requests use too.
    Lanes(&'a dyn Journal),
}

impl Through<'_> {
    pub(super) async fn append(&mut self, link: &Link, what: &Append) -> Result<Appended, StoreError> {
        let append = match self {
            Self::Tail(tail) => tail.append(what),
            Self::Lanes(journal) => journal.append(what),
        };
        timeout(link.write_timeout, guarded(append)).await.unwrap_or(Err(StoreError::Timeout))
    }

    /// Begins an epoch on `server`. Gives the id of its record.
    pub(super) async fn begin_epoch(
        &mut self,
        inner: &Inner,
        link: &Link,
        server: &str,
        mode: AppendMode,
    ) -> Result<JournalId, StoreError> {
        inner.counters.epochs.fetch_add(1, Ordering::Relaxed);
        let above = inner.read().above();
        let first = self.append(link, &epoch_record(Epoch::random(), server, true, mode)).await?;
        let id = first.id.unwrap_or(above);
        if id >= above || mode == AppendMode::Replace {
            return Ok(id);
        }
        // The server's clock stepped back: nothing that this process has seen may be above the epoch's start.
        let again =
            Append { id: Some(above), ..epoch_record(Epoch::random(), server, true, AppendMode::Create) };
        Ok(self.append(link, &again).await?.id.unwrap_or(above))
    }
}

/// The record that says which epoch it is, and where; it begins it, or renews it.
pub(super) fn epoch_record(epoch: Epoch, server: &str, begins: bool, mode: AppendMode) -> Append {
    let nonce = random();
    Append::new(record::epoch(epoch, nonce, server, begins), record::head(nonce), mode)
}
