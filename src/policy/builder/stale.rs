//! The methods about entries that are, or soon will be, stale.

use std::time::Duration;

use crate::policy::Policy;

impl<K> Policy<K> {
    /// How long after its lifetime an entry still answers while one detached fill refreshes it ([RFC 5861 §3]). Default:
    /// none.
    ///
    /// A response's own `stale-while-revalidate` goes before this. Where it says `must-revalidate`, `proxy-revalidate` or
    /// `s-maxage`, no stale entry is used ([RFC 9111 §4.2.4]), save under [`override_ttl`](Self::override_ttl): with
    /// `s-maxage=60, stale-while-revalidate=30` the second directive has no effect. The policy's windows are for responses
    /// with status 200. All this holds for [`stale_if_error`](Self::stale_if_error) too. Being used stale never makes an
    /// entry live longer.
    ///
    /// A HEAD request, whose own answer would be no entry, goes to the service in that window.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::Policy;
    ///
    /// let items = Policy::ttl(Duration::from_secs(300))
    ///     .stale_while_revalidate(Duration::from_secs(30))
    ///     .stale_if_error(Duration::from_secs(3600))
    ///     .soft_timeout(Duration::from_millis(500))
    ///     .hard_timeout(Duration::from_secs(10))
    ///     .refresh_ahead(0.8)
    ///     .jitter(0.1);
    /// ```
    ///
    /// [RFC 5861 §3]: https://www.rfc-editor.org/rfc/rfc5861#section-3
    /// [RFC 9111 §4.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4
    #[must_use]
    pub fn stale_while_revalidate(mut self, time: Duration) -> Self {
        self.config.stale_while_revalidate = Some(time);
        self
    }

    /// How long after its lifetime an entry answers in place of an error ([RFC 5861 §4]): a status of 500, 502, 503 or 504,
    /// an error or panic of the service, a body that breaks, a fill that takes too long. Default: none.
    ///
    /// While there is such an entry, the first caller's answer isn't streamed: it waits for the whole body, so that it
    /// too gets a whole answer. After a failure the service is left alone for [`error_throttle`](Self::error_throttle).
    ///
    /// [RFC 5861 §4]: https://www.rfc-editor.org/rfc/rfc5861#section-4
    #[must_use]
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.config.stale_if_error = Some(time);
        self
    }

    /// How long the service isn't asked again for a key after a failed fill, while an entry may stand in. Default: a
    /// second; no time at all under [`Policy::http`].
    #[must_use]
    pub fn error_throttle(mut self, time: Duration) -> Self {
        self.config.error_throttle = Some(time);
        self
    }

    /// How long a request waits for the service if an entry may stand in for an error
    /// ([`stale_if_error`](Self::stale_if_error), or the directive): then the entry answers, and the fill goes on, as one
    /// that nobody waits for ([`max_orphan_fills`](crate::LimitsConfig::max_orphan_fills)). Default: to the end.
    #[must_use]
    pub fn soft_timeout(mut self, time: Duration) -> Self {
        self.config.soft_timeout = Some(time);
        self
    }

    /// How long a request waits for the service at all, counted from when the tiers had no answer to the head of the
    /// service's. Then an entry that may stand in for an error answers, else a 504 with `detail=hard-timeout`; the fill goes
    /// on as after [`soft_timeout`](Self::soft_timeout). Default: none of its own. A fill ends after the handle's
    /// [`fill_timeout`](crate::LimitsConfig::fill_timeout), and a request that waits for another's makes its own after
    /// [`coalesce_timeout`](crate::LimitsConfig::coalesce_timeout), or is answered stale.
    #[must_use]
    pub fn hard_timeout(mut self, time: Duration) -> Self {
        self.config.hard_timeout = Some(time);
        self
    }

    /// After this share of its lifetime, between 0 and 1, a hit on an entry starts one detached fill that refreshes it, so
    /// that what is asked for often never goes stale. Default: none.
    #[must_use]
    pub fn refresh_ahead(mut self, share: f64) -> Self {
        self.config.refresh_ahead = Some(share);
        self
    }

    /// Every lifetime is shortened at random by up to this share, from 0 up to 1, so that what was stored together doesn't
    /// end together. Default: 0.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.config.jitter = share;
        self
    }
}
