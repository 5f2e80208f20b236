//! How the journal is followed, by what the server grants: as the stats show it, and what purges do then.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;
use tower_query_cache::{CacheTags, Policy, PurgeError, QueryCache, RedisStore};

use crate::support::site::{MINUTE, Site, stats};
use crate::support::store::documented_user;
use crate::support::{RedisServer, WithoutJournal, eventually_async};
use crate::team::config;

/// Longer than any of this takes.
const PATIENCE: Duration = Duration::from_secs(10);

fn site(cache: &QueryCache) -> Site {
    Site::new(cache, Policy::ttl(MINUTE), |parts| {
        let mut response = Response::new(Full::new(Bytes::from(parts.uri.path().to_owned())));
        response.extensions_mut().insert(CacheTags::new(["pages"]));
        response
    })
}

fn node(url: String) -> (QueryCache, Site) {
    let cache = QueryCache::builder().redis(config(url)).build().unwrap();
    let site = site(&cache);
    (cache, site)
}

async fn journal(cache: &QueryCache, name: &str) -> Value {
    stats(cache).await["journal"][name].clone()
}

/// Waits until the figure is that.
async fn becomes(cache: &QueryCache, name: &str, value: impl Into<Value>) {
    let value = value.into();
    eventually_async("the figure becomes that", || async { journal(cache, name).await == value }).await;
}

/// Stores `/a` through one and finds it through the other, which has it in memory then.
async fn share([here, there]: [&(QueryCache, Site); 2]) {
    here.1.get("/a").await;
    here.0.settled().await;
    let before = there.1.calls();
    there.1.get("/a").await;
    there.1.get("/a").await;
    assert_eq!(there.1.calls(), before, "they share what is stored");
}

#[tokio::test]
async fn whoever_may_not_wait_asks_from_time_to_time() {
    let server = RedisServer::start();
    let url = documented_user(&server);
    server.cli(&["ACL", "SETUSER", "cache", "-xread"]);
    let (here, there) = (node(server.url()), node(url));
    for (cache, mode) in [(&here.0, "push"), (&there.0, "poll")] {
        assert!(cache.ready(PATIENCE).await);
        becomes(cache, "mode", mode).await;
        becomes(cache, "followed", true).await;
    }
    share([&here, &there]).await;
    let purged = here.0.purge_tag("pages").await.unwrap();
    becomes(&there.0, "id", purged.id.to_string()).await;
    there.1.get("/a").await;
    assert_eq!(there.1.calls(), 1, "it is heard of");
    there.0.settled().await;
    let purged = there.0.purge_tag("pages").await.unwrap();
    becomes(&here.0, "id", purged.id.to_string()).await;
    assert_eq!(
        (journal(&here.0, "mode").await, journal(&there.0, "mode").await),
        ("push".into(), "poll".into())
    );
}

#[tokio::test]
async fn whoever_may_not_append_hears_of_purges_and_makes_none() {
    let server = RedisServer::start();
    let url = documented_user(&server);
    server.cli(&["ACL", "SETUSER", "cache", "-xadd"]);
    let there = node(url);
    // There is no journal, and it may not begin one: nothing is shared, and requests go on.
    assert!(!there.0.ready(Duration::from_millis(300)).await);
    there.1.get("/a").await;
    eventually_async("it is told", || async { stats(&there.0).await.to_string().contains("NOPERM") }).await;
    assert_eq!(
        (journal(&there.0, "mode").await, journal(&there.0, "followed").await),
        ("push".into(), false.into())
    );
    assert_eq!(server.keys(), [""; 0]);

    let here = node(server.url());
    for cache in [&here.0, &there.0] {
        assert!(cache.ready(PATIENCE).await);
        becomes(cache, "followed", true).await;
    }
    here.0.purge_all().await.unwrap();
    share([&here, &there]).await;
    let calls = there.1.calls();
    let error = there.0.purge_tag("pages").await.unwrap_err();
    assert!(matches!(error, PurgeError::Unreached(_)) && error.to_string().contains("NOPERM"), "{error}");
    there.1.get("/a").await;
    assert_eq!(there.1.calls(), calls + 1, "it holds here");
    assert_eq!(journal(&there.0, "pending").await, 1);
}

#[tokio::test]
async fn where_there_are_no_streams_a_purge_holds_in_its_own_process() {
    let args = ["XADD", "XRANGE", "XREAD"].map(|command| ["--rename-command", command, ""]);
    let server = RedisServer::with_args(args.as_flattened());
    let (here, there) = (node(server.url()), node(server.url()));
    for (cache, _) in [&here, &there] {
        assert!(cache.ready(PATIENCE).await);
        becomes(cache, "mode", "off").await;
    }
    share([&here, &there]).await;
    holds_alone([&here, &there]).await;
}

#[tokio::test]
async fn so_does_one_over_a_store_without_a_journal() {
    let server = RedisServer::start();
    let node = || {
        let store = RedisStore::new(&config(server.url()), "tqc").unwrap();
        let cache = QueryCache::builder().store(Arc::new(WithoutJournal(Arc::new(store)))).build().unwrap();
        let site = site(&cache);
        (cache, site)
    };
    let (here, there) = (node(), node());
    for (cache, _) in [&here, &there] {
        assert!(cache.ready(PATIENCE).await);
        assert_eq!(journal(cache, "mode").await, "off");
    }
    share([&here, &there]).await;
    holds_alone([&here, &there]).await;
    // Without a shared tier there is nobody to tell.
    let alone = QueryCache::builder().build().unwrap();
    assert!(!alone.purge_all().await.unwrap().everything);
}

async fn holds_alone([here, there]: [&(QueryCache, Site); 2]) {
    let error = here.0.purge_tag("pages").await.unwrap_err();
    assert!(matches!(error, PurgeError::NoJournal), "{error}");
    let calls = [here.1.calls(), there.1.calls()];
    there.1.get("/a").await;
    assert_eq!(there.1.calls(), calls[1], "others aren't told");
    assert_eq!(journal(&here.0, "mode").await, "off");
}
