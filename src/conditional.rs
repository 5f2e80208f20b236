//! Preconditions of requests that an entry answers ([RFC 9110 §13]).
//!
//! [RFC 9110 §13]: https://www.rfc-editor.org/rfc/rfc9110#section-13

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::entry::Entry;

/// Whether the request's preconditions make the answer a 304: `If-None-Match` by weak comparison, and only without
/// it `If-Modified-Since`.
pub(crate) fn not_modified(method: &Method, request: &HeaderMap, entry: &Entry) -> bool {
    if entry.status != StatusCode::OK || !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    if request.contains_key(header::IF_NONE_MATCH) {
        let etag = entry.headers.get(header::ETAG);
        return request.get_all(header::IF_NONE_MATCH).iter().any(|line| names(line, etag));
    }
    let Some(since) = request.get(header::IF_MODIFIED_SINCE).and_then(date) else {
        return false;
    };
    entry.headers.get(header::LAST_MODIFIED).and_then(date).is_some_and(|modified| modified <= since)
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
    request.remove(header::IF_NONE_MATCH);
    request.remove(header::IF_MODIFIED_SINCE);
}

/// Removes what describes content that a 304 doesn't carry ([RFC 9110 §15.4.5]).
///
/// [RFC 9110 §15.4.5]: https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5
pub(crate) fn strip_content(headers: &mut HeaderMap) {
    const CONTENT: [HeaderName; 5] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
    ];
    for name in CONTENT {
        headers.remove(name);
    }
}

fn date(value: &HeaderValue) -> Option<std::time::SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// Whether a line of `If-None-Match` names `etag`, by weak comparison ([RFC 9110 §8.8.3.2]); `*` names any.
///
/// [RFC 9110 §8.8.3.2]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3.2
fn names(line: &HeaderValue, etag: Option<&HeaderValue>) -> bool {
    let mut rest = line.as_bytes().trim_ascii();
    if rest == b"*" {
        return true;
    }
    let Some(etag) = etag.map(|etag| opaque(etag.as_bytes())) else {
        return false;
    };
    loop {
        rest = rest.trim_ascii_start();
        rest = rest.strip_prefix(b"W/").unwrap_or(rest);
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            return false;
        };
        let Some(end) = quoted.iter().position(|byte| *byte == b'"') else {
            return false;
        };
        let (tag, after) = quoted.split_at(end);
        if tag == etag {
            return true;
        }
        // After the closing quote: the next member, or nothing that counts.
        rest = after.get(1..).unwrap_or_default().trim_ascii_start();
        match rest.strip_prefix(b",") {
            Some(next) => rest = next,
            None => return false,
        }
    }
}

/// The opaque part of an entity tag, without `W/` and quotes.
fn opaque(etag: &[u8]) -> &[u8] {
    let etag = etag.strip_prefix(b"W/").unwrap_or(etag);
    etag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\"")).unwrap_or(etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_compares_weakly_and_member_by_member() {
        let etag = HeaderValue::from_static("W/\"a\"");
        for (line, named) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("\"b\" ,W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("\"a", false),
            ("\"b\" \"a\"", false),
            ("", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(line), Some(&etag)), named, "{line}");
        }
        assert!(!names(&HeaderValue::from_static("\"a\""), None));
        assert!(names(&HeaderValue::from_static("*"), None));
    }
}
