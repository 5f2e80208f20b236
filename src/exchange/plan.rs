//! What a fill under `Policy::http` goes by.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Request, header};

use crate::cache_status::Forward;
use crate::conditional::kept;
use crate::drive::Miss;
use crate::entry::Entry;
use crate::policy::http::request::Ask;
use crate::policy::http::{combine, validate};
use crate::purge::Validity;

/// Bytes of the entity tags that one request asks about: a server's limit for a field isn't far above.
const MAX_TAGS: usize = 4096;

/// What a fill under `Policy::http` goes by.
pub(crate) struct Plan {
    /// The entry that the origin is asked to confirm.
    pub(crate) base: Option<Arc<Entry>>,
    /// Other variants of the resource, one of which it may be.
    pub(crate) others: Vec<Arc<Entry>>,
    /// The part that the origin is asked to complete.
    pub(crate) part: Option<Arc<Entry>>,
    /// Why the origin is asked.
    pub(crate) forward: Forward,
    /// The request asks for nothing in particular: what becomes of it goes for others too.
    pub(crate) plain: bool,
    /// What the origin answers goes for others too, though they wouldn't have asked.
    pub(crate) for_all: bool,
    /// The request has preconditions or a range of the cache's own.
    pub(crate) is_shaped: bool,
}

impl<S, P> Miss<S, P> {
    /// Makes the request one that asks the origin to confirm what is stored, if that can be. With it comes the same request
    /// without preconditions.
    pub(crate) fn plan(&mut self, parts: &mut Parts, refresh: bool) -> (Plan, Option<(S, Request<P>)>) {
        let forward = self.why();
        let plain = self.ask.as_ref().is_some_and(Ask::is_plain);
        let for_all = self.ask.as_ref().is_some_and(Ask::speaks_for_all);
        let base = self.target.stale.clone().filter(|entry| {
            entry.windows.may_be_updated()
                && validate::has_validator(&entry.origin_fields(self.route.rules.etag))
        });
        if refresh {
            kept(&mut parts.headers, |name| *name != header::RANGE);
        }
        let part = self.incomplete.take().filter(|_| base.is_none());
        let rest = part.as_ref().and_then(|part| combine::missing(&part.headers, part.body.len()));
        let others = if plain && base.is_none() && rest.is_none() { self.variants() } else { Vec::new() };
        let is_shaped = base.is_some() || rest.is_some() || !others.is_empty();
        if !is_shaped {
            if refresh {
                validate::strip(&mut parts.headers);
            }
            return (Plan { base: None, others, part: None, forward, plain, for_all, is_shaped }, None);
        }
        let spare = self.spare.take().map(|(inner, body)| {
            let mut again = parts.clone();
            validate::strip(&mut again.headers);
            (inner, Request::from_parts(again, body))
        });
        if let Some(base) = &base {
            validate::condition(&mut parts.headers, &base.origin_fields(self.route.rules.etag));
        } else if let Some((range, if_range)) = rest {
            parts.headers.insert(header::RANGE, range);
            parts.headers.insert(header::IF_RANGE, if_range);
        } else {
            let tags: Vec<&[u8]> =
                others.iter().filter_map(|entry| validate::strong_etag(&entry.headers)).collect();
            if let Ok(tags) = HeaderValue::from_bytes(&tags.join(&b", "[..])) {
                parts.headers.insert(header::IF_NONE_MATCH, tags);
            }
        }
        (Plan { base, others, part, forward, plain, for_all, is_shaped }, spare)
    }

    /// What memory has of the resource's other variants with strong entity tags, each tag once ([RFC 9111 §4.3.1]).
    ///
    /// [RFC 9111 §4.3.1]: https://www.rfc-editor.org/rfc/rfc9111#section-4.3.1
    fn variants(&self) -> Vec<Arc<Entry>> {
        let Some(vary) = &self.target.vary else { return Vec::new() };
        let known = vary.variants.iter().filter_map(|(key, _)| self.shared.tiers.peek(key));
        let known = known.filter(|entry| entry.windows.may_be_updated());
        let mut others: Vec<Arc<Entry>> = Vec::new();
        let mut room = MAX_TAGS;
        for entry in known {
            let fields = entry.origin_fields(self.route.rules.etag);
            let Some(tag) = validate::strong_etag(&fields) else { continue };
            let is_new = others.iter().all(|other| validate::strong_etag(&other.headers) != Some(tag));
            if let Some(left) = room.checked_sub(tag.len()).filter(|_| is_new) {
                room = left;
                drop(fields);
                others.push(entry);
            }
        }
        others
    }

    /// Why the request goes to the origin.
    pub(crate) fn why(&self) -> Forward {
        if !self.is_http() {
            return self.target.forward();
        }
        let now = self.shared.clock.now();
        match &self.target.stale {
            Some(entry) if entry.fresh_for(now).is_some() && self.worth(entry) == Validity::Fresh => {
                Forward::Request
            }
            Some(_) => Forward::Stale,
            None if self.partial => Forward::Partial,
            None if self.target.vary.is_some() => Forward::VaryMiss,
            None => Forward::UriMiss,
        }
    }
}
