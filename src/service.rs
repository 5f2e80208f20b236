//! The service: what happens before the first await, and for a memory hit all that happens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::cache::Shared;
use crate::clock::Millis;
use crate::drive::{self, Miss};
use crate::entry::Entry;
use crate::exchange;
use crate::future::{Mark, ResponseFuture};
use crate::key::{self, Key};
use crate::layer::CacheLayer;
use crate::policy::http::invalidate;
use crate::policy::{BodyKey, Bypass, HeadKey};
use crate::purge::Trust;
use crate::refresh::Look;
use crate::request_body::RequestBody;
use crate::route::{self, RequestHead, Route};
use crate::store::Target;

/// Answers requests from the cache, and calls the service behind it for those it can't.
///
/// `poll_ready` is always ready, so that a busy inner service delays no hit. A request that needs the inner service takes
/// a clone of it, drives that clone to readiness, and calls that very clone.
#[derive(Clone)]
pub struct Cache<S, K = HeadKey> {
    inner: S,
    layer: CacheLayer<K>,
}

impl<S, K> Cache<S, K> {
    pub(crate) const fn new(inner: S, layer: CacheLayer<K>) -> Self {
        Self { inner, layer }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.layer.shared
    }

    /// A clone of the service behind the cache, not yet ready.
    pub(crate) fn inner(&self) -> S
    where
        S: Clone,
    {
        self.inner.clone()
    }

    /// The request's policy; why it goes past the cache, if it does. `None` inside: the cache is off.
    fn admit(&self, parts: &Parts) -> Result<&Arc<Route>, Option<Mark>> {
        let shared = &self.layer.shared;
        if !shared.enabled.load(Ordering::Relaxed) {
            return Err(None);
        }
        let path = key::original_uri(parts).path();
        let found = match shared.is_marked(&parts.extensions) {
            true => Err(Bypass::Nested),
            false => self.layer.table.find(path, &parts.method),
        };
        match found {
            Ok(route) => route.rules.gate(parts).map(|()| route).map_err(|reason| self.bypass(route, reason)),
            Err(reason) => {
                shared.unrouted.bypass(reason);
                Err(Some(Mark { reason, route: None, names: Arc::clone(&shared.names) }))
            }
        }
    }

    /// Looks in memory, and goes on from there. `read` is the request's body, if it is part of the key.
    pub(crate) fn begin<P, R>(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        body: P,
        read: Option<&[u8]>,
    ) -> ResponseFuture<S, Request<P>, R>
    where
        S: Service<Request<P>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        P: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send + 'static,
    {
        let shared = &self.layer.shared;
        let key = match route.primary_key(&parts, read) {
            Ok(key) => key,
            Err(reason) => return self.past(Request::from_parts(parts, body), self.bypass(route, reason)),
        };
        let now = shared.clock.now();
        let trust = shared.purges.trust(route.rules.strict);
        match shared.tiers.recall(route, key, &parts.headers, now, trust) {
            Ok(entry) => {
                let response = self.hit(route, &parts, &entry, now);
                if route.rules.stale.refresh_is_due(&entry, now) {
                    self.refresh(route, parts, (body, read), key, entry);
                }
                ResponseFuture::hit(response)
            }
            Err(target) => {
                route.stats.miss_memory();
                ResponseFuture::driven(drive::miss(self.miss(route, parts, (body, read), target, trust)))
            }
        }
    }

    /// The answer from a fresh entry in memory.
    pub(crate) fn hit<R: Body>(
        &self,
        route: &Route,
        parts: &Parts,
        entry: &Entry,
        now: Millis,
    ) -> Response<CacheBody<R>> {
        route.stats.hit_memory();
        let names = &self.layer.shared.names;
        let response = answer::from_entry(entry, &parts.method, &parts.headers, now, How::Hit, names);
        route.count(&response);
        response
    }

    /// A hit on an entry that comes near its end: the request goes on to the origin, though it is answered.
    #[cold]
    fn refresh<P, R>(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        body: (P, Option<&[u8]>),
        primary: Key,
        entry: Arc<Entry>,
    ) where
        S: Service<Request<P>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        P: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send + 'static,
    {
        if let Some(target) = self.due(route, &parts, primary, &entry) {
            self.miss(route, parts, body, target, Trust::Known).refresh(Look::First, Some(entry));
        }
    }

    /// Where the entry of such a hit stands, unless another refresh of it runs or failed just now.
    pub(crate) fn due(
        &self,
        route: &Arc<Route>,
        parts: &Parts,
        primary: Key,
        entry: &Entry,
    ) -> Option<Target> {
        let shared = &self.layer.shared;
        // Asked again at each hit until the fill is done: what is cheap comes first.
        if !route::may_refresh(&parts.method, &parts.headers)
            || shared.failing.contains(&entry.key, shared.clock.now())
            || shared.flights.is_filling(&entry.key)
        {
            return None;
        }
        let target = shared.tiers.target(route, primary, &parts.headers);
        (target.key == entry.key).then_some(target)
    }

