//! What a fill under `Policy::http` goes by.

use std::sync::Arc;

use http::Request;
use http::request::Parts;

use crate::cache_status::Forward;
use crate::drive::Miss;
use crate::entry::Entry;
use crate::policy::http::validate;

/// What a fill under `Policy::http` goes by.
pub(crate) struct Plan {
    /// The entry that the origin is asked to confirm.
    pub(crate) base: Option<Arc<Entry>>,
    /// Why the origin is asked.
    pub(crate) forward: Forward,
}

impl<S, P> Miss<S, P> {
    /// Makes the request one that asks the origin to confirm what is stored, if that can be. With it comes the same request
    /// without preconditions.
    pub(crate) fn plan(&mut self, parts: &mut Parts, refresh: bool) -> (Plan, Option<(S, Request<P>)>) {
        let forward = self.why();
        let base = self.target.stale.clone().filter(|entry| {
            // Those are the origin's to judge (RFC 9111 §4.3.2).
            validate::has_validator(&entry.headers) && !crate::conditional::is_for_origin(&parts.headers)
        });
        let Some(base) = base else {
            if refresh {
                validate::strip(&mut parts.headers);
            }
            return (Plan { base: None, forward }, None);
        };
        let spare = self.spare.take().map(|(inner, body)| {
            let mut plain = parts.clone();
            validate::strip(&mut plain.headers);
            (inner, Request::from_parts(plain, body))
        });
        validate::condition(&mut parts.headers, &base.headers);
        (Plan { base: Some(base), forward }, spare)
    }

    /// Why the request goes to the origin.
    pub(crate) fn why(&self) -> Forward {
        if !self.is_http() {
            return self.target.forward();
        }
        let now = self.shared.clock.now();
        match &self.target.stale {
            Some(entry) if entry.fresh_for(now).is_some() => Forward::Request,
            Some(_) => Forward::Stale,
            None if self.partial => Forward::Partial,
            None if self.target.vary.is_some() => Forward::VaryMiss,
            None => Forward::UriMiss,
        }
    }
}
