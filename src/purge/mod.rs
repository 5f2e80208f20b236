//! Purges: what was let go of, by tag, over all processes that share a store.
//!
//! ```text
//! tag        what an entry is about
//! stamp      positions in the journal; what a fill notes of its start
//! record     the journal's entries on the wire
//! state      what this process knows of the journal, and what follows for an entry; pure
//! journal    how it comes to know, and the purges of this process
//! api        what a purge is asked for by
//! targets    the tags that a URL, or a request, stands for
//! ```

mod api;
mod journal;
mod record;
mod stamp;
mod state;
mod tag;
mod targets;

pub use self::api::{Purge, PurgeError, PurgeFuture, Purged};
pub(crate) use self::journal::Purges;
pub use self::stamp::JournalId;
pub(crate) use self::stamp::{Epoch, Stamp};
pub(crate) use self::state::Validity;
pub use self::tag::{CacheTags, TagError};
pub(crate) use self::tag::{GIVEN_TAGS, MAX_TAGS, Tag, TagScope, check as check_tag};
pub(crate) use self::targets::Tables;
