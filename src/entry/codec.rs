//! The bytes of a record in the shared tier.
//!
//! ```text
//! magic "TQCE", version u8, kind u8, flags u8, key [32],
//! stamp: epoch [16], id u64 u64; tag count u8, tags u64
//! entry:  stored_at u64, initial_age u64, lifetime u64, while_revalidate u64, if_error u64,
//!         revalidate u64,
//!         status u16, header count u16, body length u64,
//!         headers: name length u16, value length u32, name, value
//!         body
//! vary:   field count u16, variant count u32,
//!         fields: length u16, name
//!         variants: key [32], end u64
//! xxh3-64 of all before, u64
//! ```
//!
//! A record with a flag is another's, whatever follows it: it needn't end in a checksum. Numbers are little-endian; nothing
//! follows the checksum. Fields of one name stand together in their order, and the same record always gives the same
//! bytes. The checksum finds damage, not malice; whoever may write to the shared tier may write entries. But whatever the
//! bytes are, decoding doesn't panic, and reserves for no more than they can hold, nor for more than a few fields before
//! they are read.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use xxhash_rust::xxh3::xxh3_64;

use super::wire::{Reader, Short};
use super::{Checked, Entry, EntryHead, Record, VaryRecord, Windows};
use crate::key::{Key, MAX_FIELDS};
use crate::policy::Refusal;
use crate::purge::{self, Epoch, JournalId, Stamp, Tag};

pub(super) const MAGIC: [u8; 4] = *b"TQCE";

/// Version of the format, in values and in the names that Redis has them under. A rolling deploy has two versions on one
/// server: each has entries of its own, and what stands under one's name in another version is left alone.
pub(crate) const VERSION: u8 = 1;

const ENTRY: u8 = 1;
const VARY: u8 = 2;

/// Flags of a record that all can read.
const FLAGS: u8 = 0;

/// Magic, version, kind, flags, key.
const UNSTAMPED: usize = 4 + 1 + 1 + 1 + 32;

/// The same with stamp and tag count.
pub(super) const PREAMBLE: usize = UNSTAMPED + 32 + 1;

/// Most tags of a record: a response's own, and those of its key, URL and route.
pub(super) const MAX_TAGS: usize = purge::MAX_TAGS + purge::GIVEN_TAGS;

/// What an entry has between preamble and headers.
const ENTRY_HEAD: usize = 6 * 8 + 2 + 2 + 8;

/// A header without the bytes of its name and value. No name is empty.
const HEADER: usize = 2 + 4;

/// A field of a vary record: a length and at least one byte.
const FIELD: usize = 2 + 1;

/// A variant of a vary record.
const VARIANT: usize = 32 + 8;

const CHECKSUM: usize = 8;

/// Header places reserved before any header is read. More than that is made as headers really come.
const FEW_HEADERS: usize = 8;

/// Most header values of an entry. Inserting into a header map panics near its maximum; this is far below.
pub(crate) const MAX_HEADERS: usize = 1024;

/// Why bytes aren't a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Another version of this crate wrote them: a miss, and left alone.
    #[error("another version of the format")]
    Foreign,
    /// They are damaged, stand under another key, or never were a record: a miss, and to be removed.
    #[error("damaged")]
    Corrupt,
}

impl DecodeError {
    /// Bytes that are decoded so, in place of a value that was found to be so before.
    pub(crate) const fn example(self) -> Bytes {
        match self {
            Self::Foreign => Bytes::from_static(b"TQCE\0"),
            Self::Corrupt => Bytes::new(),
        }
    }
}

impl From<Short> for DecodeError {
    fn from(_: Short) -> Self {
        Self::Corrupt
    }
}

/// The bytes of a record.
///
/// # Errors
///
/// [`Refusal::Unencodable`]: over what the format's lengths can say, or over the most headers or fields that a
/// record has.
pub(crate) fn encode(record: &Record) -> Result<Bytes, Refusal> {
    match record {
        Record::Entry(entry) => encode_entry(entry.head(), std::slice::from_ref(&entry.body)),
        Record::Vary(record) => encode_vary(record),
    }
}

