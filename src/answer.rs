//! Answers: a response from an entry, or the cache's own.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;

use crate::body::CacheBody;
use crate::cache_status::{CACHE_STATUS, Forward, Names};
use crate::clock::Millis;
use crate::conditional;
use crate::entry::Entry;
use crate::policy::http::{dates, range};
use crate::policy::{Refusal, Stale};
use crate::route::Route;

/// How an entry came to answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A tier had it.
    Hit,
    /// Another request's fill made it.
    Collapsed(Forward),
    /// A stale entry; with the status of the origin's answer in whose place it stands, if there is one.
    Stale(Stale, Option<StatusCode>),
    /// The origin has confirmed it, or brought what was missing: why it was asked, the status of its answer, and why the
    /// entry isn't stored.
    Fetched(Forward, StatusCode, Option<Refusal>),
}

/// Stands for the `Cache-Status` that each answer gets.
const ROOM: HeaderValue = HeaderValue::from_static("-");

/// Room in `headers` for the fields that every answer carries, so that an answer needn't grow its copy of them.
pub(crate) fn reserve_fields(headers: &mut HeaderMap, names: &Names) {
    headers.insert(header::AGE, HeaderValue::from_static("0"));
    if names.are_shown() && !headers.contains_key(CACHE_STATUS) {
        headers.insert(CACHE_STATUS, ROOM);
    }
}

/// An entry's fields without that room.
pub(crate) fn stored_fields(entry: &Entry) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(entry.headers.len());
    for (name, value) in &entry.headers {
        if *name != header::AGE && !(*name == CACHE_STATUS && *value == ROOM) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// The answer to a request from `entry`: all of it, the part that the request is for, or 304 where the request's
/// preconditions say so.
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
        How::Collapsed(why) => names.collapsed(why),
        How::Stale(reason, status) => names.stale(Duration::from_millis(entry.stale_by(now)), reason, status),
        How::Fetched(why, status, refusal) => names.forwarded(why, Some(status), refusal),
    };
    // Behind what caches nearer to the origin say (RFC 9211 §2).
    match (headers.get_mut(CACHE_STATUS), status) {
        (Some(room), Some(status)) if *room == ROOM => *room = status,
        (_, Some(status)) => {
            headers.append(CACHE_STATUS, status);
        }
        (_, None) => {}
    }

    let mut response = Response::new(CacheBody::whole(Bytes::new()));
    *response.status_mut() = entry.status;
    if conditional::not_modified(method, request, entry) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        conditional::strip_content(&mut headers);
    } else if *method == Method::HEAD {
        // A 204 has no length (RFC 9110 §8.6).
        if entry.status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(entry.body.len()));
        }
    } else if request.contains_key(header::RANGE)
        && let Some(selection) = range::select(method, request, entry)
    {
        let body = range::apply(&selection, response.status_mut(), &mut headers, entry);
        *response.body_mut() = CacheBody::whole(body);
    } else {
        *response.body_mut() = CacheBody::whole(entry.body.clone());
    }
    *response.headers_mut() = headers;
    response
}

/// An answer that the cache itself must give: 502, 503 or 504, with the reason in `Cache-Status`.
pub(crate) fn gateway<R: Body>(
    status: StatusCode,
    why: Forward,
    reason: Refusal,
    names: &Names,
) -> Response<CacheBody<R>> {
    let mut response = Response::new(CacheBody::whole(Bytes::new()));
    *response.status_mut() = status;
    names.mark_forwarded(response.headers_mut(), why, None, Some(reason));
    response
}

/// The answer to a request that takes only what is stored, where nothing is ([RFC 9111 §5.2.1.7]).
///
/// [RFC 9111 §5.2.1.7]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1.7
pub(crate) fn only_if_cached<R: Body>(route: &Route, names: &Names) -> Response<CacheBody<R>> {
    route.stats.refused(Refusal::OnlyIfCached);
    let mut response = Response::new(CacheBody::whole(Bytes::new()));
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    names.mark_unasked(response.headers_mut(), Refusal::OnlyIfCached);
    response
}

/// Sets a `Date` that is missing, or isn't one, to the time of receipt ([RFC 9110 §6.6.1]).
///
/// [RFC 9110 §6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
pub(crate) fn date(headers: &mut HeaderMap, received: Millis) {
    if dates::one(headers, &header::DATE, received).valid().is_some() {
        return;
    }
    // The last second that the format can write.
    const LAST: Millis = 253_402_300_799_000;
    let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(received.min(LAST));
    if let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(time)) {
        headers.try_insert(header::DATE, value).ok();
    }
}
