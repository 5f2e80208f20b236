//! Ranges of entries ([RFC 9110 §14]): of whole ones any, of stored parts what lies inside them.
//!
//! A range is a convenience that a server may refuse. So whatever is odd, or costs more than the whole body, gets the
//! whole body: other units than bytes, broken syntax, several lines, more than [`MAX_RANGES`], ranges that overlap
//! much or add up to more than there is (§17.15).
//!
//! An answer to `If-Range` keeps its other representation fields, although §15.3.7 would have them left out: a client
//! that joins the parts replaces equal values by equal ones, and one that doesn't can tell what it got.
//!
//! [RFC 9110 §14]: https://www.rfc-editor.org/rfc/rfc9110#section-14

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::dates;
use crate::conditional::{is_strong, kept, single};
use crate::entry::Entry;

/// Most ranges that one request gets.
const MAX_RANGES: usize = 16;

/// Most of them that may overlap others.
const MAX_OVERLAPPING: usize = 2;

/// How much older than its response, in seconds, a modification must be, so that its date tells versions apart
/// whichever clocks made the two dates ([RFC 9110 §8.8.2.2]).
///
/// [RFC 9110 §8.8.2.2]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2
const STRONG_AFTER: i64 = 60;

/// Consecutive bytes of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Position of the first byte.
    pub(crate) first: u64,
    /// Position of the last one.
    pub(crate) last: u64,
    /// Length of the whole representation, where it is known.
    pub(crate) complete: Option<u64>,
}

impl Content {
    /// The number of bytes.
    pub(crate) fn length(self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// It as a value of `Content-Range` ([RFC 9110 §14.4]).
    ///
    /// [RFC 9110 §14.4]: https://www.rfc-editor.org/rfc/rfc9110#section-14.4
    pub(crate) fn value(self) -> String {
        let Self { first, last, complete } = self;
        complete.map_or_else(
            || format!("bytes {first}-{last}/*"),
            |complete| format!("bytes {first}-{last}/{complete}"),
        )
    }

    /// Whether all of `inner` is here.
    fn holds(self, inner: Self) -> bool {
        self.first <= inner.first && inner.last <= self.last
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// Whether nothing lies between the two.
    pub(super) fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    /// Whether it is all there is.
    pub(crate) fn is_all(self) -> bool {
        self.first == 0 && self.complete == Some(self.length())
    }

    /// The two as one.
    pub(super) fn union(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last), ..self }
    }
}

/// What of an entry answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it, under its own status.
    Whole,
    /// One range.
    Part(Content),
    /// Several, apart from one another, in the order of the request.
    Parts(Vec<Content>),
    /// None of the ranges lies in the body.
    Unsatisfiable,
}

/// What of `entry` answers the request. Preconditions come before this ([RFC 9110 §13.2.2]).
///
/// `None`: the entry is a part, and the request wants what isn't known to be in it.
///
/// [RFC 9110 §13.2.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
pub(crate) fn select(method: &Method, request: &HeaderMap, entry: &Entry) -> Option<Selection> {
    match entry.status {
        StatusCode::OK => Some(of_whole(method, request, entry)),
        StatusCode::PARTIAL_CONTENT => of_part(method, request, entry).map(Selection::Part),
        _ => Some(Selection::Whole),
    }
}

fn of_whole(method: &Method, request: &HeaderMap, entry: &Entry) -> Selection {
    let length = entry.body.len() as u64;
    let Some(ranges) = asked(method, request, entry).and_then(parse) else {
        return Selection::Whole;
    };
    if length == 0 {
        // No Content-Range can say it (RFC 9110 §14.2).
        return Selection::Whole;
    }
    let found: Vec<Content> = ranges.into_iter().filter_map(|range| range.resolve(length)).collect();
    if found.is_empty() {
        return Selection::Unsatisfiable;
    }
    if is_wasteful(&found, length) {
        return Selection::Whole;
    }
    let parts = coalesce(found);
    match parts.as_slice() {
        [part] => Selection::Part(*part),
        _ => Selection::Parts(parts),
    }
}

/// What of a part answers a request: all of it the same request as it was stored for, and what is wholly inside a
/// request for one range ([RFC 9111 §3.3]).
///
/// [RFC 9111 §3.3]: https://www.rfc-editor.org/rfc/rfc9111#section-3.3
fn of_part(method: &Method, request: &HeaderMap, entry: &Entry) -> Option<Content> {
    let part = received_part(&entry.headers, entry.body.len())?;
    let value = asked(method, request, entry)?;
    if entry.headers.get(header::RANGE).is_some_and(|stored| stored.as_bytes().trim_ascii() == value) {
        return Some(part);
    }
    let ranges = parse(value)?;
    let [range] = ranges.as_slice() else {
        return None;
    };
    let inner = match (*range, part.complete) {
        (range, Some(complete)) => range.resolve(complete)?,
        (Spec::Between(first, last), None) => Content { first, last, complete: None },
        (Spec::From(_) | Spec::Suffix(_), None) => return None,
    };
    part.holds(inner).then_some(inner)
}

