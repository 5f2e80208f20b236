//! For tests of services and of stores.
//!
//! [`FaultStore`] injects faults between the cache and its shared tier; [`MemoryStore`] is a shared tier that needs no
//! server; a [`ManualClock`] moves when it is told to. [`entry`] makes values as the cache writes them, and [`body`]
//! checks them as it does what it reads: for tests and benches of a [`Store`](crate::Store).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

pub use crate::clock::ManualClock;
use crate::entry::{self, Entry, EntryHead, Record, Windows};
use crate::key::Key;
use crate::purge::{Epoch, JournalId, Stamp};
pub use crate::store::{Fault, FaultCounts, FaultStore, InjectedFault, MemoryStore, Operation};

/// A value as the cache would store it under `key`: a 200 with `fields` and `body`, fresh for an hour from the Unix
/// epoch.
///
/// `None` if a field's name or value isn't one.
#[must_use]
pub fn entry(key: &Key, fields: &[(&str, &str)], body: Bytes) -> Option<Bytes> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_str(value).ok()?);
    }
    let head = EntryHead {
        key,
        status: StatusCode::OK,
        headers: &headers,
        stored_at: 0,
        initial_age: 0,
        lifetime: 3_600_000,
        windows: Windows::default(),
        stamp: Stamp::foreign(Epoch::NONE, JournalId::ZERO),
        tags: &[],
    };
    Some(Entry::seal(head, &[body]).ok()?.1)
}

/// Decodes `value` as a lookup of `key` does, and gives its body; `None` where a lookup would see a miss.
#[must_use]
pub fn body(key: &Key, value: Bytes) -> Option<Bytes> {
    match entry::decode(value, key) {
        Ok(Record::Entry(entry)) => Some(entry.body),
        Ok(Record::Vary(_)) | Err(_) => None,
    }
}
