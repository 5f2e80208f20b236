//! A cached service whose calls are counted, and a handle's own figures.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{BodyKey, CacheBody, HeadKey, QueryCache, RequestBody, Routes};

/// A lifetime that no test outlasts.
pub const MINUTE: Duration = Duration::from_secs(60);

/// The service's requests.
pub type Req = Request<Full<Bytes>>;

/// The service's responses.
pub type Answer = Response<CacheBody<Full<Bytes>>>;

/// An extension of a handler's response: how long it takes.
#[derive(Clone, Copy, Debug)]
pub struct Takes(pub Duration);

/// A cached service, and how often its handler was called.
#[derive(Clone)]
pub struct Site {
    service: BoxCloneSyncService<Req, Answer, Infallible>,
    calls: Arc<AtomicUsize>,
}

impl Site {
    /// A handler behind policies that key heads.
    pub fn new(
        cache: &QueryCache,
        routes: impl Into<Routes<HeadKey>>,
        handler: impl Fn(&Parts) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, handler) = (Arc::clone(&calls), Arc::new(handler));
        let inner = service_fn(move |request: Req| {
            counted.fetch_add(1, Ordering::SeqCst);
            let handler = Arc::clone(&handler);
            async move {
                let mut response = handler(&request.into_parts().0);
                if let Some(Takes(time)) = response.extensions_mut().remove() {
                    tokio::time::sleep(time).await;
                }
                Ok::<_, Infallible>(response)
            }
        });
        let service = ServiceBuilder::new().layer(cache.layer(routes)).service(inner);
        Self { service: BoxCloneSyncService::new(service), calls }
    }

    /// A handler behind policies that key bodies; it gets the whole body.
    pub fn keyed(
        cache: &QueryCache,
        routes: impl Into<Routes<BodyKey>>,
        handler: impl Fn(&Parts, &[u8]) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, handler) = (Arc::clone(&calls), Arc::new(handler));
        let inner = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
            counted.fetch_add(1, Ordering::SeqCst);
            let handler = Arc::clone(&handler);
            async move {
                let (parts, body) = request.into_parts();
                Ok::<_, Infallible>(handler(&parts, &body.collect().await?.to_bytes()))
            }
        });
        let service = ServiceBuilder::new().layer(cache.layer(routes)).service(inner);
        Self { service: BoxCloneSyncService::new(service), calls }
    }

    /// A request's answer.
    pub async fn send(&self, request: Req) -> Answer {
        self.service.clone().oneshot(request).await.unwrap()
    }

    /// The answer to a GET.
    pub async fn get(&self, uri: &str) -> Answer {
        self.get_with(uri, &[]).await
    }

    /// The answer to a GET with fields.
    pub async fn get_with(&self, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, uri, fields, "")).await
    }

    /// The answer to a POST of JSON.
    pub async fn post(&self, uri: &str, body: &str) -> Answer {
        self.send(request(Method::POST, uri, &[("content-type", "application/json")], body)).await
    }

    /// Calls of the handler so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// A request with fields and a body.
pub fn request(method: Method, uri: &str, fields: &[(&str, &str)], body: &str) -> Req {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// The text that the stats handler answers.
pub async fn stats_text(cache: &QueryCache) -> String {
    let response = cache.stats_handler().oneshot(super::http::get("/stats")).await.unwrap();
    assert_eq!(response.status(), 200);
    super::http::text(response).await
}

/// What the stats handler answers.
pub async fn stats(cache: &QueryCache) -> Value {
    serde_json::from_str(&stats_text(cache).await).unwrap()
}
