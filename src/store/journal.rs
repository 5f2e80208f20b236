//! What the purge journal needs of a store: one stream that only grows, and a key with the nonce of its newest entry.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::StoreFuture;
use crate::purge::JournalId;

/// The journal of a [`Store`](super::Store): a stream of small entries with ascending ids that all processes append to and
/// read, and a *head*, a value that an append replaces in one step with it.
///
/// What the entries say is the cache's business; see the crate's docs for the promise that they keep.
pub trait Journal: Send + Sync {
    /// Opens a tail: a connection of its own, or what does for one. Pends while the store is suspended, and no longer than the
    /// store's own limit for a connect when it isn't.
    fn tail(&self) -> StoreFuture<'_, Box<dyn Tail>>;

    /// Appends an entry, over a connection to the trusted server ([`trust`](Self::trust)).
    fn append<'a>(&'a self, append: &'a Append) -> StoreFuture<'a, Appended>;

    /// The head, from the trusted server; `None` if there is none. Sent after the call.
    fn head(&self) -> StoreFuture<'_, Option<Bytes>>;

    /// At most `count` entries from `from` on, that one included, from the trusted server.
    fn range(&self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>>;

    /// From now on only connections to this server may be used: while others alone are up, the store answers
    /// [`StoreError::Unavailable`](super::StoreError::Unavailable) to lookups, writes, leases and the methods above, but not to
    /// [`tail`](Self::tail), `probe`, `ready` and `status`. When it connects to another server than this one, open tails end, so
    /// that the journal is looked at anew. `None`, as at the start: any server will do.
    ///
    /// In a cluster this is about the server that has the journal alone.
    fn trust(&self, server: Option<&str>);
}

/// A reader of the journal on a connection of its own. An error means that it is over.
pub trait Tail: Send {
    /// The server that it reads from, as told when it connected: the same text for the same history of data alone. A server that
    /// was restarted, or took over from another, is another one. Empty: the store can't tell.
    fn server(&self) -> &str;

    /// The head; `None` if there is none.
    fn head(&mut self) -> StoreFuture<'_, Option<Bytes>>;

    /// At most `count` entries from `from` on, that one included.
    fn range(&mut self, from: JournalId, count: usize) -> StoreFuture<'_, Vec<JournalEntry>>;

    /// Appends an entry on this connection, trusted or not.
    fn append<'a>(&'a mut self, append: &'a Append) -> StoreFuture<'a, Appended>;

    /// True as soon as there is an entry after `after`; false when `time` has passed without one. May end early, either way.
    /// [`StoreError::Unsupported`](super::StoreError::Unsupported) if the server can't wait; the tail isn't over then, and the
    /// caller asks from time to time.
    fn wait(&mut self, after: JournalId, time: Duration) -> StoreFuture<'_, bool>;
}

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its place.
    pub id: JournalId,
    /// Names and values, in their order. Names may repeat.
    pub fields: Vec<(Bytes, Bytes)>,
}

/// What is to be appended. In one atomic step with it, the head becomes [`head`](Self::head).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Append {
    /// The entry's place; `None`: the next one by the server's clock. One that isn't above the newest entry's is an error.
    pub id: Option<JournalId>,
    /// Names and values.
    pub fields: Vec<(Bytes, Bytes)>,
    /// The new head.
    pub head: Bytes,
    /// What becomes of the journal.
    pub mode: AppendMode,
}

/// What an append does to the journal around its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendMode {
    /// A journal that isn't there isn't made: [`Appended::id`] is `None` then. Entries below the id may go (`MINID ~`).
    Existing {
        /// Where the journal may begin.
        trim: JournalId,
    },
    /// A journal that isn't there is made.
    Create,
    /// All of the journal goes first.
    Replace,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The entry's place; `None`: there is no journal, and none was made.
    pub id: Option<JournalId>,
    /// The server that did it, as [`Tail::server`].
    pub server: String,
}

impl Append {
    /// Of an entry whose place the server finds.
    #[must_use]
    pub const fn new(fields: Vec<(Bytes, Bytes)>, head: Bytes, mode: AppendMode) -> Self {
        Self { id: None, fields, head, mode }
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Append").field("id", &self.id).field("mode", &self.mode).finish_non_exhaustive()
    }
}
