//! What one node purges, the others don't serve.

use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::Full;
use tower_query_cache::{CacheTags, Policy, QueryCache};

use crate::support::site::{MINUTE, Site, stats};
use crate::support::{RedisServer, eventually_async};

async fn node(server: &RedisServer) -> (QueryCache, Site) {
    let cache = QueryCache::builder().redis_url(server.url()).build().unwrap();
    assert!(cache.ready(Duration::from_secs(10)).await);
    let policy = Policy::ttl(MINUTE).stale_while_revalidate(MINUTE);
    let site = Site::new(&cache, policy, |parts| {
        let mut response = Response::new(Full::new(Bytes::from(parts.uri.path().to_owned())));
        response.extensions_mut().insert(CacheTags::new(["pages"]));
        response
    });
    (cache, site)
}

#[tokio::test]
async fn what_one_node_purges_the_other_does_not_serve() {
    let server = RedisServer::start();
    let (one, here) = node(&server).await;
    let (two, there) = node(&server).await;
    here.get("/a").await;
    one.settled().await;
    there.get("/a").await;
    there.get("/a").await;
    assert_eq!((here.calls(), there.calls()), (1, 0));
    let purged = one.purge_tag("pages").await.unwrap();
    assert!(!purged.everything, "{purged:?}");
    assert!(here.get("/a").await.headers()["cache-status"].to_str().unwrap().contains("fwd=miss"));
    one.settled().await;
    eventually_async("the other node hears of it", || async {
        stats(&two).await["journal"]["id"] == purged.id.to_string()
    })
    .await;
    // The other's own memory is checked as well: it asks Redis again, where the first has put a new one.
    let hits = stats(&two).await["hits"].clone();
    there.get("/a").await;
    assert_eq!(stats(&two).await["hits"]["memory"], hits["memory"]);
}

#[tokio::test]
async fn what_is_purged_softly_is_stale_on_all_nodes_and_stands_in_while_it_is_revalidated() {
    let server = RedisServer::start();
    let (one, here) = node(&server).await;
    let (two, there) = node(&server).await;
    for softly in ["tag", "url", "route", "key", "all"] {
        for site in [&here, &there] {
            assert_hit_soon(site).await;
        }
        let purge = match softly {
            "tag" => one.purge_tag("pages"),
            "url" => one.purge_url(&"/a".parse().unwrap()),
            "route" => one.purge_route("default"),
            "key" => one.purge_key(&Request::get("/a").body("").unwrap()),
            _ => one.purge_all(),
        };
        let purged = purge.soft().await.unwrap();
        eventually_async("the other node hears of it", || async {
            stats(&two).await["journal"]["id"] == purged.id.to_string()
        })
        .await;
        let before = stats(&two).await["stale"]["stale-while-revalidate"].as_u64().unwrap_or(0);
        let answer = there.get("/a").await;
        let status = answer.headers()["cache-status"].to_str().unwrap();
        assert!(status.ends_with("detail=stale-while-revalidate"), "{softly}: {status}");
        assert_eq!(stats(&two).await["stale"]["stale-while-revalidate"], before + 1);
        two.settled().await;
    }
}

/// Asks until the answer is fresh: what is stale is revalidated behind it.
async fn assert_hit_soon(site: &Site) {
    eventually_async("a fresh answer", || async {
        let answer = site.get("/a").await;
        let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
        status.contains("; hit; ttl=") && !status.contains("detail")
    })
    .await;
}
