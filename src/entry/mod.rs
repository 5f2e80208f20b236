//! Stored responses, and the record that tells a resource's variants apart.

mod codec;
mod seal;
mod wire;

#[cfg(test)]
mod tests;

#[cfg(feature = "redis")]
pub(crate) use self::codec::VERSION;
pub(crate) use self::codec::{DecodeError, MAX_HEADERS, decode, encode};
pub use self::seal::{KeyRing, SecretKey};
pub(crate) use self::seal::{SealConfig, Seals};

use std::borrow::Cow;
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::clock::{Millis, millis};
use crate::conditional::kept;
use crate::key::Key;
use crate::policy::{Etag, Refusal, etag};
use crate::purge::{Stamp, Tag};

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
    /// What it is good for after that.
    pub(crate) windows: Windows,
    /// How far purges were known when its fill began.
    pub(crate) stamp: Stamp,
    /// What it is about.
    pub(crate) tags: Box<[Tag]>,
    /// When it was last found to be untouched by purges.
    pub(crate) checked: Checked,
}

/// The generation of the purges known, plus 1, in which an entry was last found untouched; 0: never. No part of the entry:
/// clones begin anew, and all are equal.
#[derive(Debug, Default)]
pub(crate) struct Checked(AtomicU64);

impl Checked {
    /// Whether it was found untouched in `generation`.
    pub(crate) fn is(&self, generation: u64) -> bool {
        self.0.load(Ordering::Relaxed) == generation.wrapping_add(1)
    }

    pub(crate) fn mark(&self, generation: u64) {
        self.0.store(generation.wrapping_add(1), Ordering::Relaxed);
    }
}

impl Clone for Checked {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Checked {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// How long after its freshness lifetime an entry may still answer, milliseconds ([RFC 5861], [RFC 9111 §4.2.4]).
///
/// [RFC 5861]: https://www.rfc-editor.org/rfc/rfc5861
/// [RFC 9111 §4.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Windows {
    /// While it is being revalidated.
    pub(crate) while_revalidate: Millis,
    /// In place of an error.
    pub(crate) if_error: Millis,
    /// Once the origin has confirmed it; 0: that can't be.
    pub(crate) revalidate: Millis,
}

impl Windows {
    /// Whether a confirmation, or more of it, may be joined to it.
    pub(crate) const fn may_be_updated(self) -> bool {
        self.revalidate > 0
    }

    pub(crate) fn longest(self) -> Millis {
        self.while_revalidate.max(self.if_error).max(self.revalidate)
    }
}

/// All of an entry but its body: what is known before the body has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryHead<'a> {
    /// The key it is to stand under.
    pub(crate) key: &'a Key,
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields, without hop-by-hop and per-request ones.
    pub(crate) headers: &'a HeaderMap,
    /// When the response was received.
    pub(crate) stored_at: Millis,
    /// Its age when it was received, milliseconds.
    pub(crate) initial_age: Millis,
    /// Freshness lifetime, milliseconds, counted from age 0.
    pub(crate) lifetime: Millis,
    /// What it is good for after that.
    pub(crate) windows: Windows,
    /// How far purges were known when its fill began.
    pub(crate) stamp: Stamp,
    /// What it is about.
    pub(crate) tags: &'a [Tag],
}

/// What a header map keeps for each place it has: a bucket (hash, name, value, links) and its share of the
/// index.
const HEADER_PLACE: usize = 128;

impl Entry {
    /// Makes an entry of a head and a body's chunks, and its encoded form. The body is copied once, into the
    /// encoded form, of which the entry's body and header values are slices: nothing of the buffers that the
    /// response came in stays alive.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unencodable`]: over what the format's lengths can say, or over 1,024 header values.
    pub(crate) fn seal(head: EntryHead<'_>, body: &[Bytes]) -> Result<(Self, Bytes), Refusal> {
        let encoded = codec::encode_entry(head, body)?;
        let mut entry = codec::own_entry(*head.key, encoded.clone()).map_err(|_| Refusal::Unencodable)?;
        entry.stamp.local = head.stamp.local;
        Ok((entry, encoded))
    }

