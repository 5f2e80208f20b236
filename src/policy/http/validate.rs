//! Validation ([RFC 9111 §4.3]): the question that is put to the origin, and what its answer says of the stored
//! response, the base.
//!
//! [RFC 9111 §4.3]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{dates, range};
use crate::conditional::{is_strong, kept, opaque};
use crate::policy::fields::storable;

/// Whether the base can be validated: it has an entity tag, or a date of modification that is one.
pub(crate) fn has_validator(base: &HeaderMap) -> bool {
    etag(base).is_some() || modified(base).is_some()
}

/// Makes the request a validation of the base alone ([RFC 9111 §4.3.1]).
///
/// The client's own `If-None-Match` and `If-Modified-Since` go: the cache judges them itself, once it knows what it
/// has. In their place come the base's validators, byte by byte as they were received.
///
/// `Range` and `If-Range` go too: the base is a whole response, so that another answer than 304 is to replace it. Of a base
/// that is confirmed the range is cut.
///
/// [RFC 9111 §4.3.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.1
pub(crate) fn condition(request: &mut HeaderMap, base: &HeaderMap) {
    const OWN: [HeaderName; 4] =
        [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_RANGE, header::RANGE];
    kept(request, |name| !OWN.contains(name));
    let mut ask = |condition: HeaderName, validator: HeaderName| {
        if let Some(value) = base.get(validator) {
            request.insert(condition, value.clone());
        }
    };
    if etag(base).is_some() {
        ask(header::IF_NONE_MATCH, header::ETAG);
    }
    if modified(base).is_some() {
        ask(header::IF_MODIFIED_SINCE, header::LAST_MODIFIED);
    }
}

/// Takes all preconditions off a request, so that its answer is whole or, where `Range` asks for it without `If-Range`, a part.
pub(crate) fn strip(request: &mut HeaderMap) {
    const PRECONDITIONS: [HeaderName; 5] = [
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_MATCH,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
    ];
    // Without its condition the range may be one of another version than the client has.
    let conditional = request.contains_key(header::IF_RANGE);
    let goes = |name: &HeaderName| PRECONDITIONS.contains(name) || (conditional && *name == header::RANGE);
    kept(request, |name| !goes(name));
}

/// Whether a 304 with these fields says that the base is current, to which alone the request's preconditions belonged ([RFC
/// 9111 §4.3.4]).
///
/// - A strong entity tag must be the base's own. Where the base has none, its date can vouch for it, if that is strong.
/// - A weak one must be the base's by weak comparison; where the base has none, the dates must agree.
/// - A date alone must be the base's where that has no entity tag: a file that was rolled back is "not modified since", and
///   yet another one. One that is later and weak contradicts the 304 itself: origins that take the time of each answer for the
///   date send it, and it says no more than none.
/// - Without validators the answer can only mean the base.
///
/// [RFC 9111 §4.3.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.4
pub(crate) fn confirms(base: &HeaderMap, answer: &HeaderMap) -> bool {
    let same_date = || modified(answer).is_some() && modified(answer) == modified(base);
    let is_moving = || {
        let is_later = modified(base).zip(modified(answer)).is_some_and(|(base, answer)| answer > base);
        is_later && range::strong_date(answer).is_none()
    };
    match (etag(answer), etag(base)) {
        (Some(answer), Some(base)) if is_strong(answer) => answer == base,
        (Some(answer), Some(base)) => opaque(answer) == opaque(base),
        (Some(etag), None) if is_strong(etag) => same_date() && range::strong_date(base).is_some(),
        (Some(_), None) => same_date(),
        // The origin has judged the tag; a date is a field as others then (RFC 9110 §13.1.3).
        (None, Some(_)) => true,
        (None, None) => !answer.contains_key(header::LAST_MODIFIED) || same_date() || is_moving(),
    }
}

/// Whether a 304 names the base by the base's strong entity tag.
pub(crate) fn names(base: &HeaderMap, answer: &HeaderMap) -> bool {
    etag(answer).is_some_and(is_strong) && etag(answer) == etag(base)
}

/// The strong entity tag of a stored response.
pub(crate) fn strong_etag(base: &HeaderMap) -> Option<&[u8]> {
    etag(base).filter(|etag| is_strong(etag))
}

/// Fields of an update that are about itself alone ([RFC 9111 §3.2]), and `Range`, under which a part keeps what it was
/// asked for by.
///
/// [RFC 9111 §3.2]: https://www.rfc-editor.org/rfc/rfc9111#section-3.2
const NEVER_UPDATED: [HeaderName; 3] = [header::CONTENT_LENGTH, header::CONTENT_RANGE, header::RANGE];

/// The base's fields, updated by those of a newer response ([RFC 9111 §3.2]).
///
/// A field that the update has replaces all lines of the base's, at its place; new ones come after. `Content-Type` and
/// `Content-Encoding` are fields as others: what is stored is the response as it was received, so that nothing depends
/// on the old ones. An entity tag is replaced too, by a weak one as well: never does an entry claim more than the origin
/// said last. What `private="…"` and `no-cache="…"` name is the caller's to take off.
///
/// [RFC 9111 §3.2]: https://www.rfc-editor.org/rfc/rfc9111#section-3.2
pub(crate) fn merged(base: &HeaderMap, update: &HeaderMap) -> HeaderMap {
    let update = storable(update);
    let brings = |name: &&HeaderName| !NEVER_UPDATED.contains(name);

    let mut merged = HeaderMap::with_capacity(base.keys_len());
    let mut take = |name: &HeaderName, from: &HeaderMap| {
        for value in from.get_all(name) {
            merged.append(name.clone(), value.clone());
        }
    };
    for name in base.keys().filter(|name| *name != header::AGE) {
        let is_updated = update.contains_key(name) && brings(&name);
        take(name, if is_updated { &update } else { base });
    }
    for name in update.keys().filter(brings).filter(|name| !base.contains_key(*name)) {
        take(name, &update);
    }
    merged
}

/// The fields of an update that the entry hasn't, although it was updated: those that a directive of the update takes for one
/// requester's own.
pub(crate) fn unstored(update: &HeaderMap, entry: &HeaderMap) -> HeaderMap {
    let mut own = storable(update);
    kept(&mut own, |name| !NEVER_UPDATED.contains(name) && !entry.contains_key(name));
    own
}

/// Whether the 200 answer to a HEAD speaks of the stored response, whose body has `body_len` bytes ([RFC 9111 §4.3.5]):
/// every validator that it has is the stored one, and so is its `Content-Length`. If not, the stored one is stale.
///
/// [RFC 9111 §4.3.5]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.5
pub(crate) fn head_matches(stored: &HeaderMap, body_len: u64, head: &HeaderMap) -> bool {
    let same = |name: &HeaderName| head.get(name).is_none_or(|value| stored.get(name) == Some(value));
    let is_length = |value: &HeaderValue| {
        let digits = value.as_bytes().trim_ascii();
        range::number(digits) == Some(body_len)
    };
    same(&header::ETAG)
        && same(&header::LAST_MODIFIED)
        && head.get_all(header::CONTENT_LENGTH).iter().all(is_length)
}

/// The entity tag; an empty value is none.
fn etag(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get(header::ETAG).map(|etag| etag.as_bytes().trim_ascii()).filter(|etag| !etag.is_empty())
}

/// `Last-Modified`, seconds since 1970.
fn modified(headers: &HeaderMap) -> Option<i64> {
    dates::one(headers, &header::LAST_MODIFIED, dates::ERA).valid()
}

#[cfg(test)]
mod tests;
