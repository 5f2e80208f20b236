//! Purges: what was let go of, by tag, over all processes that share a store.
//!
//! ```text
//! tag        what an entry is about
//! stamp      positions in the journal; what a fill notes of its start
//! record     the journal's entries on the wire
//! state      what this process knows of the journal, and what follows for an entry; pure
//! journal    how it comes to know, and the purges of this process
//! api        what a purge is asked for by
//! ```

mod api;
mod journal;
#[cfg(test)]
mod model;
mod record;
mod stamp;
mod state;
mod tag;

pub use self::api::{Purge, PurgeError, PurgeFuture, Purged};
pub(crate) use self::journal::Purges;
pub use self::stamp::JournalId;
pub(crate) use self::stamp::{Epoch, Stamp};
pub(crate) use self::state::Validity;
pub use self::tag::{CacheTags, TagError};
pub(crate) use self::tag::{MAX_TAGS, Tag, TagScope, check as check_tag};
