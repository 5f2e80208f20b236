//! How long a response is fresh ([RFC 9111 §4.2.1] and §4.2.2).
//!
//! [RFC 9111 §4.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.1

use http::header::{DATE, EXPIRES, HeaderMap, LAST_MODIFIED};
use http::{StatusCode, response};

use super::dates;
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
        return Some(capped(seconds.saturating_mul(1000), initial_age));
    }
    if selected.targeted {
        return None;
    }
    // Of several lines the first counts.
    let expires = response.headers.get(EXPIRES)?;
    Some(match dates::parse(expires.as_bytes(), received) {
        None => 0,
        Some(expires) => capped(since(date(&response.headers, received), expires), initial_age),
    })
}

/// A lifetime counted from age 0, of which at most ten years are left at arrival: an origin without a clock dates its responses
/// to 1970, and the age goes by that too.
fn capped(lifetime: Millis, initial_age: Millis) -> Millis {
    lifetime.min(initial_age.saturating_add(MAX_LIFETIME))
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

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::policy::testing::response;

    /// 2001-09-09T01:46:40Z
    const NOW: Millis = 1_000_000_000_000;
    const DATE_NOW: (&str, &str) = ("date", "Sun, 09 Sep 2001 01:46:40 GMT");

    fn seconds(fields: &[(&str, &str)]) -> Option<u64> {
        let response = response(200, fields);
        let selected = Selected::of(&response.headers, &[HeaderName::from_static("cdn-cache-control")]);
        explicit(&response, &selected, 0, NOW).map(|lifetime| lifetime / 1000)
    }

    /// RFC 9111 §4.2.1 and §5.3.
    #[test]
    fn the_first_of_the_rules_that_applies_gives_the_lifetime() {
        let hour = ("expires", "Sun, 09 Sep 2001 02:46:40 GMT");
        for (fields, expected) in [
            (&[][..], None),
            (&[DATE_NOW, hour], Some(3600)),
            (&[hour], Some(3600)),
            (&[("date", "x"), hour], Some(3600)),
            (&[DATE_NOW, ("date", "Sun, 09 Sep 2001 01:46:41 GMT"), hour], Some(3600)),
            (&[("date", "Sun, 09 Sep 2001 00:46:40 GMT"), hour], Some(7200)),
            (&[("date", "Sun, 09 Sep 2001 03:46:40 GMT"), hour], Some(0)),
            (&[DATE_NOW, hour, hour], Some(3600)),
            (&[DATE_NOW, hour, ("expires", "Sun, 09 Sep 2001 03:46:40 GMT")], Some(3600)),
            (&[DATE_NOW, hour, ("expires", "0")], Some(3600)),
            (&[DATE_NOW, ("expires", "0"), hour], Some(0)),
            (&[DATE_NOW, ("expires", "0")], Some(0)),
            (&[DATE_NOW, ("expires", "")], Some(0)),
            (&[DATE_NOW, ("expires", "Sun, 09 Sep 2001 02:46:40 UTC")], Some(0)),
            (&[DATE_NOW, ("expires", "Mon, 01 Jan 0001 00:00:00 GMT")], Some(0)),
            (&[DATE_NOW, ("expires", "sunday, 09-sep-01 02:46:40 gmt")], Some(3600)),
            (&[DATE_NOW, ("expires", "Sun Sep  9 02:46:40 2001")], Some(3600)),
            (&[DATE_NOW, ("expires", "Fri, 31 Dec 9999 23:59:59 GMT")], Some(MAX_LIFETIME / 1000)),
            (&[DATE_NOW, hour, ("cache-control", "max-age=5")], Some(5)),
            (&[DATE_NOW, hour, ("cache-control", "max-age=x")], Some(0)),
            (&[DATE_NOW, hour, ("cache-control", "s-maxage=5")], Some(5)),
            (&[DATE_NOW, hour, ("cache-control", "max-age=5, s-maxage=6")], Some(6)),
            (&[DATE_NOW, hour, ("cache-control", "public")], Some(3600)),
            (&[DATE_NOW, hour, ("cdn-cache-control", "public")], None),
            (&[DATE_NOW, hour, ("cdn-cache-control", "public,")], Some(3600)),
        ] {
            assert_eq!(seconds(fields), expected, "{fields:?}");
        }
    }

    /// RFC 9111 §4.2.2.
    #[test]
    fn a_heuristic_lifetime_is_a_tenth_and_a_day_at_most() {
        for (fields, expected) in [
            (&[][..], 0),
            (&[DATE_NOW], 0),
            (&[DATE_NOW, ("last-modified", "Sun, 09 Sep 2001 01:45:00 GMT")], 10_000),
            (&[("last-modified", "Sun, 09 Sep 2001 01:45:00 GMT")], 10_000),
            (&[DATE_NOW, ("last-modified", "Sat, 01 Jan 2000 00:00:00 GMT")], MAX_HEURISTIC),
            (&[DATE_NOW, ("last-modified", "Mon, 01 Jan 0001 00:00:00 GMT")], MAX_HEURISTIC),
            (&[DATE_NOW, ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT")], 0),
            (&[DATE_NOW, ("last-modified", "Sun, 09 Sep 2001 02:46:40 GMT")], 0),
            (&[DATE_NOW, ("last-modified", "0")], 0),
        ] {
            assert_eq!(heuristic(&response(200, fields).headers, NOW), expected, "{fields:?}");
        }
    }
}