/// The value of `Range`, where it applies ([RFC 9110 §14.2]): one line of a GET, or of a QUERY (RFC 10008
/// §2.8), whose `If-Range` holds.
///
/// [RFC 9110 §14.2]: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
fn asked<'a>(method: &Method, request: &'a HeaderMap, entry: &Entry) -> Option<&'a [u8]> {
    if !matches!(*method, Method::GET | Method::QUERY) {
        return None;
    }
    let range = single(request, &header::RANGE)?;
    let holds = match request.get(header::IF_RANGE) {
        None => true,
        Some(_) => single(request, &header::IF_RANGE).is_some_and(|value| if_range(value, entry)),
    };
    holds.then(|| range.as_bytes().trim_ascii())
}

/// Whether `If-Range` names the entry's version ([RFC 9110 §13.1.5]): by a strong entity tag, or by the very date of a
/// modification that is known to be the only one in its second.
///
/// [RFC 9110 §13.1.5]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5
fn if_range(value: &HeaderValue, entry: &Entry) -> bool {
    let value = value.as_bytes().trim_ascii();
    if value.iter().take(3).any(|byte| *byte == b'"') {
        return is_strong(value)
            && single(&entry.headers, &header::ETAG)
                .is_some_and(|etag| etag.as_bytes().trim_ascii() == value);
    }
    let modified = strong_date(&entry.headers);
    modified.is_some() && dates::parse(value, entry.stored_at) == modified
}

/// `Last-Modified`, seconds since 1970, where it is a strong validator ([RFC 9110 §8.8.2.2]).
///
/// [RFC 9110 §8.8.2.2]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2
pub(super) fn strong_date(headers: &HeaderMap) -> Option<i64> {
    let date = |name| dates::parse(single(headers, &name)?.as_bytes(), dates::ERA);
    let modified = date(header::LAST_MODIFIED)?;
    (date(header::DATE)? >= modified.saturating_add(STRONG_AFTER)).then_some(modified)
}

/// A range as a request has it ([RFC 9110 §14.1.2]).
///
/// [RFC 9110 §14.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Suffix(u64),
}

impl Spec {
    fn parse(text: &[u8]) -> Option<Self> {
        let dash = text.iter().position(|byte| *byte == b'-')?;
        let (first, last) = text.split_at_checked(dash)?;
        match (first, last.get(1..)?) {
            ([], length) => Some(Self::Suffix(number(length)?)),
            (first, []) => Some(Self::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Between(first, last))
            }
        }
    }

    /// The bytes it means in a representation of `complete` bytes; none where it isn't satisfiable.
    fn resolve(self, complete: u64) -> Option<Content> {
        let end = complete.checked_sub(1)?;
        let (first, last) = match self {
            Self::From(first) => (first, end),
            Self::Between(first, last) => (first, last.min(end)),
            Self::Suffix(0) => return None,
            Self::Suffix(length) => (complete.saturating_sub(length), end),
        };
        (first <= last).then_some(Content { first, last, complete: Some(complete) })
    }
}

/// The ranges of a value in bytes. `None`: another unit, one that is invalid (then all are), or too many.
fn parse(value: &[u8]) -> Option<Vec<Spec>> {
    let end = value.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = value.split_at_checked(end)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let members = set.get(1..)?.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut ranges = Vec::new();
    for member in members.filter(|member| !member.is_empty()) {
        if ranges.len() == MAX_RANGES {
            return None;
        }
        ranges.push(Spec::parse(member)?);
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// A number of bytes. Larger ones than there are count as the largest.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    let digit = |number: u64, byte: &u8| number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    (!digits.is_empty() && digits.iter().all(u8::is_ascii_digit)).then(|| digits.iter().fold(0, digit))
}

/// Whether the whole body is the cheaper answer.
fn is_wasteful(ranges: &[Content], length: u64) -> bool {
    let sum = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range.length()));
    let overlapping = ranges.iter().enumerate().filter(|(place, range)| {
        ranges.iter().enumerate().any(|(other, with)| other != *place && range.overlaps(*with))
    });
    sum > length || overlapping.count() > MAX_OVERLAPPING
}

/// Joins ranges that overlap or touch ([RFC 9110 §15.3.7.2]); a joined one stands where its first part stood.
///
/// [RFC 9110 §15.3.7.2]: https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7.2
fn coalesce(ranges: Vec<Content>) -> Vec<Content> {
    let mut parts: Vec<Content> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let place = parts.iter().position(|part| part.touches(range)).unwrap_or(parts.len());
        let joined =
            parts.iter().filter(|part| part.touches(range)).fold(range, |all, part| all.union(*part));
        parts.retain(|part| !part.touches(range));
        parts.insert(place.min(parts.len()), joined);
    }
    parts
}

