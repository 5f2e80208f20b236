//! How old a response is when it is received ([RFC 9111 §4.2.3] and §5.1).
//!
//! [RFC 9111 §4.2.3]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3

use http::header::{AGE, HeaderMap};

use super::freshness::date;
use crate::clock::Millis;
use crate::policy::directives::delta_seconds;

/// The age that `Age` tells, milliseconds: the first member, 0 if that isn't a number ([RFC 9111 §5.1]). Empty ones don't
/// count ([RFC 9110 §5.6.1.2]).
///
/// [RFC 9110 §5.6.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2
/// [RFC 9111 §5.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.1
pub(in crate::policy) fn age_value(headers: &HeaderMap) -> Millis {
    let lines = headers.get_all(AGE).into_iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let first = members.map(<[u8]>::trim_ascii).find(|member| !member.is_empty());
    first.and_then(delta_seconds).unwrap_or(0).saturating_mul(1000)
}

/// The corrected initial age, milliseconds: the greater of what the clocks say and what `Age` says, whose time counts from
/// the request. Whichever clock is slow, fast or was set back, it is never less than 0.
///
/// `Date` has whole seconds, so the difference to it has too: else no response was ever younger than the part of a second
/// that its `Date` lacks.
pub(super) fn initial_age(headers: &HeaderMap, asked: Millis, received: Millis) -> Millis {
    let now = i64::try_from(received).unwrap_or(i64::MAX);
    let since_date = Millis::try_from(now.saturating_sub(date(headers, received))).unwrap_or(0);
    let apparent_age = since_date / 1000 * 1000;
    let response_delay = received.saturating_sub(asked);
    apparent_age.max(age_value(headers).saturating_add(response_delay))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::headers;

    /// 2001-09-09T01:46:40Z
    const NOW: Millis = 1_000_000_000_000;

    /// RFC 9111 §5.1 and §1.2.2, RFC 9110 §5.6.1.2.
    #[test]
    fn age_is_the_first_member_that_is_not_empty() {
        for (lines, seconds) in [
            (&[][..], 0),
            (&["7"], 7),
            (&["0"], 0),
            (&["007"], 7),
            (&["7, 9"], 7),
            (&["7 , x"], 7),
            (&["7", "9"], 7),
            (&["x", "9"], 0),
            (&["x, 9"], 0),
            (&[", 9"], 9),
            (&[" ,\t, 9, 7"], 9),
            (&["", "9"], 9),
            (&[" ,", ",9"], 9),
            (&[", x, 9"], 0),
            (&["", "x", "9"], 0),
            (&[","], 0),
            (&["", " "], 0),
            (&["-7"], 0),
            (&["+7"], 0),
            (&["7.5"], 0),
            (&["7s"], 0),
            (&["7;foo=bar"], 0),
            (&["\"7\""], 0),
            (&["7 9"], 0),
            (&[""], 0),
            (&["2147483647"], 2_147_483_647),
            (&["2147483649"], 1 << 31),
            (&["99999999999999999999"], 1 << 31),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("age", *line)).collect();
            assert_eq!(age_value(&headers(&lines)), seconds * 1000, "{lines:?}");
        }
    }

    /// RFC 9111 §4.2.3.
    #[test]
    fn the_greater_of_two_ages_counts() {
        const NOW_DATE: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
        for (date, age, asked, received, expected) in [
            (Some(NOW_DATE), None, NOW, NOW, 0),
            (Some(NOW_DATE), Some("7"), NOW, NOW, 7_000),
            // `Age` counts from the request.
            (Some(NOW_DATE), Some("7"), NOW - 2_500, NOW, 9_500),
            (None, None, NOW - 2_500, NOW, 2_500),
            // A slow clock of the origin, or a cache on the way that tells no age.
            (Some("Sun, 09 Sep 2001 01:46:30 GMT"), None, NOW, NOW, 10_000),
            (Some("Sun, 09 Sep 2001 01:46:30 GMT"), Some("7"), NOW, NOW, 10_000),
            (Some("Sun, 09 Sep 2001 01:46:30 GMT"), Some("12"), NOW, NOW, 12_000),
            // A fast one.
            (Some("Sun, 09 Sep 2001 02:46:40 GMT"), None, NOW, NOW, 0),
            (Some("Fri, 31 Dec 9999 23:59:59 GMT"), Some("7"), NOW, NOW, 7_000),
            // Whole seconds, as `Date` has.
            (Some(NOW_DATE), None, NOW, NOW + 999, 999),
            (Some(NOW_DATE), None, NOW + 999, NOW + 999, 0),
            (Some(NOW_DATE), None, NOW + 1_001, NOW + 1_001, 1_000),
            // Our own clock was set back meanwhile.
            (Some(NOW_DATE), Some("7"), NOW + 60_000, NOW, 7_000),
            (Some(NOW_DATE), None, NOW + 60_000, NOW, 0),
            // No date at all: the time of receipt.
            (Some("yesterday"), None, NOW, NOW, 0),
            (Some("Mon, 01 Jan 0001 00:00:00 GMT"), None, 0, 0, 62_135_596_800_000),
        ] {
            let mut lines = Vec::new();
            lines.extend(date.map(|date| ("date", date)));
            lines.extend(age.map(|age| ("age", age)));
            assert_eq!(
                initial_age(&headers(&lines), asked, received),
                expected,
                "{lines:?} {asked} {received}"
            );
        }
        assert!(initial_age(&headers(&[("age", "99999999999")]), 0, Millis::MAX) > 0);
    }
}
