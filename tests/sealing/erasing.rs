//! Erasing: what a request is answered from is neither served nor kept.

use std::sync::Arc;

use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Request};
use tower_query_cache::{Policy, PurgeError, QueryCache};

use crate::support::http::{assert_hit, field, ok, ok_with};
use crate::support::site::{MINUTE, Site};
use crate::support::{Hoard, RedisServer};
use crate::{Way, entries};

fn asked(path: &str) -> Request<&'static str> {
    Request::get(path).body("").unwrap()
}

#[tokio::test]
async fn an_entry_leaves_redis_and_memory() {
    for way in Way::KEYED.iter().chain([&Way::Plain]) {
        let redis = RedisServer::start();
        let (cache, site) = way.writer(&redis, &[1], "page").await;
        for path in ["/one", "/two"] {
            site.get(path).await;
        }
        cache.settled().await;
        assert_eq!(entries(&redis).len(), 2);
        cache.erase_key(&asked("/one")).await.unwrap();
        assert_eq!(entries(&redis).len(), 1, "{way:?}");
        assert_hit(site.get("/two").await, "page").await;
        assert_eq!(site.calls(), 2);
        site.get("/one").await;
        assert_eq!(site.calls(), 3, "{way:?}");
    }
}

#[tokio::test]
async fn all_variants_and_their_list_leave_redis_whoever_knows_them() {
    for (way, knows) in [(Way::Plain, true), (Way::Plain, false), (Way::Sealed, false)] {
        let redis = RedisServer::start();
        let writer = way.handle(&redis, &[1]).await;
        let tongue = |parts: &http::request::Parts| {
            ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language"))
        };
        let site = Site::new(&writer, Policy::ttl(MINUTE), tongue);
        for number in 0..16 {
            site.get_with("/", &[("accept-language", &format!("t{number}"))]).await;
        }
        site.get("/other").await;
        writer.settled().await;
        assert_eq!(entries(&redis).len(), 16 + 1 + 2);
        // One that has read nothing yet learns the list from Redis.
        let other = way.handle(&redis, &[1]).await;
        let _layer = Site::new(&other, Policy::ttl(MINUTE), tongue);
        if knows { &writer } else { &other }.erase_key(&asked("/")).await.unwrap();
        assert_eq!(entries(&redis).len(), 2, "the other resource's are left");
    }
}

/// Under `Policy::http` a GET without content is its URI alone, also where bodies are keyed.
#[tokio::test]
async fn what_policy_http_has_stored_leaves_redis() {
    let redis = RedisServer::start();
    let cache = Way::Sealed.handle(&redis, &[1]).await;
    let policy = Policy::http().methods([Method::GET, Method::QUERY]).key_body(100);
    let site = Site::keyed(&cache, policy, |_, _| ok_with(&[("cache-control", "max-age=60")], "page"));
    site.get("/").await;
    cache.settled().await;
    assert_eq!(entries(&redis).len(), 1);
    let mut request = asked("/");
    request.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
    cache.erase_key(&request).await.unwrap();
    assert_eq!(entries(&redis).len(), 0);
}

#[tokio::test]
async fn a_request_that_no_policy_caches_erases_nothing() {
    let redis = RedisServer::start();
    let (cache, site) = Way::Plain.writer(&redis, &[1], "page").await;
    site.get("/").await;
    cache.settled().await;
    let unkeyed = Request::get("/").body("a body").unwrap();
    assert!(matches!(cache.erase_key(&unkeyed).await, Err(PurgeError::Uncached(_))));
    assert_eq!(entries(&redis).len(), 1);
    // It may be left undone, and sent to another thread.
    fn is_send<T: Send>(_: T) {}
    is_send(cache.erase_key(&asked("/")));
    assert_eq!(entries(&redis).len(), 1);
}

#[tokio::test]
async fn without_a_shared_tier_memory_is_erased() {
    let cache = QueryCache::builder().build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("page"));
    for _ in 0..2 {
        site.get("/").await;
    }
    assert_eq!(site.calls(), 1);
    cache.erase_key(&asked("/")).await.unwrap();
    site.get("/").await;
    assert_eq!(site.calls(), 2);
}

#[tokio::test]
async fn a_redis_that_is_gone_is_an_error_and_nothing_is_served() {
    let mut redis = RedisServer::start();
    let (cache, site) = Way::Plain.writer(&redis, &[1], "page").await;
    site.get("/").await;
    cache.settled().await;
    redis.stop();
    let error = cache.erase_key(&asked("/")).await.unwrap_err();
    assert!(matches!(error, PurgeError::Unreached(_) | PurgeError::Unerased(_)), "{error}");
    site.get("/").await;
    assert_eq!(site.calls(), 2, "its own memory doesn't answer any more");
}

#[tokio::test]
async fn writes_under_way_are_waited_for_and_those_that_wait_are_taken_back() {
    let hoard = Arc::new(Hoard::open());
    let cache = QueryCache::builder().store(Arc::clone(&hoard) as _).build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("page"));
    let open = hoard.writes.forget_permits(Hoard::OPEN);
    // The first write of the key is under way.
    site.get("/").await;
    tokio::task::yield_now().await;
    let mut erasing = Box::pin(cache.erase_key(&asked("/")));
    for _ in 0..50 {
        assert!(erasing.as_mut().now_or_never().is_none(), "the write isn't done");
        tokio::task::yield_now().await;
    }
    hoard.writes.add_permits(open);
    // The store has no journal: others don't hear of the purge.
    assert!(matches!(erasing.await, Err(PurgeError::NoJournal)));
    cache.settled().await;
    assert_eq!(hoard.len(), 0, "what was written is removed after it was");
}
