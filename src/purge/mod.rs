//! Purges: what was let go of, by tag, over all processes that share a store.
//!
//! ```text
//! tag        what an entry is about
//! stamp      positions in the journal; what a fill notes of its start
//! record     the journal's entries on the wire
//! state      what this process knows of the journal, and what follows for an entry; pure
//! journal    asked on every read
//! tail       how it comes to know: reads the journal from its start, and then what comes
//! heads      how it makes sure, where a request wants to be sure
//! own        the purges of this process
//! epoch      a new beginning, after which all from before is gone
//! api        what a purge is asked for by
//! erase      the same, and the bytes go too
//! targets    the tags that a URL, or a request, stands for
//! ```

mod api;
mod epoch;
mod erase;
mod heads;
mod journal;
#[cfg(test)]
mod model;
mod own;
mod record;
mod stamp;
mod state;
mod tag;
mod tail;
mod targets;

pub use self::api::{Purge, PurgeError, PurgeFuture, Purged};
pub(crate) use self::journal::{JournalStatus, Purges, Trust};
pub use self::stamp::JournalId;
pub(crate) use self::stamp::{Epoch, Stamp};
pub(crate) use self::state::Validity;
pub use self::tag::{CacheTags, TagError};
pub(crate) use self::tag::{GIVEN_TAGS, MAX_TAGS, Tag, TagScope, check as check_tag};
pub(crate) use self::targets::Tables;
