//! Parts put together ([RFC 9111 §3.3, §3.4]; [RFC 9110 §15.3.7.3]).
//!
//! Bytes of two answers make one representation only under one strong validator: a strong entity tag, or where there is no tag
//! at all a `Last-Modified` that is strong ([RFC 9110 §8.8.2.2]).
//!
//! [RFC 9111 §3.3, §3.4]: https://www.rfc-editor.org/rfc/rfc9111#section-3.4
//! [RFC 9110 §8.8.2.2]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.2.2
//! [RFC 9110 §15.3.7.3]: https://www.rfc-editor.org/rfc/rfc9110#section-15.3.7.3

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::range::{Content, received_part, strong_date};
use super::validate;
use crate::conditional::{is_strong, kept, single};

/// Two parts as one response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Combined {
    /// 200 where nothing is missing any more, else 206.
    pub(crate) status: StatusCode,
    /// The stored fields, updated by the newer ones. A part's hold its range under the name `range`, too.
    pub(crate) headers: HeaderMap,
    /// The body, in slices of the two.
    pub(crate) body: Vec<Bytes>,
}

/// Combines a stored part with a newer 206 answer. Where they overlap the newer bytes count.
///
/// `None`: they don't share one strong validator, say different lengths of the whole, have a gap between them, or one of
/// them is no plain range of bytes.
pub(crate) fn combine(stored: (&HeaderMap, &Bytes), newer: (&HeaderMap, &Bytes)) -> Option<Combined> {
    if strong_validator(stored.0)? != strong_validator(newer.0)? {
        return None;
    }
    let old = received_part(stored.0, stored.1.len())?;
    let new = received_part(newer.0, newer.1.len())?;
    let complete = match (old.complete, new.complete) {
        (Some(old), Some(new)) if old != new => return None,
        (old, new) => new.or(old),
    };
    let whole = Content { complete, ..old.union(new) };
    if !old.touches(new) || complete.is_some_and(|complete| complete <= whole.last) {
        return None;
    }

    let place = |position: u64| usize::try_from(position.checked_sub(old.first)?).ok();
    let before = place(new.first).map_or(0, |end| end.min(stored.1.len()));
    let after = place(new.last).map_or(0, |last| last.saturating_add(1).min(stored.1.len()));
    let body: Vec<Bytes> = [stored.1.slice(..before), newer.1.clone(), stored.1.slice(after..)]
        .into_iter()
        .filter(|chunk| !chunk.is_empty())
        .collect();

    let mut headers = validate::merged(stored.0, newer.0);
    let is_whole = whole.first == 0 && complete == Some(whole.length());
    if is_whole {
        kept(&mut headers, |name| *name != header::CONTENT_RANGE && *name != header::RANGE);
    } else {
        headers.insert(header::CONTENT_RANGE, HeaderValue::try_from(whole.value()).ok()?);
        headers.insert(header::RANGE, range(whole.first, Some(whole.last))?);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.length()));
    let status = if is_whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    Some(Combined { status, headers, body })
}

/// The length of the whole that a part of `length` bytes is of, where that is known.
pub(crate) fn complete_length(part: &HeaderMap, length: usize) -> Option<u64> {
    received_part(part, length)?.complete
}

/// Whether a newer 206 answer can be one more part of the same representation, by its fields alone.
pub(crate) fn is_of_same(stored: &HeaderMap, newer: &HeaderMap) -> bool {
    share_validator(stored, newer) && received_part(newer, 1).is_some()
}

/// Whether two answers are sure to be of two representations: each has a strong validator, and not the same.
pub(crate) fn differ(one: &HeaderMap, other: &HeaderMap) -> bool {
    strong_validator(one).zip(strong_validator(other)).is_some_and(|(one, other)| one != other)
}

/// Whether two answers are sure to be of one representation: both have the same strong validator.
pub(crate) fn share_validator(one: &HeaderMap, other: &HeaderMap) -> bool {
    let validator = strong_validator(one);
    validator.is_some() && validator == strong_validator(other)
}

/// `Range` and `If-Range` of the request that would complete a part of `length` bytes: what is missing at its one end, if
/// the representation is still the same; if not, the answer is the whole of the new one, which replaces the part.
///
/// `None`: it has no strong validator, the length of the whole isn't known, or it lacks bytes at both ends, for which
/// an answer would be a multipart one.
pub(crate) fn missing(part: &HeaderMap, length: usize) -> Option<(HeaderValue, HeaderValue)> {
    let validator = strong_validator(part)?;
    let content = received_part(part, length)?;
    let next = content.last.checked_add(1)?;
    let range = match (content.first, content.complete?) {
        (0, complete) if next < complete => range(next, None)?,
        (first, complete) if first > 0 && next == complete => range(0, Some(first - 1))?,
        _ => return None,
    };
    Some((range, validator.clone()))
}

/// Bytes of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
const IMF_FIXDATE: usize = 29;

fn range(first: u64, last: Option<u64>) -> Option<HeaderValue> {
    let last = last.map_or(String::new(), |last| last.to_string());
    HeaderValue::try_from(format!("bytes={first}-{last}")).ok()
}

/// What two answers of one representation share, as it was received.
fn strong_validator(headers: &HeaderMap) -> Option<&HeaderValue> {
    if headers.contains_key(header::ETAG) {
        return single(headers, &header::ETAG).filter(|etag| is_strong(etag.as_bytes()));
    }
    // In the one form that may be sent on (RFC 9110 §5.6.7).
    strong_date(headers).and(single(headers, &header::LAST_MODIFIED)).filter(|date| date.len() == IMF_FIXDATE)
}

#[cfg(test)]
mod tests;
