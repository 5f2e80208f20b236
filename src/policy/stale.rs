//! What a policy makes of entries that are, or soon will be, stale: pure, the caller says what time it is.

use std::time::Duration;

use http::StatusCode;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::PolicyConfig;
use super::directives::Directives;
use super::lifetime::MAX_LIFETIME;
use super::rules::{error, lifetime};
use crate::clock::Millis;
use crate::config::LimitsConfig;
use crate::entry::{Entry, Windows};
use crate::error::PolicyError;
use crate::key::Key;

/// Longest time-out or throttle: an hour, as for fills.
const LONGEST: Duration = Duration::from_secs(3600);

/// The part of a policy that is about stale entries.
#[derive(Clone, Debug)]
pub(crate) struct StaleRules {
    /// After a failed fill, the origin is left alone for this long while there is a stale entry.
    pub(crate) error_throttle: Duration,
    /// A stale entry answers after this long.
    pub(crate) soft_timeout: Option<Duration>,
    /// Nobody waits for the origin longer than this.
    pub(crate) hard_timeout: Option<Duration>,
    /// Windows of responses that name none.
    windows: Windows,
    refresh_ahead: Option<f64>,
    jitter: f64,
}

impl StaleRules {
    /// # Errors
    ///
    /// [`PolicyError::Field`] for the first value that can't be used.
    pub(super) fn new(config: &PolicyConfig) -> Result<Self, PolicyError> {
        let window = |field, time: Option<Duration>| time.map_or(Ok(0), |time| lifetime(field, time));
        let soft_timeout = wait("soft_timeout", config.soft_timeout)?;
        let hard_timeout = wait("hard_timeout", config.hard_timeout)?;
        if let (Some(soft), Some(hard)) = (soft_timeout, hard_timeout)
            && soft > hard
        {
            return Err(error("soft_timeout", format!("{soft:?} is above `hard_timeout`, {hard:?}")));
        }
        let error_throttle = config.error_throttle();
        if error_throttle > LONGEST {
            return Err(error("error_throttle", "is over an hour"));
        }
        if config.refresh_ahead.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            return Err(error("refresh_ahead", "must be between 0 and 1, a share of the lifetime"));
        }
        if !(0.0..1.0).contains(&config.jitter) {
            return Err(error(
                "jitter",
                "must be from 0 up to, but not including, 1: a share of the lifetime",
            ));
        }
        Ok(Self {
            error_throttle,
            soft_timeout,
            hard_timeout,
            windows: Windows {
                while_revalidate: window("stale_while_revalidate", config.stale_while_revalidate)?,
                if_error: window("stale_if_error", config.stale_if_error)?,
                revalidate: 0,
            },
            refresh_ahead: config.refresh_ahead,
            jitter: config.jitter,
        })
    }

    /// # Errors
    ///
    /// [`PolicyError::Field`] where the handle's own limits make a setting meaningless.
    pub(crate) fn check_within(&self, limits: &LimitsConfig) -> Result<(), PolicyError> {
        let longest = limits.fill_timeout;
        for (field, time) in [("soft_timeout", self.soft_timeout), ("hard_timeout", self.hard_timeout)] {
            let Some(time) = time else { continue };
            if time > longest {
                let problem = format!("{time:?} is above the handle's `fill_timeout`, {longest:?}");
                return Err(error(field, problem));
            }
            if !limits.finish_fills {
                return Err(error(field, "needs the handle's `finish_fills`: the fill is to go on"));
            }
        }
        Ok(())
    }

    /// The longer of the policy's own windows, and its field.
    pub(super) fn longest_window(&self) -> (&'static str, Millis) {
        let Windows { while_revalidate, if_error, .. } = self.windows;
        if while_revalidate > if_error {
            ("stale_while_revalidate", while_revalidate)
        } else {
            ("stale_if_error", if_error)
        }
    }

    /// What a response is good for after its lifetime: what it says itself, else, if it is a 200, what the policy says;
    /// nothing where a directive forbids it ([RFC 9111 §4.2.4]), or if it is itself an error. `first`: the policy goes
    /// before the response.
    ///
    /// [RFC 9111 §4.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4
    pub(super) fn windows(&self, status: StatusCode, directives: &Directives, first: bool) -> Windows {
        if first || status.is_server_error() {
            return self.own(status);
        }
        if directives.forbid_stale() || directives.any_no_cache() {
            return Windows::default();
        }
        self.said(status, directives)
    }

    /// What a response is good for if no directive forbids it: what it says itself, else what the policy says.
    pub(super) fn said(&self, status: StatusCode, directives: &Directives) -> Windows {
        let own = self.own(status);
        let of = |seconds: Option<u64>, own: Millis| {
            seconds.map_or(own, |seconds| seconds.saturating_mul(1000).min(MAX_LIFETIME))
        };
        Windows {
            while_revalidate: of(directives.stale_while_revalidate, own.while_revalidate),
            if_error: of(directives.stale_if_error, own.if_error),
            revalidate: 0,
        }
    }

    /// The policy's own windows, which are for a 200 alone.
    fn own(&self, status: StatusCode) -> Windows {
        if status == StatusCode::OK { self.windows } else { Windows::default() }
    }

    /// Whether a fresh entry has come so near its end that it should be refreshed.
    pub(crate) fn refresh_is_due(&self, entry: &Entry, now: Millis) -> bool {
        let Some(share) = self.refresh_ahead else { return false };
        let whole = entry.lifetime.saturating_sub(entry.initial_age);
        let resident = now.saturating_sub(entry.stored_at);
        resident as f64 >= whole as f64 * share
    }

    /// A lifetime shortened at random by up to the policy's share of what is left of it, so that what was stored
    /// together doesn't end together. Never longer: nobody outlives what the response allows.
    pub(crate) fn jittered(&self, lifetime: Millis, initial_age: Millis, key: &Key, now: Millis) -> Millis {
        let left = lifetime.saturating_sub(initial_age);
        // As good as random, and the same for the same entry.
        let random = (xxh3_64_with_seed(key.as_bytes(), now) >> 32) as f64 / f64::from(u32::MAX);
        let cut = (left as f64 * self.jitter * random) as Millis;
        lifetime.saturating_sub(cut.min(left.saturating_sub(1)))
    }
}

/// A time that somebody waits.
fn wait(field: &'static str, time: Option<Duration>) -> Result<Option<Duration>, PolicyError> {
    match time {
        Some(time) if time < Duration::from_millis(1) => {
            Err(error(field, format!("{time:?} is too short; the least is a millisecond")))
        }
        Some(time) if time > LONGEST => Err(error(field, "is over an hour")),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests;