    /// The fields as the origin knows them: without an entity tag that was made here, under a policy that makes such. An origin
    /// may make the very same, and know it.
    pub(crate) fn origin_fields(&self, made: Etag) -> Cow<'_, HeaderMap> {
        let is_made = |etag| etag::is_made(etag, &self.body);
        if made == Etag::Off || !self.headers.get(ETAG).is_some_and(is_made) {
            return Cow::Borrowed(&self.headers);
        }
        let mut headers = self.headers.clone();
        kept(&mut headers, |name| *name != ETAG);
        Cow::Owned(headers)
    }

    /// All of it but the body.
    pub(crate) fn head(&self) -> EntryHead<'_> {
        EntryHead {
            key: &self.key,
            status: self.status,
            headers: &self.headers,
            stored_at: self.stored_at,
            initial_age: self.initial_age,
            lifetime: self.lifetime,
            windows: self.windows,
            stamp: self.stamp,
            tags: &self.tags,
        }
    }

    /// The bytes that it keeps alive, estimated: itself, the one buffer that body and header values are
    /// slices of, and the header map's places. Right for entries from [`seal`](Self::seal) and [`decode`];
    /// their bytes are counted as encoded. Allocator overhead isn't.
    pub(crate) fn weight(&self) -> u64 {
        let buffer = codec::entry_len(&self.headers, self.tags.len(), self.body.len()).unwrap_or(usize::MAX);
        let places = self.headers.capacity().saturating_mul(HEADER_PLACE);
        // Names that aren't registered ones have a buffer of their own.
        let names = self.headers.keys().map(|name| name.as_str().len()).fold(0, usize::saturating_add);
        let tags = self.tags.len().saturating_mul(size_of::<Tag>());
        let bytes = size_of::<Self>()
            .saturating_add(tags)
            .saturating_add(buffer)
            .saturating_add(places)
            .saturating_add(names);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

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

    /// How long it has been stale, milliseconds; 0 while it is fresh.
    pub(crate) fn stale_by(&self, now: Millis) -> Millis {
        millis(self.age(now)).saturating_sub(self.lifetime)
    }

    /// Whether it may answer while it is revalidated.
    pub(crate) fn serves_while_revalidated(&self, now: Millis) -> bool {
        self.stale_by(now) < self.windows.while_revalidate
    }

    /// Whether it may answer in place of an error.
    pub(crate) fn serves_if_error(&self, now: Millis) -> bool {
        self.stale_by(now) < self.windows.if_error
    }

    /// Whether it may answer in some case, though it is stale.
    pub(crate) fn is_of_use(&self, now: Millis) -> bool {
        self.stale_by(now) < self.windows.longest()
    }
}

/// Which request fields tell a resource's variants apart, and which variants there are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VaryRecord {
    /// The primary key it is stored under.
    pub(crate) key: Key,
    /// Names of the request fields, sorted, without repeats.
    pub(crate) fields: Vec<HeaderName>,
    /// The variants' keys, and when they end.
    pub(crate) variants: Vec<(Key, Millis)>,
    /// How far purges were known when the fill began that wrote it last.
    pub(crate) stamp: Stamp,
    /// What all the variants are about.
    pub(crate) tags: Box<[Tag]>,
}

impl VaryRecord {
    /// The bytes that it keeps alive, estimated.
    pub(crate) fn weight(&self) -> u64 {
        let names =
            self.fields.iter().map(|name| name.as_str().len() + size_of::<HeaderName>()).sum::<usize>();
        let variants = self.variants.len().saturating_mul(size_of::<(Key, Millis)>());
        let tags = self.tags.len().saturating_mul(size_of::<Tag>());
        (size_of::<Self>() + names + variants + tags) as u64
    }
}
