//! What the head of a response says to the fill.

use http::{StatusCode, header, response};

use crate::policy::Refusal;

/// Whether a response is an error in whose place a stale one may be used ([RFC 5861 §4]).
///
/// [RFC 5861 §4]: https://www.rfc-editor.org/rfc/rfc5861#section-4
pub(crate) const fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// Whether a response tells what the resource is like now. Other errors of the client (4xx) may be this requester's own.
pub(super) const fn is_answer(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200..400 | 404 | 410)
}

/// The length that the head declares. Several lines, or one that isn't a number, could be read in more than one way.
pub(super) fn declared_length(parts: &response::Parts) -> Result<Option<u64>, Refusal> {
    let mut lines = parts.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let digits = line.as_bytes();
    if lines.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::LengthMismatch);
    }
    let length = line.to_str().ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(Refusal::LengthMismatch)
}
