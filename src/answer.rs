//! Answers: a response from an entry, and the fields that say what the cache did.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;

use crate::body::CacheBody;
use crate::clock::Millis;
use crate::conditional;
use crate::entry::Entry;
use crate::policy::{Bypass, Refusal};

/// `Cache-Status` ([RFC 9211]).
///
/// [RFC 9211]: https://www.rfc-editor.org/rfc/rfc9211
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The cache's name in `Cache-Status`, and every value of the field that is known beforehand.
#[derive(Debug)]
pub(crate) struct Names {
    /// A hit's value without its number; none: the field isn't added.
    hit: Option<String>,
    bypass: Vec<HeaderValue>,
    refused: Vec<HeaderValue>,
    stored: Option<HeaderValue>,
    collapsed: Option<HeaderValue>,
}

impl Names {
    pub(crate) fn new(name: Option<&str>) -> Self {
        let value = |rest: &str| name.and_then(|name| HeaderValue::try_from(format!("{name}; {rest}")).ok());
        let bypass = |reason: &Bypass| value(&format!("fwd=bypass; detail={reason}"));
        let refused = |reason: &Refusal| value(&format!("fwd=miss; detail={reason}"));
        Self {
            hit: name.map(|name| format!("{name}; hit; ttl=")),
            bypass: Bypass::ALL.iter().filter_map(bypass).collect(),
            refused: Refusal::ALL.iter().filter_map(refused).collect(),
            stored: value("fwd=miss; stored"),
            collapsed: value("fwd=miss; collapsed"),
        }
    }

    /// Marks a response of the origin that went past the cache.
    pub(crate) fn mark_bypass(&self, headers: &mut HeaderMap, reason: Bypass) {
        append(headers, self.bypass.get(reason.index()));
    }

    /// Marks a response of the origin that was asked for; `refusal` is why it isn't stored.
    pub(crate) fn mark_miss(&self, headers: &mut HeaderMap, refusal: Option<Refusal>) {
        append(
            headers,
            match refusal {
                Some(refusal) => self.refused.get(refusal.index()),
                None => self.stored.as_ref(),
            },
        );
    }

    /// `hit; ttl=…`, the remaining freshness lifetime in seconds.
    fn hit(&self, ttl: Duration) -> Option<HeaderValue> {
        let start = self.hit.as_deref()?.as_bytes();
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(ttl.as_secs()).as_bytes();
        // Made on the stack, so that the value is the one allocation.
        let mut text = [0_u8; 128];
        let (name, rest) = text.split_at_mut_checked(start.len())?;
        name.copy_from_slice(start);
        rest.get_mut(..digits.len())?.copy_from_slice(digits);
        HeaderValue::from_bytes(text.get(..start.len() + digits.len())?).ok()
    }
}

fn append(headers: &mut HeaderMap, value: Option<&HeaderValue>) {
    if let Some(value) = value {
        headers.append(CACHE_STATUS, value.clone());
    }
}

/// How an entry came to answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A tier had it.
    Hit,
    /// Another request's fill made it.
    Collapsed,
}

/// Room in `headers` for the fields that every answer carries, so that an answer needn't grow its copy of them.
pub(crate) fn reserve_fields(headers: &mut HeaderMap, names: &Names) {
    headers.insert(header::AGE, HeaderValue::from_static("0"));
    if let Some(collapsed) = &names.collapsed {
        headers.insert(CACHE_STATUS, collapsed.clone());
    }
}

/// The answer to a request from `entry`: 200, or 304 where the request's preconditions say so.
pub(crate) fn from_entry<R: Body>(
    entry: &Entry,
    method: &Method,
    request: &HeaderMap,
    now: Millis,
    how: How,
    names: &Names,
) -> Response<CacheBody<R>> {
    let mut headers = entry.headers.clone();
    let age = entry.age(now);
    let mut digits = itoa::Buffer::new();
    // One allocation; `HeaderValue::from(u64)` makes two.
    if let Ok(seconds) = HeaderValue::from_str(digits.format(age.as_secs())) {
        headers.insert(header::AGE, seconds);
    }
    let status = match how {
        How::Hit => names.hit(Duration::from_millis(entry.lifetime).saturating_sub(age)),
        How::Collapsed => names.collapsed.clone(),
    };
    if let Some(status) = status {
        headers.insert(CACHE_STATUS, status);
    }

    let mut response = Response::new(CacheBody::whole(Bytes::new()));
    *response.status_mut() = entry.status;
    if conditional::not_modified(method, request, entry) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        conditional::strip_content(&mut headers);
    } else if *method == Method::HEAD {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(entry.body.len()));
    } else {
        *response.body_mut() = CacheBody::whole(entry.body.clone());
    }
    *response.headers_mut() = headers;
    response
}

/// An answer that the cache itself must give: 503 or 504, with the reason in `Cache-Status`.
pub(crate) fn gateway<R: Body>(status: StatusCode, reason: Refusal, names: &Names) -> Response<CacheBody<R>> {
    let mut response = Response::new(CacheBody::whole(Bytes::new()));
    *response.status_mut() = status;
    names.mark_miss(response.headers_mut(), Some(reason));
    response
}

/// Sets a missing `Date` to the time of receipt ([RFC 9110 §6.6.1]).
///
/// [RFC 9110 §6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
pub(crate) fn date(headers: &mut HeaderMap, received: Millis) {
    if headers.contains_key(header::DATE) {
        return;
    }
    // The last second that the format can write.
    const LAST: Millis = 253_402_300_799_000;
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(received.min(LAST));
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(time)) {
        headers.insert(header::DATE, value);
    }
}