/// The bytes of an entry whose body comes in chunks.
pub(super) fn encode_entry(head: EntryHead<'_>, body: &[Bytes]) -> Result<Bytes, Refusal> {
    if head.headers.len() > MAX_HEADERS {
        return Err(Refusal::Unencodable);
    }
    let body_len = body
        .iter()
        .try_fold(0_usize, |sum, chunk| sum.checked_add(chunk.len()))
        .ok_or(Refusal::Unencodable)?;
    let length = entry_len(head.headers, head.tags.len(), body_len).ok_or(Refusal::Unencodable)?;
    let mut out = preamble(ENTRY, head.key, (&head.stamp, head.tags), length)?;
    let Windows { while_revalidate, if_error, revalidate } = head.windows;
    for number in [head.stored_at, head.initial_age, head.lifetime, while_revalidate, if_error, revalidate] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&head.status.as_u16().to_le_bytes());
    out.extend_from_slice(&narrow::<u16>(head.headers.len())?.to_le_bytes());
    out.extend_from_slice(&narrow::<u64>(body_len)?.to_le_bytes());
    for (name, value) in head.headers {
        out.extend_from_slice(&narrow::<u16>(name.as_str().len())?.to_le_bytes());
        out.extend_from_slice(&narrow::<u32>(value.len())?.to_le_bytes());
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    for chunk in body {
        out.extend_from_slice(chunk);
    }
    Ok(finish(out))
}

fn encode_vary(record: &VaryRecord) -> Result<Bytes, Refusal> {
    if record.fields.len() > MAX_FIELDS {
        return Err(Refusal::Unencodable);
    }
    let names = record.fields.iter().map(|name| 2 + name.as_str().len()).sum::<usize>();
    let length = PREAMBLE + 8 * record.tags.len() + 6 + names + VARIANT * record.variants.len() + CHECKSUM;
    let mut out = preamble(VARY, &record.key, (&record.stamp, &record.tags), length)?;
    out.extend_from_slice(&narrow::<u16>(record.fields.len())?.to_le_bytes());
    out.extend_from_slice(&narrow::<u32>(record.variants.len())?.to_le_bytes());
    for name in &record.fields {
        out.extend_from_slice(&narrow::<u16>(name.as_str().len())?.to_le_bytes());
        out.extend_from_slice(name.as_str().as_bytes());
    }
    for (key, end) in &record.variants {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&end.to_le_bytes());
    }
    Ok(finish(out))
}

/// The encoded length of an entry; `None` if memory can't hold it.
pub(super) fn entry_len(headers: &HeaderMap, tags: usize, body: usize) -> Option<usize> {
    headers
        .iter()
        .try_fold(PREAMBLE + ENTRY_HEAD + CHECKSUM, |sum: usize, (name, value)| {
            sum.checked_add(HEADER + name.as_str().len())?.checked_add(value.len())
        })?
        .checked_add(tags.checked_mul(8)?)?
        .checked_add(body)
}

fn preamble(kind: u8, key: &Key, (stamp, tags): (&Stamp, &[Tag]), length: usize) -> Result<Vec<u8>, Refusal> {
    if tags.len() > MAX_TAGS {
        return Err(Refusal::Unencodable);
    }
    let mut out = Vec::with_capacity(length);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, kind, FLAGS]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(stamp.epoch.as_bytes());
    out.extend_from_slice(&stamp.id.ms.to_le_bytes());
    out.extend_from_slice(&stamp.id.seq.to_le_bytes());
    out.extend_from_slice(&narrow::<u8>(tags.len())?.to_le_bytes());
    for tag in tags {
        out.extend_from_slice(&tag.bits().to_le_bytes());
    }
    Ok(out)
}

