//! The journal of a [`MemoryStore`](super::MemoryStore).

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::clock::millis;
use crate::purge::JournalId;
use crate::store::{Append, AppendMode, Appended, Journal, JournalEntry, StoreError, StoreFuture, Tail};

/// Entries that it keeps; the oldest go.
const MAX_ENTRIES: usize = 100_000;

/// A journal in this process. Clones are one journal.
#[derive(Clone, Debug)]
pub(super) struct MemoryJournal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Random: no two stores are one server.
    server: String,
    /// Ids tell the time since.
    origin: Instant,
    log: Mutex<Log>,
    /// The newest entry's id.
    newest: watch::Sender<JournalId>,
}

#[derive(Debug, Default)]
struct Log {
    /// `None`: there is no journal.
    entries: Option<BTreeMap<JournalId, Vec<(Bytes, Bytes)>>>,
    /// The newest id so far of this journal.
    last: JournalId,
    head: Option<Bytes>,
}

impl MemoryJournal {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            server: format!("memory-{:016x}", RandomState::new().hash_one(0_u8)),
            origin: Instant::now(),
            log: Mutex::default(),
            newest: watch::Sender::new(JournalId::ZERO),
        }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, append: &Append) -> Result<Appended, StoreError> {
        let mut log = self.lock();
        let server = self.server.clone();
        log.head = Some(append.head.clone());
        if append.mode == AppendMode::Replace {
            log.entries = None;
            log.last = JournalId::ZERO;
        }
        if log.entries.is_none() {
            if matches!(append.mode, AppendMode::Existing { .. }) {
                return Ok(Appended { id: None, server });
            }
            log.last = JournalId::ZERO;
        }
        let now = JournalId::new(millis(self.origin.elapsed()).saturating_add(1), 0);
        let id = append.id.unwrap_or_else(|| now.max(log.last.next()));
        if id <= log.last {
            return Err(StoreError::Server("ERR: the id isn't above the newest".to_owned()));
        }
        log.last = id;
        let entries = log.entries.get_or_insert_default();
        if let AppendMode::Existing { trim } = append.mode {
            *entries = entries.split_off(&trim);
        }
        entries.insert(id, append.fields.clone());
        while entries.len() > MAX_ENTRIES {
            entries.pop_first();
        }
        drop(log);
        self.newest.send_replace(id);
        Ok(Appended { id: Some(id), server })
    }

    fn range(&self, from: JournalId, count: usize) -> Vec<JournalEntry> {
        let log = self.lock();
        let entries = log.entries.iter().flat_map(|entries| entries.range(from..));
        entries.take(count).map(|(id, fields)| JournalEntry { id: *id, fields: fields.clone() }).collect()
    }
}

impl Journal for MemoryJournal {
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>> {
        Box::pin(async { Ok(Box::new(self.clone()) as Box<dyn Tail>) })
    }

    fn append<'a>(&'a self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Box::pin(async { self.0.append(append) })
    }

    fn head(&self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async { Ok(self.0.lock().head.clone()) })
    }

    fn range(&self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Box::pin(async move { Ok(self.0.range(from, count)) })
    }

    /// There is one server alone.
    fn trust(&self, _: Option<&str>) {}
}

impl Tail for MemoryJournal {
    fn server(&self) -> &str {
        &self.0.server
    }

    fn head(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        Journal::head(self)
    }

    fn range(&mut self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Journal::range(self, from, count)
    }

    fn append<'a>(&'a mut self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Journal::append(self, append)
    }

    fn wait(&mut self, after: JournalId, time: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let mut newest = self.0.newest.subscribe();
            // The sender lives in what `self` keeps.
            Ok(timeout(time, newest.wait_for(|newest| *newest > after)).await.is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn entry(name: &str, mode: AppendMode) -> Append {
        let text = Bytes::copy_from_slice(name.as_bytes());
        Append::new(vec![(Bytes::from_static(b"n"), text.clone())], text, mode)
    }

    async fn append(journal: &MemoryJournal, name: &str, mode: AppendMode) -> Option<JournalId> {
        Journal::append(journal, &entry(name, mode)).await.unwrap().id
    }

    fn ids(journal: &MemoryJournal, from: JournalId) -> Vec<JournalId> {
        journal.0.range(from, 100).into_iter().map(|entry| entry.id).collect()
    }

    const EXISTING: AppendMode = AppendMode::Existing { trim: JournalId::ZERO };

    #[tokio::test(start_paused = true)]
    async fn entries_come_in_order_and_are_made_as_told() {
        let journal = MemoryJournal::new();
        assert_eq!(append(&journal, "a", EXISTING).await, None, "there is no journal");
        assert_eq!(Journal::head(&journal).await.unwrap().unwrap(), "a");
        let one = append(&journal, "b", AppendMode::Create).await.unwrap();
        let two = append(&journal, "c", EXISTING).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let three = append(&journal, "d", AppendMode::Existing { trim: two }).await.unwrap();
        assert!(one < two && two.ms + 1000 == three.ms, "{one} {two} {three}");
        assert_eq!(ids(&journal, JournalId::ZERO), [two, three]);
        assert_eq!(ids(&journal, three), [three]);

        let mut placed = entry("e", EXISTING);
        placed.id = Some(three);
        assert!(Journal::append(&journal, &placed).await.is_err());
        placed.id = Some(three.next());
        assert_eq!(Journal::append(&journal, &placed).await.unwrap().id, placed.id);
        let only = append(&journal, "f", AppendMode::Replace).await.unwrap();
        assert_eq!(ids(&journal, JournalId::ZERO), [only]);
        assert_eq!(Journal::head(&journal).await.unwrap().unwrap(), "f");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tail_waits_for_the_next_entry() {
        let journal = MemoryJournal::new();
        let mut tail = journal.tail().await.unwrap();
        assert_ne!(tail.server(), MemoryJournal::new().tail().await.unwrap().server());
        let start = Instant::now();
        assert!(!tail.wait(JournalId::ZERO, Duration::from_secs(1)).await.unwrap());
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        let mut wait = tail.wait(JournalId::ZERO, Duration::from_secs(1));
        assert!((&mut wait).now_or_never().is_none());
        let id = append(&journal, "a", AppendMode::Create).await.unwrap();
        assert!(wait.now_or_never().unwrap().unwrap());
        assert!(tail.wait(id, Duration::from_secs(1)).now_or_never().is_none(), "after it there is none");
    }
}
