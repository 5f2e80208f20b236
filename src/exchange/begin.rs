//! Where the way of a request begins that may have a body: by the rules of its policy.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::exchange;
use crate::answer;
use crate::clock::Millis;
use crate::conditional;
use crate::drive::Miss;
use crate::entry::Entry;
use crate::future::ResponseFuture;
use crate::key::Key;
use crate::policy::Bypass;
use crate::policy::gate::lists_own_field;
use crate::policy::http::range;
use crate::policy::http::request::{Ask, Reuse};
use crate::purge::Trust;
use crate::refresh::Look;
use crate::request_body::RequestBody;
use crate::route::Route;
use crate::service::Cache;
use crate::store::Target;

impl<S, K> Cache<S, K> {
    /// As [`begin`](Self::begin), by the rules of the request's policy.
    pub(crate) fn begin_keyed<B, R>(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        body: RequestBody<B>,
        read: Option<Bytes>,
    ) -> ResponseFuture<S, Request<RequestBody<B>>, R>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        B: Body + Send + 'static,
        B::Error: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send + 'static,
    {
        if route.rules.http.is_none() {
            return self.begin(route, parts, body, read.as_deref());
        }
        let shared = self.shared();
        let key = match route.primary_key(&parts, read.as_deref()) {
            Ok(key) => key,
            Err(reason) => return self.past(Request::from_parts(parts, body), self.bypass(route, reason)),
        };
        let (now, trust) = (shared.clock.now(), shared.purges.trust(route.rules.strict));
        let ask = Ask::of(&parts.headers);
        let reason = if ask.preconditions && conditional::is_for_origin(&parts.headers) {
            Some(Bypass::Precondition)
        } else {
            lists_own_field(&parts.headers).then_some(Bypass::Connection)
        };
        if let Some(reason) = reason {
            if ask.only_if_cached {
                return ResponseFuture::hit(answer::only_if_cached(route, &shared.names));
            }
            let mark = self.bypass(route, reason);
            return self.past(Request::from_parts(parts, body), mark);
        }
        let found = shared.tiers.recall(route, key, &parts.headers, now, trust);
        let whole = found.as_ref().map_or_else(|target| target.stale.as_ref(), Some);
        if ask.range
            && let Some(whole) = whole
            && let Some(part) = self.newer_part(route, key, &parts, whole, (now, trust))
            && ask.reuse(&part, now) == Reuse::Fresh
        {
            return ResponseFuture::hit(self.hit(route, &parts, &part, now));
        }
        let target = match found {
            Ok(entry) if ask.reuse(&entry, now) == Reuse::Fresh => {
                let response = self.hit(route, &parts, &entry, now);
                if route.rules.stale.refresh_is_due(&entry, now)
                    && !ask.only_if_cached
                    && let Some(target) = self.due(route, &parts, key, &entry)
                {
                    let miss = self.asking(route, parts, (body, read), target, Trust::Known, ask);
                    miss.refresh(Look::First, Some(entry));
                }
                return ResponseFuture::hit(response);
            }
            Ok(entry) => {
                let target = shared.tiers.target(route, key, &parts.headers);
                Target { stale: Some(entry), known: true, ..target }
            }
            Err(target) => target,
        };
        route.stats.miss_memory();
        let miss = self.asking(route, parts, (body, read), target, trust, ask);
        ResponseFuture::driven(exchange(miss, ask))
    }

    /// A fresh part in memory that answers a request for a range, if it is newer than the whole: of two suitable responses the
    /// most recent is used ([RFC 9111 §4]).
    ///
    /// [RFC 9111 §4]: https://www.rfc-editor.org/rfc/rfc9111#section-4
    fn newer_part(
        &self,
        route: &Route,
        primary: Key,
        parts: &Parts,
        whole: &Entry,
        (now, trust): (Millis, Trust),
    ) -> Option<Arc<Entry>> {
        let tiers = &self.shared().tiers;
        let part = tiers.recall(route, primary.part(), &parts.headers, now, trust).ok()?;
        let answers = range::select(&parts.method, &parts.headers, &part).is_some();
        (answers && part.stored_at > whole.stored_at).then_some(part)
    }

    /// A request under `Policy::http` that memory alone doesn't answer.
    fn asking<B: Body>(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        (body, read): (RequestBody<B>, Option<Bytes>),
        target: Target,
        trust: Trust,
        ask: Ask,
    ) -> Miss<S, RequestBody<B>>
    where
        S: Clone,
    {
        let again = RequestBody::of(read.clone().unwrap_or_default());
        let mut miss = self.miss(route, parts, (body, read.as_deref()), target, trust);
        miss.ask = Some(ask);
        miss.spare = Some((self.inner(), again));
        miss
    }
}
