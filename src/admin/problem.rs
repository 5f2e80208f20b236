//! Answers: JSON, and problems as [RFC 9457] has them.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// What every answer is.
pub(super) type Answer = Response<Full<Bytes>>;

#[derive(Serialize)]
struct Problem<'a> {
    /// The status says what kind of problem it is, and the title is its phrase (§4.2.1).
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// An answer that says what is wrong.
pub(super) fn problem(status: StatusCode, detail: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or_default();
    let problem = Problem { kind: "about:blank", title, status: status.as_u16(), detail };
    json(status, "application/problem+json", &problem)
}

/// An answer that no cache keeps.
pub(super) fn json(status: StatusCode, media_type: &'static str, value: &impl Serialize) -> Answer {
    // Neither of the two kinds of values has anything that JSON can't say.
    let body = Bytes::from(serde_json::to_vec(value).unwrap_or_default());
    let length = HeaderValue::from(body.len());
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, length);
    answer
}