fn finish(mut out: Vec<u8>) -> Bytes {
    let sum = xxh3_64(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out.into()
}

fn narrow<T: TryFrom<usize>>(number: usize) -> Result<T, Refusal> {
    T::try_from(number).map_err(|_| Refusal::Unencodable)
}

/// The record that `bytes` hold, if it is the one under `key`. Body and header values are slices of `bytes`.
///
/// # Errors
///
/// [`DecodeError`] tells a value to leave alone from one to remove.
pub(crate) fn decode(bytes: Bytes, key: &Key) -> Result<Record, DecodeError> {
    let (kind, mut from) = open(bytes)?;
    let found = Key::from_bytes(from.array()?);
    if found != *key {
        return Err(DecodeError::Corrupt);
    }
    match kind {
        ENTRY => entry(found, from).map(Record::Entry),
        VARY => vary(found, from).map(Record::Vary),
        _ => Err(DecodeError::Corrupt),
    }
}

/// The entry in bytes that [`encode_entry`] has just made for `key`, whose sum needs no second look.
pub(super) fn own_entry(key: Key, bytes: Bytes) -> Result<Entry, DecodeError> {
    let mut from = Reader::new(bytes);
    from.bytes(UNSTAMPED)?;
    let content = from.len().checked_sub(CHECKSUM).ok_or(DecodeError::Corrupt)?;
    entry(key, Reader::new(from.bytes(content)?))
}

/// The kind, and the bytes between the flags and the checksum, once magic, version, flags and checksum are right.
fn open(bytes: Bytes) -> Result<(u8, Reader), DecodeError> {
    let mut from = Reader::new(bytes.clone());
    if from.array()? != MAGIC {
        return Err(DecodeError::Corrupt);
    }
    if from.u8()? != VERSION {
        return Err(DecodeError::Foreign);
    }
    let (kind, flags) = (from.u8()?, from.u8()?);
    if flags != FLAGS {
        return Err(DecodeError::Foreign);
    }
    let content = from.len().checked_sub(CHECKSUM).ok_or(DecodeError::Corrupt)?;
    let content = from.bytes(content)?;
    let sum = from.u64()?;
    let summed = bytes.len().checked_sub(CHECKSUM).and_then(|end| bytes.get(..end));
    if summed.map(xxh3_64) != Some(sum) {
        return Err(DecodeError::Corrupt);
    }
    Ok((kind, Reader::new(content)))
}

fn entry(key: Key, mut from: Reader) -> Result<Entry, DecodeError> {
    let (stamp, tags) = stamp(&mut from)?;
    let (stored_at, initial_age, lifetime) = (from.u64()?, from.u64()?, from.u64()?);
    let windows = Windows { while_revalidate: from.u64()?, if_error: from.u64()?, revalidate: from.u64()? };
    let status = StatusCode::from_u16(from.u16()?).map_err(|_| DecodeError::Corrupt)?;
    let count = usize::from(from.u16()?);
    let body = usize::try_from(from.u64()?).map_err(|_| DecodeError::Corrupt)?;
    let headers = headers(count, &mut from)?;
    if body != from.len() {
        return Err(DecodeError::Corrupt);
    }
    let body = from.bytes(body)?;
    let checked = Checked::default();
    Ok(Entry { key, status, headers, body, stored_at, initial_age, lifetime, windows, stamp, tags, checked })
}

fn stamp(from: &mut Reader) -> Result<(Stamp, Box<[Tag]>), DecodeError> {
    let epoch = Epoch::from_bytes(from.array()?);
    let id = JournalId::new(from.u64()?, from.u64()?);
    let count = usize::from(from.u8()?);
    if count > MAX_TAGS {
        return Err(DecodeError::Corrupt);
    }
    let tags = (0..count).map(|_| from.u64().map(Tag::from_bits)).collect::<Result<_, _>>()?;
    Ok((Stamp::foreign(epoch, id), tags))
}

fn headers(count: usize, from: &mut Reader) -> Result<HeaderMap, DecodeError> {
    if count > MAX_HEADERS {
        return Err(DecodeError::Corrupt);
    }
    let places = count.min(from.len() / HEADER).min(FEW_HEADERS);
    let mut headers = HeaderMap::try_with_capacity(places).map_err(|_| DecodeError::Corrupt)?;
    for _ in 0..count {
        let (name, value) = (from.u16()?, from.u32()?);
        let name = name_of(&from.bytes(name.into())?)?;
        let value = from.bytes(usize::try_from(value).map_err(|_| DecodeError::Corrupt)?)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| DecodeError::Corrupt)?;
        headers.try_append(name, value).map_err(|_| DecodeError::Corrupt)?;
    }
    Ok(headers)
}

fn vary(key: Key, mut from: Reader) -> Result<VaryRecord, DecodeError> {
    let (stamp, tags) = stamp(&mut from)?;
    let fields_count = usize::from(from.u16()?);
    let variants_count = usize::try_from(from.u32()?).map_err(|_| DecodeError::Corrupt)?;
    if fields_count > MAX_FIELDS {
        return Err(DecodeError::Corrupt);
    }
    let mut fields = Vec::with_capacity(fields_count.min(from.len() / FIELD));
    for _ in 0..fields_count {
        let length = from.u16()?;
        fields.push(name_of(&from.bytes(length.into())?)?);
    }
    if !fields.is_sorted_by(|a: &HeaderName, b| a.as_str() < b.as_str()) {
        return Err(DecodeError::Corrupt);
    }
    let mut variants = Vec::with_capacity(variants_count.min(from.len() / VARIANT));
    for _ in 0..variants_count {
        variants.push((Key::from_bytes(from.array()?), from.u64()?));
    }
    if from.len() != 0 {
        return Err(DecodeError::Corrupt);
    }
    Ok(VaryRecord { key, fields, variants, stamp, tags })
}

fn name_of(bytes: &[u8]) -> Result<HeaderName, DecodeError> {
    HeaderName::from_lowercase(bytes).map_err(|_| DecodeError::Corrupt)
}
