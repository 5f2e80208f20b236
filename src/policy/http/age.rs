//! How old a response is when it is received ([RFC 9111 §4.2.3] and §5.1).
//!
//! [RFC 9111 §4.2.3]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.3

use http::header::{AGE, HeaderMap};

use super::freshness::date;
use crate::clock::Millis;
use crate::policy::directives::delta_seconds;

/// The age that `Age` tells, milliseconds: the first member of the first line, 0 if that isn't a number ([RFC 9111 §5.1]).
///
/// [RFC 9111 §5.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.1
pub(in crate::policy) fn age_value(headers: &HeaderMap) -> Millis {
    let line = headers.get(AGE).map(|value| value.as_bytes()).unwrap_or_default();
    let first = line.split(|byte| *byte == b',').next().unwrap_or_default();
    delta_seconds(first.trim_ascii()).unwrap_or(0).saturating_mul(1000)
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
