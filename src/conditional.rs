//! Preconditions of requests that an entry answers ([RFC 9110 §13]).
//!
//! A 200 where a 304 was possible costs bytes; a 304 to a client that doesn't have the representation leaves it
//! without. So a value counts for what it surely says, and no more: an entity tag that isn't one by its syntax is equal to the
//! very same text only, and what follows broken syntax isn't read.
//!
//! [RFC 9110 §13]: https://www.rfc-editor.org/rfc/rfc9110#section-13

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::entry::Entry;
use crate::policy::http::dates::{self, DateField};
use crate::policy::http::range;

/// Whether the request's preconditions make the answer a 304: `If-None-Match` by weak comparison, and only without
/// it `If-Modified-Since` ([RFC 9111 §4.3.2]).
///
/// A stored part counts only where it answers the request.
///
/// [RFC 9111 §4.3.2]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.2
pub(crate) fn not_modified(method: &Method, request: &HeaderMap, entry: &Entry) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD | Method::QUERY) {
        return false;
    }
    match entry.status {
        StatusCode::OK => {}
        StatusCode::PARTIAL_CONTENT if range::select(method, request, entry).is_some() => {}
        _ => return false,
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        return none_match_names(request, entry.headers.get(header::ETAG));
    }
    let since = single(request, &header::IF_MODIFIED_SINCE);
    let Some(since) = since.and_then(|date| dates::parse(date.as_bytes(), entry.stored_at)) else {
        return false;
    };
    match dates::one(&entry.headers, &header::LAST_MODIFIED, entry.stored_at) {
        DateField::At(modified) => modified <= since,
        DateField::Invalid => false,
        DateField::Absent => {
            let received = || i64::try_from(entry.stored_at.div_ceil(1_000)).ok();
            let date = dates::one(&entry.headers, &header::DATE, entry.stored_at).valid();
            date.or_else(received).is_some_and(|date| date <= since)
        }
    }
}

/// Whether a request asks for what only the origin can judge ([RFC 9111 §4.3.2]).
///
/// [RFC 9111 §4.3.2]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.2
pub(crate) fn is_for_origin(request: &HeaderMap) -> bool {
    request.contains_key(header::IF_MATCH) || request.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// Removes the preconditions that the cache judges itself, so that a fill gets a whole response: a 304 for its first
/// caller would be no answer for the others.
pub(crate) fn strip_validators(request: &mut HeaderMap) {
    kept(request, |name| *name != header::IF_NONE_MATCH && *name != header::IF_MODIFIED_SINCE);
}

/// Removes what describes content that a 304 doesn't carry ([RFC 9110 §15.4.5]), and the range that a stored part was
/// asked for by, which is no field of a response.
///
/// [RFC 9110 §15.4.5]: https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5
pub(crate) fn strip_content(headers: &mut HeaderMap) {
    const CONTENT: [HeaderName; 8] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("content-digest"),
        header::RANGE,
    ];
    kept(headers, |name| !CONTENT.contains(name));
}

/// Keeps the fields that are wanted, in their order, which `HeaderMap::remove` would change.
pub(crate) fn kept(headers: &mut HeaderMap, wanted: impl Fn(&HeaderName) -> bool) {
    if headers.keys().all(&wanted) {
        return;
    }
    let mut rest = HeaderMap::with_capacity(headers.keys_len());
    for name in headers.keys().filter(|name| wanted(name)) {
        for value in headers.get_all(name) {
            rest.append(name.clone(), value.clone());
        }
    }
    *headers = rest;
}

/// The value of a field that has one line.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?;
    lines.next().is_none().then_some(line)
}

/// Whether an entity tag is a strong one, and well-formed ([RFC 9110 §8.8.3]).
///
/// [RFC 9110 §8.8.3]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
pub(crate) fn is_strong(etag: &[u8]) -> bool {
    let tag = etag.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    tag.is_some_and(|tag| !tag.contains(&b'"'))
}

/// An entity tag without its mark of weakness: what weak comparison compares ([RFC 9110 §8.8.3.2]). The mark counts
/// before a quote only: elsewhere it may be part of a tag that lacks its quotes.
///
/// [RFC 9110 §8.8.3.2]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
pub(crate) fn opaque(etag: &[u8]) -> &[u8] {
    match etag {
        [b'W', b'/', tag @ ..] if tag.first() == Some(&b'"') => tag,
        _ => etag,
    }
}

/// Whether `If-None-Match` names the entity tag ([RFC 9110 §13.1.2]): a `*` alone any representation, with a tag or
/// without.
///
/// [RFC 9110 §13.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
fn none_match_names(request: &HeaderMap, etag: Option<&HeaderValue>) -> bool {
    if let Some(line) = single(request, &header::IF_NONE_MATCH).map(|line| line.as_bytes().trim_ascii())
        // The very text that the client was given is that tag, whatever its syntax.
        && (line == b"*" || (!line.is_empty() && etag.is_some_and(|etag| line == etag.as_bytes().trim_ascii())))
    {
        return true;
    }
    let Some(etag) = etag.map(|etag| opaque(etag.as_bytes().trim_ascii())).filter(|etag| !etag.is_empty())
    else {
        return false;
    };
    let lines = request.get_all(header::IF_NONE_MATCH).iter();
    lines.flat_map(|line| Tags(line.as_bytes())).any(|tag| tag == etag)
}

/// The entity tags of a list, each without its mark of weakness. Ends at broken syntax.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let rest = opaque(self.0.get(start..)?);
        // Taken up again only behind a member that ended well.
        self.0 = &[];
        let end = match rest.strip_prefix(b"\"") {
            Some(quoted) => quoted.iter().position(|byte| *byte == b'"')? + 2,
            None => rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len()),
        };
        let (tag, after) = rest.split_at_checked(end)?;
        let after = after.trim_ascii_start();
        if !after.is_empty() && !after.starts_with(b",") {
            return None;
        }
        let tag = tag.trim_ascii_end();
        if !tag.starts_with(b"\"") && tag.contains(&b'"') {
            return None;
        }
        self.0 = after;
        Some(tag)
    }
}

#[cfg(test)]
mod tests;
