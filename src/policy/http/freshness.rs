//! How long a response is fresh ([RFC 9111 §4.2.1] and §4.2.2).
//!
//! [RFC 9111 §4.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1

use http::header::{DATE, EXPIRES, HeaderMap, LAST_MODIFIED};
use http::{StatusCode, response};

use super::dates::{self, DateField};
use crate::clock::{Millis, millis};
use crate::policy::CacheTtl;
use crate::policy::lifetime::MAX_LIFETIME;
use crate::policy::targeted::Selected;

/// Longest heuristic lifetime: a day.
const MAX_HEURISTIC: Millis = 24 * 3600 * 1000;

/// The freshness lifetime that the response or its handler gives, milliseconds counted from age 0; `None` if neither does.
///
/// In this order: [`CacheTtl`]; of the selected directives `s-maxage`, then `max-age`; `Expires` minus `Date`, unless a
/// targeted field stands in its place (RFC 9213 §2.2). An `Expires` that can't be read is in the past ([RFC 9111 §5.3]).
///
/// [RFC 9111 §5.3]: https://www.rfc-editor.org/rfc/rfc9111#section-5.3
pub(in crate::policy) fn explicit(
    response: &response::Parts,
    selected: &Selected,
    initial_age: Millis,
    received: Millis,
) -> Option<Millis> {
    if let Some(CacheTtl(ttl)) = response.extensions.get() {
        return Some(from_arrival(millis(*ttl), initial_age));
    }
    let directives = &selected.directives;
    if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
        return Some(seconds.saturating_mul(1000).min(MAX_LIFETIME));
    }
    if selected.targeted {
        return None;
    }
    match dates::one(&response.headers, &EXPIRES, received) {
        DateField::Absent => None,
        DateField::Invalid => Some(0),
        DateField::At(expires) => Some(since(date(&response.headers, received), expires).min(MAX_LIFETIME)),
    }
}

/// A lifetime that begins with the response's arrival, not with its making, counted from age 0.
pub(in crate::policy) fn from_arrival(ttl: Millis, initial_age: Millis) -> Millis {
    initial_age.saturating_add(ttl.min(MAX_LIFETIME))
}

/// A tenth of the time between the last modification and the response, at most a day; 0 without `Last-Modified`
/// ([RFC 9111 §4.2.2]).
///
/// [RFC 9111 §4.2.2]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.2
pub(super) fn heuristic(headers: &HeaderMap, received: Millis) -> Millis {
    let Some(modified) = dates::one(headers, &LAST_MODIFIED, received).valid() else { return 0 };
    (since(modified.saturating_mul(1000), date(headers, received) / 1000) / 10).min(MAX_HEURISTIC)
}

/// Whether a response with this status may have a heuristic lifetime ([RFC 9110 §15.1]).
///
/// [RFC 9110 §15.1]: https://www.rfc-editor.org/rfc/rfc9110#section-15.1
pub(super) fn is_heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// `Date`, milliseconds since 1970; where it is missing or can't be read, the time of receipt ([RFC 9110 §6.6.1]).
///
/// [RFC 9110 §6.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1
pub(super) fn date(headers: &HeaderMap, received: Millis) -> i64 {
    match dates::one(headers, &DATE, received).valid() {
        Some(date) => date.saturating_mul(1000),
        None => i64::try_from(received).unwrap_or(i64::MAX),
    }
}

/// The time from `start`, in milliseconds, to `end`, in seconds; 0 if there is none between.
fn since(start: i64, end: i64) -> Millis {
    Millis::try_from(end.saturating_mul(1000).saturating_sub(start)).unwrap_or(0)
}
