//! This process's own purges: into the journal, and into what is known here before they return.

use std::sync::atomic::Ordering;

use tokio::time::timeout;

use super::api::{PurgeError, Purged};
use super::epoch::{Through, epoch_record};
use super::journal::{Inner, Purges};
use super::record::{self, TAGS_PER_RECORD};
use super::stamp::{JournalId, random};
use super::tag::Tag;
use crate::store::{Append, AppendMode, Appended, StoreError};

impl Purges {
    /// Makes a purge.
    pub(crate) async fn purge(&self, tags: &[Tag], soft: bool) -> Result<Purged, PurgeError> {
        self.inner.counters.purges.fetch_add(1, Ordering::Relaxed);
        if self.inner.is_off() {
            let id = self.inner.change(|state| state.purge_alone(tags, soft));
            return if self.shares {
                Err(PurgeError::NoJournal)
            } else {
                Ok(Purged { id, everything: false })
            };
        }
        self.follow();
        self.inner.known_in_time().await;
        let mut purged = Purged { id: JournalId::ZERO, everything: false };
        for (at, chunk) in tags.chunks(TAGS_PER_RECORD).enumerate() {
            match self.inner.append_purge(chunk, soft).await {
                Ok(done) => {
                    purged = Purged { everything: purged.everything || done.everything, ..done };
                }
                Err(error) => {
                    let rest = tags.get(at * TAGS_PER_RECORD..).unwrap_or(chunk);
                    self.inner.counters.failed.fetch_add(1, Ordering::Relaxed);
                    self.inner.change(|state| state.purge_offline(rest, soft));
                    self.inner.pending.notify_one();
                    return Err(PurgeError::Unreached(error));
                }
            }
        }
        Ok(purged)
    }
}

impl Inner {
    /// Appends a purge of a record's tags to the journal, and acts on it.
    pub(super) async fn append_purge(&self, tags: &[Tag], soft: bool) -> Result<Purged, StoreError> {
        let (Some(link), Some(journal)) = (&self.link, self.journal()) else {
            return Err(StoreError::Unavailable);
        };
        // While the breaker is open, the wish to purge starts its probes as that to read does.
        let Some(start) = link.breaker.admit().and_then(|_| self.read().start()) else {
            return Err(StoreError::Unavailable);
        };
        let mut through = Through::Lanes(journal);
        let trim = JournalId::new(start.newest.ms.saturating_sub(link.retention), 0);
        if start.epoch_record < trim {
            // Else the trim would take away the only record of the epoch.
            let mode = AppendMode::Existing { trim: JournalId::ZERO };
            through.append(link, &epoch_record(start.epoch, &start.server, false, mode)).await?;
        }
        let nonce = random();
        let fields = record::purge(start.epoch, nonce, tags, soft);
        let purge = Append::new(fields, record::head(nonce), AppendMode::Existing { trim });
        let Appended { id, server } = through.append(link, &purge).await?;
        if let Some(id) = id
            && server == start.server
            && self.change(|state| state.purged(&start, id, tags, soft))
        {
            return Ok(Purged { id, everything: false });
        }
        tracing::warn!("the purge journal lost its order; a purge lets go of everything");
        self.change(|state| state.forget());
        self.doubt();
        let id = through.begin_epoch(self, link, &server, AppendMode::Create).await?;
        // Another's epoch may have been read meanwhile, and entries made in it.
        self.change(|state| state.ended(id));
        self.doubt();
        Ok(Purged { id, everything: true })
    }

    /// Waits until the journal was read for the first time, or for as long as a write may take.
    async fn known_in_time(&self) {
        let Some(link) = self.link.as_ref().filter(|link| link.breaker.is_closed()) else { return };
        timeout(link.write_timeout, self.known()).await.ok();
    }
}
