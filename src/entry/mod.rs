//! Stored responses, and the record that tells a resource's variants apart.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::clock::Millis;
use crate::key::Key;

/// What a store holds under one key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    /// A response.
    Entry(Entry),
    /// The resource varies: its entries stand under keys of their own.
    Vary(VaryRecord),
}

/// A stored response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key it was stored under: the primary key, or a variant's.
    pub(crate) key: Key,
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields, without hop-by-hop and per-request ones.
    pub(crate) headers: HeaderMap,
    /// The whole body.
    pub(crate) body: Bytes,
    /// When the response was received.
    pub(crate) stored_at: Millis,
    /// Its age when it was received, milliseconds.
    pub(crate) initial_age: Millis,
    /// Freshness lifetime, milliseconds, counted from age 0.
    pub(crate) lifetime: Millis,
}

impl Entry {
    /// Current age ([RFC 9111 §4.2.3]). A clock that steps back gives the initial age, never less.
    ///
    /// [RFC 9111 §4.2.3]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3
    pub(crate) fn age(&self, now: Millis) -> Duration {
        Duration::from_millis(self.initial_age.saturating_add(now.saturating_sub(self.stored_at)))
    }

    /// How long it stays fresh; `None` once it is stale.
    pub(crate) fn fresh_for(&self, now: Millis) -> Option<Duration> {
        let left = Duration::from_millis(self.lifetime).checked_sub(self.age(now))?;
        (!left.is_zero()).then_some(left)
    }
}

/// Which request fields tell a resource's variants apart, and which variants there are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VaryRecord {
    /// The primary key it is stored under.
    pub(crate) key: Key,
    /// Names of the request fields, sorted, without repeats.
    pub(crate) fields: Vec<HeaderName>,
    /// The variants: the first 64 bits of their keys, and when they end.
    pub(crate) variants: Vec<(u64, Millis)>,
}
