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
use crate::cache::Filling;
use crate::drive::{self, Miss};
use crate::future::ResponseFuture;
use crate::key::{self, Key};
use crate::layer::CacheLayer;
use crate::policy::{BodyKey, Bypass, HeadKey};
use crate::request_body::RequestBody;
use crate::route::Route;
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

/// What is known of a request before anything is awaited.
enum Looked<R: Body> {
    Hit(Response<CacheBody<R>>),
    Miss(Target),
}

impl<S, K> Cache<S, K> {
    pub(crate) const fn new(inner: S, layer: CacheLayer<K>) -> Self {
        Self { inner, layer }
    }

    /// The request's policy; why it has none, if it goes past the cache. `None` inside: the cache is off.
    fn admit(&self, parts: &Parts) -> Result<&Arc<Route>, Option<Bypass>> {
        let shared = &self.layer.shared;
        if !shared.enabled.load(Ordering::Relaxed) {
            return Err(None);
        }
        if parts.extensions.get::<Filling>() == Some(&Filling(shared.id)) {
            return Err(Some(Bypass::Nested));
        }
        let path = key::original_uri(parts).path();
        let route = self.layer.table.find(path, &parts.method)?;
        match route.rules.gate(parts) {
            Ok(()) => Ok(route),
            Err(reason) => {
                route.stats.bypass(reason);
                Err(Some(reason))
            }
        }
    }

    /// Looks in memory.
    fn look<R: Body>(&self, route: &Route, parts: &Parts, key: Key) -> Looked<R> {
        let shared = &self.layer.shared;
        let now = shared.clock.now();
        match shared.tiers.recall(key, &parts.headers, now) {
            Ok(entry) => {
                route.stats.hit_memory();
                let (method, headers) = (&parts.method, &parts.headers);
                let response = answer::from_entry(&entry, method, headers, now, How::Hit, &shared.names);
                route.count(&response);
                Looked::Hit(response)
            }
            Err(target) => Looked::Miss(target),
        }
    }

    fn miss<P>(&self, route: &Arc<Route>, parts: Parts, body: P, target: Target) -> Miss<S, P>
    where
        S: Clone,
    {
        Miss {
            shared: Arc::clone(&self.layer.shared),
            route: Arc::clone(route),
            inner: self.inner.clone(),
            parts,
            body,
            target,
        }
    }

    fn past<Q, R>(&self, request: Request<Q>, reason: Option<Bypass>) -> ResponseFuture<S, Request<Q>, R>
    where
        S: Service<Request<Q>> + Clone,
        R: Body,
    {
        let mark = reason.map(|reason| (reason, Arc::clone(&self.layer.shared.names)));
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
        let keyed = self.admit(&parts).and_then(|route| {
            let key = if body.is_end_stream() { route.primary_key(&parts, None) } else { Err(Bypass::Body) };
            match key {
                Ok(key) => Ok((route, key)),
                Err(reason) => {
                    route.stats.bypass(reason);
                    Err(Some(reason))
                }
            }
        });
        let (route, key) = match keyed {
            Ok(keyed) => keyed,
            Err(reason) => return self.past(Request::from_parts(parts, body), reason),
        };
        match self.look(route, &parts, key) {
            Looked::Hit(response) => ResponseFuture::hit(response),
            Looked::Miss(target) => {
                ResponseFuture::driven(drive::miss(self.miss(route, parts, body, target)))
            }
        }
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
        match self.admit(&parts) {
            Ok(route) => {
                let route = Arc::clone(route);
                ResponseFuture::driven(self.clone().read_and_look(route, parts, body))
            }
            Err(reason) => self.past(Request::from_parts(parts, RequestBody::unread(body)), reason),
        }
    }
}

impl<S, K> Cache<S, K> {
    /// Reads the request's body, since it is part of the key, and goes on from there.
    async fn read_and_look<B, R>(
        self,
        route: Arc<Route>,
        parts: Parts,
        body: B,
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
        let limit = route.rules.key_body.unwrap_or(0);
        let (body, read) =
            RequestBody::read(body, limit, &shared.key_bodies, shared.limits.key_body_timeout).await;
        let key = read.and_then(|bytes| route.primary_key(&parts, Some(&bytes)));
        match key {
            Ok(key) => match self.look(&route, &parts, key) {
                Looked::Hit(response) => Ok(response),
                Looked::Miss(target) => drive::miss(self.miss(&route, parts, body, target)).await,
            },
            Err(reason) => {
                route.stats.bypass(reason);
                self.past(Request::from_parts(parts, body), Some(reason)).await
            }
        }
    }
}

impl<S, K> fmt::Debug for Cache<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}