    pub(crate) fn miss<P>(
        &self,
        route: &Arc<Route>,
        parts: Parts,
        (body, read): (P, Option<&[u8]>),
        target: Target,
        trust: Trust,
    ) -> Miss<S, P>
    where
        S: Clone,
    {
        let shared = &self.layer.shared;
        let named = route.named_key(&parts, read, &target.primary);
        let (tags, tagged) = route.request_tags(&parts, &named);
        Miss {
            shared: Arc::clone(shared),
            route: Arc::clone(route),
            inner: self.inner.clone(),
            head: Arc::new(RequestHead {
                method: parts.method.clone(),
                headers: route.visible(&parts.headers).into_owned(),
                tagged,
            }),
            tags: tags.into(),
            parts,
            body,
            target,
            trust,
            unanswered: false,
            running: shared.running(),
            ask: None,
            spare: None,
            partial: false,
            stale_part: None,
            incomplete: None,
        }
    }

    /// Counts a bypass.
    pub(crate) fn bypass(&self, route: &Arc<Route>, reason: Bypass) -> Option<Mark> {
        route.bypassed(reason);
        let names = Arc::clone(&self.layer.shared.names);
        Some(Mark { reason, route: Some(Arc::clone(route)), names })
    }

    /// Past the cache. If that may change what is stored, it is purged.
    fn pass<Q, R>(&self, request: Request<Q>, mark: Option<Mark>) -> ResponseFuture<S, Request<Q>, R>
    where
        S: Service<Request<Q>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        Q: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send + 'static,
    {
        let changed = mark
            .as_ref()
            .filter(|mark| mark.reason != Bypass::Nested && !invalidate::is_safe(request.method()));
        let changed = changed.and_then(|mark| {
            let path = key::original_uri_of(request.uri(), request.extensions()).path();
            let route = self.layer.table.all(path).find(|route| route.rules.purges_unsafe)?;
            Some((Arc::clone(route), mark.reason))
        });
        match changed {
            Some((route, reason)) => {
                let shared = Arc::clone(&self.layer.shared);
                let passed = exchange::through(shared, route, reason, self.inner.clone(), request);
                ResponseFuture::driven(passed)
            }
            None => self.past(request, mark),
        }
    }

    pub(crate) fn past<Q, R>(
        &self,
        request: Request<Q>,
        mark: Option<Mark>,
    ) -> ResponseFuture<S, Request<Q>, R>
    where
        S: Service<Request<Q>> + Clone,
        R: Body,
    {
        ResponseFuture::past(self.inner.clone(), request, mark)
    }
}

impl<S, B, R> Service<Request<B>> for Cache<S, HeadKey>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    type Response = Response<CacheBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Request<B>, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mark = match self.admit(&parts) {
            Ok(route) if body.is_end_stream() => return self.begin(route, parts, body, None),
            Ok(route) => self.bypass(route, Bypass::Body),
            Err(mark) => mark,
        };
        self.pass(Request::from_parts(parts, body), mark)
    }
}

impl<S, B, R> Service<Request<B>> for Cache<S, BodyKey>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    type Response = Response<CacheBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, Request<RequestBody<B>>, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let mark = match self.admit(&parts) {
            Ok(route) => match (body.is_end_stream(), route.rules.key_body) {
                (true, limit) => {
                    let read = limit.map(|_| Bytes::new());
                    return self.begin_keyed(route, parts, RequestBody::unread(body), read);
                }
                (false, Some(limit)) => {
                    let route = Arc::clone(route);
                    return ResponseFuture::driven(self.clone().read_and_begin(route, parts, body, limit));
                }
                (false, None) => self.bypass(route, Bypass::Body),
            },
            Err(mark) => mark,
        };
        self.pass(Request::from_parts(parts, RequestBody::unread(body)), mark)
    }
}

impl<S, K> Cache<S, K> {
    /// Reads the request's body, since it is part of the key, and goes on from there.
    async fn read_and_begin<B, R>(
        self,
        route: Arc<Route>,
        parts: Parts,
        body: B,
        limit: usize,
    ) -> Result<Response<CacheBody<R>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Send + 'static,
    {
        let shared = &self.layer.shared;
        let running = shared.running();
        let time = shared.limits.key_body_timeout;
        match RequestBody::read(body, limit, &shared.key_bodies, time).await {
            (body, Ok(read)) => {
                let answered = self.begin_keyed(&route, parts, body, Some(read));
                // What begins counts itself.
                drop(running);
                answered.await
            }
            (body, Err(reason)) => {
                let mark = self.bypass(&route, reason);
                drop(running);
                self.pass(Request::from_parts(parts, body), mark).await
            }
        }
    }
}

impl<S, K> fmt::Debug for Cache<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
