//! How long a response is fresh under `Policy::ttl`, and whether it says something of that itself.

use http::header::{CACHE_CONTROL, HeaderMap};
use http::response;

use super::Rules;
use super::http::freshness;
use super::targeted::Selected;
use crate::clock::Millis;

/// Ten years: no lifetime is longer.
pub(super) const MAX_LIFETIME: Millis = 10 * 365 * 24 * 3600 * 1000;

impl Rules {
    /// Whether a response has directives: in a targeted field, or in `Cache-Control`.
    pub(crate) fn has_directives(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(CACHE_CONTROL) || self.targets.iter().any(|field| headers.contains_key(field))
    }

    /// The freshness lifetime, counted from age 0. `own` is the policy's TTL for the response's status.
    pub(super) fn lifetime(
        &self,
        response: &response::Parts,
        selected: &Selected,
        own: Millis,
        initial_age: Millis,
        now: Millis,
    ) -> Millis {
        let explicit =
            if self.override_ttl { None } else { freshness::explicit(response, selected, initial_age, now) };
        explicit.unwrap_or_else(|| freshness::from_arrival(own, initial_age))
    }
}
