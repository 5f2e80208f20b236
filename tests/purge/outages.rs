//! Purges while Redis is out of reach.

use std::time::Duration;

use tokio::time::Instant;
use tower_query_cache::{Policy, PurgeError, QueryCache};

use crate::support::proxy::Proxy;
use crate::support::site::{MINUTE, Site};
use crate::support::{RedisServer, eventually_async, http};
use crate::team::{Node, Truth, config, warm};

#[tokio::test]
async fn a_purge_that_redis_could_not_take_holds_here_at_once_and_everywhere_later() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    warm(&[&here, &there], &truth).await;
    here.disconnect();
    eventually_async("Redis is out of reach", || async {
        here.cache.purge_tag("other").await.is_err() && here.journal("followed").await == false
    })
    .await;
    let new = truth.change();
    let purged = here.cache.purge_tag("pages").await;
    assert!(matches!(purged, Err(PurgeError::Unreached(_))), "{purged:?}");
    assert_eq!(here.tells().await, new, "it holds here");
    assert!(here.journal("pending").await.as_u64() >= Some(1));
    assert_eq!(there.tells().await, new - 1, "nobody has told this one");

    here.reconnect(&server);
    let back = Instant::now();
    // Requests start the circuit breaker's probes.
    eventually_async("the purge is replayed", || async {
        here.tells().await;
        here.journal("pending").await == 0
    })
    .await;
    println!("replayed {:?} after Redis was back", back.elapsed());
    println!("and known to the other node {:?} later", there.learns(new).await);
    assert!(here.journal("replayed").await.as_u64() >= Some(1));
    assert_eq!(here.tells().await, new);
}

#[tokio::test]
async fn a_purge_while_redis_is_dead_is_not_forgotten_when_it_starts_empty() {
    let mut server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    warm(&[&here, &there], &truth).await;
    server.stop();
    let new = truth.change();
    let asked = Instant::now();
    let purged = here.cache.purge_tag("pages").await;
    assert!(matches!(purged, Err(PurgeError::Unreached(_))), "{purged:?}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(here.tells().await, new);
    server.restart();
    let back = Instant::now();
    eventually_async("the purge is replayed", || async {
        here.tells().await;
        here.journal("pending").await == 0
    })
    .await;
    println!("replayed {:?} after Redis was back", back.elapsed());
    assert!(there.learns(new).await < Duration::from_secs(5));
    assert_eq!(here.tells().await, new);
}

#[tokio::test]
async fn many_purges_while_redis_is_out_of_reach_become_one_of_everything() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let (here, there) = (Node::start(&server, &truth).await, Node::start(&server, &truth).await);
    warm(&[&here, &there], &truth).await;
    here.disconnect();
    let mut failed = 0;
    eventually_async("Redis is out of reach", || {
        let purge = here.cache.purge_tag("other");
        async { purge.await.is_err() }
    })
    .await;
    let new = truth.change();
    for batch in 0..20 {
        let tags = (0..100).map(|number| format!("tag-{batch}-{number}"));
        failed += usize::from(here.cache.purge_tags(tags).await.is_err());
    }
    assert_eq!(failed, 20);
    assert_eq!(here.tells().await, new, "over the bound, everything is purged");
    let pending = here.journal("pending").await.as_u64().unwrap();
    assert!(pending <= 1025, "{pending} tags are kept");
    here.reconnect(&server);
    eventually_async("all is replayed", || async {
        here.tells().await;
        here.journal("pending").await == 0
    })
    .await;
    there.learns(new).await;
}

#[tokio::test]
async fn out_of_touch_a_node_answers_from_memory_for_the_grace_and_no_longer() {
    const GRACE: Duration = Duration::from_secs(3);
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut config = config(proxy.url());
    config.partition_grace = GRACE;
    let cache = QueryCache::builder().redis(config).build().unwrap();
    assert!(cache.ready(Duration::from_secs(10)).await);
    let site = Site::new(&cache, Policy::ttl(MINUTE), |_| http::ok("page"));
    site.get("/page").await;
    cache.settled().await;
    proxy.switch(1);
    proxy.cut();
    let cut = Instant::now();
    site.get("/page").await;
    assert_eq!(site.calls(), 1, "memory answers");
    eventually_async("the grace ends", || async {
        site.get("/page").await;
        site.calls() == 2
    })
    .await;
    let took = cut.elapsed();
    println!("cut off, memory answered for {took:?} of {GRACE:?}");
    // Counted from the last contact, which was up to a second before the cut.
    assert!(took >= GRACE - Duration::from_millis(1500) && took < GRACE * 2, "{took:?}");
    // What it fills itself has a grace of its own.
    site.get("/page").await;
    assert_eq!(site.calls(), 2);
}
