//! How long a response is fresh under `Policy::ttl`.

use http::response;

use super::Rules;
use super::http::freshness;
use super::targeted::Selected;
use crate::clock::Millis;

/// Ten years: no lifetime is longer.
pub(super) const MAX_LIFETIME: Millis = 10 * 365 * 24 * 3600 * 1000;

impl Rules {
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
