//! What a request asks of a cache ([RFC 9111 §5.2.1], [§5.4]).
//!
//! [RFC 9111 §5.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1
//! [§5.4]: https://www.rfc-editor.org/rfc/rfc9111#section-5.4

use http::HeaderMap;

use crate::clock::{Millis, millis};
use crate::entry::Entry;
use crate::policy::directives::{Members, delta_seconds};

/// What a request's fields say about how it may be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Not from the cache without validation; `Pragma: no-cache` where there is no `Cache-Control`, too.
    pub(crate) no_cache: bool,
    /// Nothing of it may be stored.
    pub(crate) no_store: bool,
    /// From the cache or not at all.
    pub(crate) only_if_cached: bool,
    /// The most age, milliseconds; 0 where the directive has no usable number.
    pub(crate) max_age: Option<Millis>,
    /// The least freshness left, milliseconds; more than there ever is where the directive has no usable number.
    pub(crate) min_fresh: Option<Millis>,
    /// The most staleness, milliseconds; [`Millis::MAX`] where the directive has no argument, and none where it has no
    /// usable number.
    pub(crate) max_stale: Option<Millis>,
    /// There are preconditions, or `If-Range`.
    pub(crate) preconditions: bool,
    /// It is for a part.
    pub(crate) range: bool,
    /// It carries `Authorization`.
    pub(crate) authorization: bool,
}

/// How an entry may be used for a request, as far as age and directives go ([RFC 9111 §4]).
///
/// [RFC 9111 §4]: https://www.rfc-editor.org/rfc/rfc9111#section-4
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// As it is.
    Fresh,
    /// Stale as it is: the request takes that, and no directive of the response forbids it.
    Stale,
    /// After a validation only.
    Validate,
}

impl Ask {
    /// Reads the fields in one pass, without allocating: it stands on the way of every hit.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut ask = Self::default();
        let mut pragma = false;
        let mut controlled = false;
        // Of the first `max-stale`, usable or not.
        let mut max_stale: Option<Option<Millis>> = None;
        for (name, value) in headers {
            match name.as_str() {
                "cache-control" => {
                    controlled = true;
                    for (name, argument) in Members::of(value.as_bytes()) {
                        ask.add(name, argument, &mut max_stale);
                    }
                }
                "pragma" => {
                    pragma |= Members::of(value.as_bytes()).any(|(name, argument)| {
                        name.eq_ignore_ascii_case(b"no-cache") && argument.is_empty()
                    });
                }
                "if-none-match" | "if-modified-since" | "if-match" | "if-unmodified-since" | "if-range" => {
                    ask.preconditions = true;
                }
                "range" => ask.range = true,
                "authorization" => ask.authorization = true,
                _ => {}
            }
        }
        ask.no_cache |= pragma && !controlled;
        ask.max_stale = max_stale.flatten();
        ask
    }

    fn add(&mut self, name: &[u8], argument: &[u8], max_stale: &mut Option<Option<Millis>>) {
        let is = |directive: &[u8]| name.eq_ignore_ascii_case(directive);
        let limit = || delta_seconds(argument).map(|seconds| seconds.saturating_mul(1_000));
        if is(b"no-cache") {
            self.no_cache = true;
        } else if is(b"no-store") {
            self.no_store = true;
        } else if is(b"only-if-cached") {
            self.only_if_cached = true;
        } else if is(b"max-age") {
            self.max_age.get_or_insert_with(|| limit().unwrap_or(0));
        } else if is(b"min-fresh") {
            self.min_fresh.get_or_insert_with(|| limit().unwrap_or(Millis::MAX));
        } else if is(b"max-stale") {
            let most = || if argument.is_empty() { Some(Millis::MAX) } else { limit() };
            max_stale.get_or_insert_with(most);
        }
    }

    /// Whether it asks for nothing in particular, so that it may lead or join a collapsed fill.
    pub(crate) fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the answer would be the same for others, though they wouldn't have asked now: `no-cache` and ages choose no other
    /// representation.
    pub(crate) fn speaks_for_all(&self) -> bool {
        !(self.no_store || self.preconditions || self.range || self.authorization)
    }

    /// How `entry` may be used for it.
    ///
    /// `max-age` holds for stale entries too: `max-stale` says how much staleness is accepted, not how much age. By
    /// `max-age=0` a client asks for a validation, however young the entry is.
    pub(crate) fn reuse(&self, entry: &Entry, now: Millis) -> Reuse {
        let age = millis(entry.age(now));
        if self.no_cache || self.max_age.is_some_and(|most| most == 0 || age > most) {
            return Reuse::Validate;
        }
        if let Some(left) = entry.fresh_for(now) {
            let enough = self.min_fresh.is_none_or(|least| millis(left) >= least);
            return if enough { Reuse::Fresh } else { Reuse::Validate };
        }
        let accepted =
            self.min_fresh.is_none() && self.max_stale.is_some_and(|most| entry.stale_by(now) <= most);
        if accepted && entry.serves_if_error(now) { Reuse::Stale } else { Reuse::Validate }
    }
}

#[cfg(test)]
mod tests;
