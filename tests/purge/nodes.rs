//! What one node purges, the others don't serve.

use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use http_body_util::Full;
use tower_query_cache::{CacheTags, Policy, QueryCache};

use crate::support::site::{MINUTE, Site, stats};
use crate::support::{RedisServer, eventually_async};

async fn node(server: &RedisServer) -> (QueryCache, Site) {
    let cache = QueryCache::builder().redis_url(server.url()).build().unwrap();
    assert!(cache.ready(Duration::from_secs(10)).await);
    let site = Site::new(&cache, Policy::ttl(MINUTE), |parts| {
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
    eventually_async("the other node hears of it", || async {
        stats(&two).await["journal"]["id"] == purged.id.to_string()
    })
    .await;
    there.get("/a").await;
    println!("{}", stats(&two).await);
}
