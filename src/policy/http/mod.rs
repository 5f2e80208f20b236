//! A shared cache by RFC 9111: pure functions, a file for each family of sections.

pub(super) mod age;
pub(crate) mod combine;
pub(crate) mod dates;
mod fields;
pub(super) mod freshness;
pub(crate) mod invalidate;
pub(crate) mod range;
pub(crate) mod request;
#[cfg(test)]
mod oracle;
mod storable;
pub(crate) mod validate;

pub(crate) use self::storable::Exchange;

use std::time::Duration;

use http::HeaderName;

use super::config::{PolicyConfig, Preset};
use super::rules::{error, lifetime};
use crate::clock::Millis;
use crate::error::PolicyError;

/// How long a stale entry is kept, unless the policy says otherwise.
const KEEP_STALE: Duration = Duration::from_secs(3600);

/// What a policy that is a shared cache of RFC 9111 has beside the rules of all.
#[derive(Debug)]
pub(crate) struct HttpRules {
    /// How long an entry outlives its lifetime, milliseconds.
    pub(crate) keep_stale: Millis,
    /// Whether responses that set a cookie are refused.
    pub(super) refuse_set_cookie: bool,
    /// Targeted fields, in their order.
    targets: Vec<HeaderName>,
}

impl HttpRules {
    /// The rules of a policy with the preset `http`; none for another. `targets`: the policy's targeted
    /// fields.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] for a field that the preset has no meaning for.
    pub(super) fn of(config: &PolicyConfig, targets: &[HeaderName]) -> Result<Option<Self>, PolicyError> {
        if config.preset == Preset::Ttl {
            return match config {
                PolicyConfig { keep_stale: Some(_), .. } => {
                    Err(error("keep_stale", "is for `preset` \"http\" alone"))
                }
                PolicyConfig { refuse_set_cookie: true, .. } => {
                    Err(error("refuse_set_cookie", "is for `preset` \"http\" alone; `ttl` always does"))
                }
                _ => Ok(None),
            };
        }
        let foreign = [
            ("ttl", config.ttl.is_some()),
            ("override_ttl", config.override_ttl),
            ("negative_ttl", !config.negative_ttl.is_empty()),
            ("honor_request_directives", config.honor_request_directives),
        ];
        if let Some((field, _)) = foreign.iter().find(|(_, set)| *set) {
            return Err(error(field, "has no meaning under `preset` \"http\""));
        }
        let keep_stale = match config.keep_stale.unwrap_or(KEEP_STALE) {
            Duration::ZERO => 0,
            time => lifetime("keep_stale", time)?,
        };
        Ok(Some(Self { keep_stale, refuse_set_cookie: config.refuse_set_cookie, targets: targets.to_vec() }))
    }
}
