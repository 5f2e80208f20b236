//! An inner service that tests step by hand, in paused time.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tower_layer::Layer as _;
use tower_query_cache::{Policy, QueryCache};
use tower_test::mock;

/// A lifetime that no test outlasts.
pub const MINUTE: Duration = Duration::from_secs(60);

/// The requests of tests that step the inner service.
pub type Req = Request<Empty<Bytes>>;
/// An inner service that the test steps.
pub type Mock = mock::Mock<Req, Response<Full<Bytes>>>;
/// The test's end of it.
pub type Origin = mock::Handle<Req, Response<Full<Bytes>>>;
/// It, behind a layer.
pub type Cached = tower_query_cache::Cache<Mock>;

/// A handle with memory alone.
pub fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// A layer over an inner service that is always ready.
pub fn over_mock(cache: &QueryCache) -> (Cached, Origin) {
    let (inner, mut origin) = mock::pair();
    origin.allow(1000);
    (cache.layer(Policy::ttl(MINUTE)).layer(inner), origin)
}

/// The next call of the inner service, which must be for `path`.
pub async fn next(origin: &mut Origin, path: &str) -> mock::SendResponse<Response<Full<Bytes>>> {
    // Paused time jumps: past every time-out of the cache, to the end of a test that would hang.
    let call = tokio::time::timeout(4 * MINUTE, origin.next_request()).await.expect("no call came");
    let (request, respond) = call.expect("a request");
    assert_eq!(request.uri().path(), path);
    respond
}

/// Lets every task that can run do so.
pub async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}
