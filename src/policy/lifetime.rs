//! How long a response is fresh, and how old it is on arrival.

use http::header::{AGE, DATE, EXPIRES, HeaderMap, HeaderName};
use http::response;

use super::directives::{Directives, delta_seconds};
use super::{CacheTtl, Rules};
use crate::clock::{Millis, millis};

/// Ten years: no lifetime is longer.
pub(super) const MAX_LIFETIME: Millis = 10 * 365 * 24 * 3600 * 1000;

impl Rules {
    /// The freshness lifetime, counted from age 0. `own` is the policy's TTL for the response's status.
    pub(super) fn lifetime(
        &self,
        response: &response::Parts,
        directives: Applicable,
        own: Millis,
        initial_age: Millis,
        now: Millis,
    ) -> Millis {
        // A TTL of our own begins with the response's arrival, not with its making.
        let from_now = |ttl: Millis| initial_age.saturating_add(ttl.min(MAX_LIFETIME));
        if self.override_ttl {
            return from_now(own);
        }
        if let Some(CacheTtl(ttl)) = response.extensions.get() {
            return from_now(millis(*ttl));
        }
        let Applicable { directives, targeted } = directives;
        if let Some(seconds) = directives.s_maxage.or(directives.max_age) {
            return seconds.saturating_mul(1000).min(MAX_LIFETIME);
        }
        // A targeted field stands in place of `Expires` too (RFC 9213 §2.1).
        match response.headers.get(EXPIRES) {
            Some(_) if !targeted => until_expiry(&response.headers, now).min(MAX_LIFETIME),
            _ => from_now(own),
        }
    }
}

/// The directives that apply, and whether they are a targeted field's.
#[derive(Clone, Copy)]
pub(super) struct Applicable {
    pub(super) directives: Directives,
    pub(super) targeted: bool,
}

/// `Expires` minus `Date`, or minus the time of receipt. A date that can't be read is in the past ([RFC 9111
/// §5.3]).
///
/// [RFC 9111 §5.3]: https://www.rfc-editor.org/rfc/rfc9111#section-5.3
fn until_expiry(headers: &HeaderMap, now: Millis) -> Millis {
    let expires = date(headers, &EXPIRES).unwrap_or(0);
    expires.saturating_sub(date(headers, &DATE).unwrap_or(now))
}

fn date(headers: &HeaderMap, field: &HeaderName) -> Option<Millis> {
    let date = httpdate::parse_http_date(headers.get(field)?.to_str().ok()?).ok()?;
    date.duration_since(std::time::UNIX_EPOCH).ok().map(millis)
}

/// The age that `Age` tells: the first member of the first line, 0 if that isn't a number ([RFC 9111 §5.1]).
///
/// [RFC 9111 §5.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.1
pub(super) fn initial_age(headers: &HeaderMap) -> Millis {
    let line = headers.get(AGE).map(|value| value.as_bytes()).unwrap_or_default();
    let first = line.split(|byte| *byte == b',').next().unwrap_or_default();
    delta_seconds(first.trim_ascii()).unwrap_or(0).saturating_mul(1000)
}