/// The bytes that a 206 answer of `length` bytes really brought: from the position that it names, as many as there are.
///
/// `None`: it isn't one plain range of bytes, or it says of itself what can't be.
pub(crate) fn received_part(headers: &HeaderMap, length: usize) -> Option<Content> {
    let value = single(headers, &header::CONTENT_RANGE)?.as_bytes().trim_ascii();
    let is_multipart = |line: &HeaderValue| {
        line.as_bytes().get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/"))
    };
    if headers.get_all(header::CONTENT_TYPE).iter().any(is_multipart) {
        return None;
    }
    let (unit, rest) = value.split_at_checked(5)?;
    let (b' ', rest) = rest.split_first()? else {
        return None;
    };
    let slash = rest.iter().position(|byte| *byte == b'/')?;
    let (range, complete) = rest.split_at_checked(slash)?;
    let complete = match complete.get(1..)? {
        b"*" => None,
        digits => Some(number(digits)?),
    };
    let (true, Spec::Between(first, last)) = (unit.eq_ignore_ascii_case(b"bytes"), Spec::parse(range)?)
    else {
        return None;
    };
    let claimed = Content { first, last, complete };
    let length = u64::try_from(length).ok()?;
    let received = Content { last: first.checked_add(length.checked_sub(1)?)?, ..claimed };
    let is_within = |last: u64| complete.is_none_or(|complete| last < complete);
    (is_within(last) && is_within(received.last)).then_some(received)
}

/// Makes the answer of a selection: its body, and in `headers`, a copy of the entry's, what describes that body. A
/// body of one range is a slice of the entry's.
pub(crate) fn apply(
    selection: &Selection,
    status: &mut StatusCode,
    headers: &mut HeaderMap,
    entry: &Entry,
) -> Bytes {
    kept(headers, |name| name != header::RANGE);
    let offset = match entry.status {
        StatusCode::PARTIAL_CONTENT => {
            received_part(&entry.headers, entry.body.len()).map_or(0, |part| part.first)
        }
        _ => 0,
    };
    let body = match selection {
        Selection::Whole => return entry.body.clone(),
        Selection::Part(part) => {
            *status = StatusCode::PARTIAL_CONTENT;
            set(headers, header::CONTENT_RANGE, part.value());
            cut(&entry.body, offset, *part)
        }
        Selection::Parts(parts) => {
            *status = StatusCode::PARTIAL_CONTENT;
            kept(headers, |name| name != header::CONTENT_RANGE);
            multipart(parts, headers, &entry.body)
        }
        Selection::Unsatisfiable => {
            *status = StatusCode::RANGE_NOT_SATISFIABLE;
            kept(headers, |name| !is_of_representation(name));
            set(headers, header::CONTENT_RANGE, format!("bytes */{}", entry.body.len()));
            Bytes::new()
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    body
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// The bytes of `part`, of a body that begins at position `offset`.
fn cut(body: &Bytes, offset: u64, part: Content) -> Bytes {
    let place = |position: u64| usize::try_from(position.checked_sub(offset)?).ok();
    match (place(part.first), place(part.last)) {
        (Some(first), Some(last)) if first <= last && last < body.len() => body.slice(first..=last),
        _ => Bytes::new(),
    }
}

/// Whether a field speaks of the representation, or lets caches keep the answer: a 416 has neither.
fn is_of_representation(name: &HeaderName) -> bool {
    const OTHERS: [HeaderName; 3] = [header::ETAG, header::LAST_MODIFIED, header::EXPIRES];
    let text = name.as_str();
    // Policies and embedding rules aren't about the content, whatever their names.
    let of_content = text.starts_with("content-") && *name != header::CONTENT_SECURITY_POLICY;
    of_content || OTHERS.contains(name) || text.ends_with("cache-control")
}

/// The body of several parts ([RFC 9110 §14.6]), and its type. The boundary is a digest of the whole body, which the
/// body can't contain unless somebody inverts blake3.
///
/// [RFC 9110 §14.6]: https://www.rfc-editor.org/rfc/rfc9110#section-14.6
fn multipart(parts: &[Content], headers: &mut HeaderMap, body: &Bytes) -> Bytes {
    let digest = blake3::hash(body).to_hex();
    let boundary = digest.get(..32).unwrap_or_default();
    let media_type = headers.get(header::CONTENT_TYPE).cloned();
    let mut whole = Vec::new();
    for part in parts {
        whole.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if let Some(media_type) = &media_type {
            whole.extend_from_slice(b"Content-Type: ");
            whole.extend_from_slice(media_type.as_bytes());
            whole.extend_from_slice(b"\r\n");
        }
        whole.extend_from_slice(format!("Content-Range: {}\r\n\r\n", part.value()).as_bytes());
        whole.extend_from_slice(&cut(body, 0, *part));
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    set(headers, header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"));
    Bytes::from(whole)
}

#[cfg(test)]
mod tests;
