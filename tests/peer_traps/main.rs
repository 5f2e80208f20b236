//! Traps that other response caches fall into, each as a test: what a key must hold, what must never be stored, and what
//! a layer must not do to the service behind it, to its callers and to Redis.
//!
//! Three more are held without a test here:
//!
//! - a lock guard held across an await: a fill and a request's future must be `Send`, which a guard isn't, so that the
//!   compiler refuses it;
//! - an error type or a body that must be boxed or `Sync`: `tower` has an error that is nothing but itself and a body that
//!   is neither `Sync` nor `Unpin`, and wouldn't compile;
//! - a policy cloned for every request: `tests/allocations.rs` counts what a hit allocates.

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod collapsing;
mod keys;
#[cfg(feature = "redis")]
mod redis;
mod tower;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::Full;
use tower_query_cache::{CacheBody, Policy, QueryCache};

use ::tower::util::BoxCloneSyncService;
use ::tower::{ServiceBuilder, ServiceExt as _, service_fn};

type Req = Request<Full<Bytes>>;
type Answer = Response<CacheBody<Full<Bytes>>>;
type Service = BoxCloneSyncService<Req, Answer, Infallible>;

const MINUTE: Duration = Duration::from_secs(60);

/// A cached service, and how often the handler was called.
struct Site {
    service: Service,
    calls: Arc<AtomicUsize>,
}

/// Answers by `handler`, behind the preset policy.
fn site(handler: impl Fn(&Req) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Site {
    site_with(&memory(), Policy::ttl(MINUTE), handler)
}

/// Answers by `handler`, behind a layer of `cache`.
fn site_with(
    cache: &QueryCache,
    policy: Policy,
    handler: impl Fn(&Req) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> Site {
    let calls = Arc::new(AtomicUsize::new(0));
    let handler = Arc::new(handler);
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |request: Req| {
        counted.fetch_add(1, Ordering::SeqCst);
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler(&request)) }
    });
    let service = ServiceBuilder::new().layer(cache.layer(policy)).service(inner);
    Site { service: BoxCloneSyncService::new(service), calls }
}

impl Site {
    async fn send(&self, request: Req) -> Answer {
        self.service.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send(request(Method::GET, uri, &[])).await
    }

    async fn get_with(&self, uri: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, uri, fields)).await
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// A handle with the memory tier alone.
fn memory() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

fn request(method: Method, uri: &str, fields: &[(&str, &str)]) -> Req {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

/// What must end, and fails the test where it hangs.
async fn bounded<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(5), work).await.expect("it must not hang")
}
