//! Stores whose journal isn't what it should be, each in one way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tower_query_cache::{
    Append, AppendMode, Appended, Journal, JournalEntry, JournalId, Key, PoolStatus, RedisStore, Store,
    StoreFuture, StoreStatus, Tail,
};

/// What is wrong with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// Nothing.
    Nothing,
    /// A new tail is told nothing of what came before it.
    NoCatchUp,
    /// That the stream is another one, or another server has it, isn't told.
    RegressIgnored,
    /// The head that is told is the one from when it was last asked for.
    StaleHeads,
}

/// A Redis store with such a journal. Clones are one store.
#[derive(Clone)]
pub(crate) struct BrokenStore(Arc<Shared>);

struct Shared {
    inner: RedisStore,
    what: Break,
    told: Mutex<Told>,
}

/// What was told so far.
#[derive(Default)]
struct Told {
    entries: BTreeMap<JournalId, JournalEntry>,
    head: Option<Bytes>,
}

/// The name of every server, where that they change isn't told.
const SERVER: &str = "the same";

impl BrokenStore {
    pub(crate) fn new(inner: RedisStore, what: Break) -> Self {
        Self(Arc::new(Shared { inner, what, told: Mutex::default() }))
    }

    fn journal_of_inner(&self) -> &dyn Journal {
        self.0.inner.journal().expect("a Redis store has a journal")
    }

    fn ignores_regress(&self) -> bool {
        self.0.what == Break::RegressIgnored
    }

    /// What is asked of the server for an append, where a journal that is gone is to be no matter.
    fn asked(&self, append: &Append) -> Append {
        let mut append = append.clone();
        if self.ignores_regress() {
            append.mode = AppendMode::Create;
        }
        append
    }

    /// What is told of it: that it was done by the server that always was there.
    fn appended(&self, appended: Appended) -> Appended {
        if self.ignores_regress() { Appended { server: SERVER.to_owned(), ..appended } } else { appended }
    }

    /// What is told of a range: it begins with what it was asked from, whether that is there or not.
    fn range_from(&self, from: JournalId, mut entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
        if !self.ignores_regress() {
            return entries;
        }
        let mut told = self.0.told.lock().unwrap();
        if entries.first().is_none_or(|first| first.id != from)
            && let Some(known) = told.entries.get(&from)
        {
            entries.insert(0, known.clone());
        }
        for entry in &entries {
            told.entries.insert(entry.id, entry.clone());
        }
        entries
    }
}

impl Store for BrokenStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        self.0.inner.get(key)
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: Duration) -> StoreFuture<'a, ()> {
        self.0.inner.set(key, value, life)
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.0.inner.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.0.inner.ready()
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.0.inner.probe()
    }

    fn suspend(&self, suspended: bool) {
        self.0.inner.suspend(suspended);
    }

    fn journal(&self) -> Option<&dyn Journal> {
        Some(self)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.0.inner.status()
    }

    fn pool(&self) -> PoolStatus {
        self.0.inner.pool()
    }

    fn last_error(&self) -> Option<String> {
        self.0.inner.last_error()
    }
}

impl Journal for BrokenStore {
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>> {
        Box::pin(async move {
            let inner = self.journal_of_inner().tail().await?;
            Ok(Box::new(BrokenTail { inner, store: self.clone(), missed: None }) as Box<dyn Tail>)
        })
    }

    fn append<'a>(&'a self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            let appended = self.journal_of_inner().append(&self.asked(append)).await?;
            Ok(self.appended(appended))
        })
    }

    fn head(&self) -> StoreFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let head = self.journal_of_inner().head().await?;
            if self.0.what != Break::StaleHeads {
                return Ok(head);
            }
            let before = std::mem::replace(&mut self.0.told.lock().unwrap().head, head.clone());
            Ok(before.or(head))
        })
    }

    fn range(&self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Box::pin(async move {
            let entries = self.journal_of_inner().range(from, count).await?;
            Ok(self.range_from(from, entries))
        })
    }

    fn trust(&self, server: Option<&str>) {
        self.journal_of_inner().trust(server.filter(|_| !self.ignores_regress()));
    }
}

struct BrokenTail {
    inner: Box<dyn Tail>,
    store: BrokenStore,
    /// What came before this tail and isn't told, once it was asked where it reads on.
    missed: Option<BTreeSet<JournalId>>,
}

impl Tail for BrokenTail {
    fn server(&self) -> &str {
        if self.store.ignores_regress() { SERVER } else { self.inner.server() }
    }

    fn head(&mut self) -> StoreFuture<'_, Option<Bytes>> {
        self.inner.head()
    }

    fn range(&mut self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>> {
        Box::pin(async move {
            let mut entries = self.inner.range(from, count).await?;
            if self.store.0.what == Break::NoCatchUp && from != JournalId::ZERO {
                let came_before = || entries.iter().map(|entry| entry.id).filter(|id| *id != from).collect();
                let missed = self.missed.get_or_insert_with(came_before);
                entries.retain(|entry| !missed.contains(&entry.id));
            }
            Ok(self.store.range_from(from, entries))
        })
    }

    fn append<'a>(&'a mut self, append: &'a Append) -> StoreFuture<'a, Appended> {
        Box::pin(async move {
            let appended = self.inner.append(&self.store.asked(append)).await?;
            Ok(self.store.appended(appended))
        })
    }

    fn wait(&mut self, after: JournalId, time: Duration) -> StoreFuture<'_, bool> {
        self.inner.wait(after, time)
    }
}
