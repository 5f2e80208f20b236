//! `lookup_timeout` is for the whole of a lookup, and nothing waits for ever for a store.
#![cfg(all(feature = "redis", feature = "test-util"))]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::http::{cache_status, ok, ok_with, text};
use support::proxy::{self, Proxy};
use support::site::{MINUTE, Site, stats};
use support::store::{config, key, open, skip};
use support::{RedisServer, eventually};
use tokio::time::{Instant, timeout};
use tower_query_cache::test_util::{Fault, FaultStore, MemoryStore};
use tower_query_cache::{Policy, QueryCache, RedisConfig, Store, StoreError};

#[tokio::test]
async fn a_retry_has_what_the_first_try_left_of_the_budget() {
    // Of which a busy machine can take no large part.
    const BUDGET: Duration = Duration::from_secs(8);
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let mut config = config(proxy.url());
    config.lookup_timeout = BUDGET;
    let store = open(&config);
    store.ready().await.unwrap();
    eventually("all lanes", || store.pool().connections_created == 3).await;
    let lookups = || proxy.commands().get("GET").copied().unwrap_or(0);

    proxy.inject(proxy::Fault::BlackHole);
    let started = Instant::now();
    let looking = tokio::spawn({
        let store = Arc::clone(&store);
        async move { (store.get(&key(1)).await, started.elapsed()) }
    });
    eventually("the first try is sent", || lookups() == 1).await;
    skip(BUDGET / 2).await;
    proxy.reset_lost();
    eventually("the second try is sent", || lookups() == 2).await;
    skip(BUDGET / 2).await;
    let (result, taken) = looking.await.unwrap();
    println!(
        "first lane cut after {:?}, second silent: the lookup ended after {taken:?} of {BUDGET:?}",
        BUDGET / 2
    );
    assert!(matches!(result, Err(StoreError::Timeout)), "{result:?}");
    // A budget of its own for the retry would end at 12 s.
    assert!(taken >= BUDGET && taken < BUDGET * 3 / 2, "{taken:?}");
    assert_eq!(lookups(), 2, "one retry and no more");
}

fn struck_by(fault: Fault) -> FaultStore {
    let store = FaultStore::new(Arc::new(MemoryStore::new(100)));
    store.inject(fault);
    store
}

fn over(store: &FaultStore, vary: &'static str) -> (QueryCache, Site) {
    let cache = QueryCache::builder().store(Arc::new(store.clone())).build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE), move |_| match vary {
        "" => ok("page"),
        vary => ok_with(&[("vary", vary)], "page"),
    });
    (cache, site)
}

#[tokio::test(start_paused = true)]
async fn the_two_round_trips_of_a_varying_resource_share_one_budget() {
    let limit = RedisConfig::default().lookup_timeout;
    let store = struck_by(Fault::delay(limit * 3 / 5));
    let (first, writer) = over(&store, "accept-language");
    assert!(first.ready(MINUTE).await);
    writer.get("/").await;
    first.settled().await;

    // This handle doesn't know yet that the resource varies: the list of variants first, and then the variant.
    let (second, reader) = over(&store, "accept-language");
    assert!(second.ready(MINUTE).await);
    let started = Instant::now();
    let answer = reader.get("/").await;
    assert_eq!(cache_status(&answer), "tower-query-cache; fwd=miss; stored");
    println!(
        "two round trips of 3/5 of the budget: the lookup ended after {:?} of {limit:?}",
        started.elapsed()
    );
    assert!(started.elapsed() >= limit && started.elapsed() < limit + Duration::from_millis(5));
    assert_eq!(stats(&second).await["errors"]["timeout"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_costs_its_limits_and_no_more() {
    let times = RedisConfig::default();
    let store = struck_by(Fault::hang());
    let (cache, site) = over(&store, "");
    let (mut slow, mut fast) = (0, 0);
    for number in 0..20 {
        let started = Instant::now();
        assert_eq!(text(site.get(&format!("/{number}")).await).await, "page");
        match started.elapsed() {
            Duration::ZERO => fast += 1,
            taken => {
                assert!(taken < times.lookup_timeout + Duration::from_millis(5), "{taken:?}");
                slow += 1;
            }
        }
    }
    assert_eq!((slow, fast), (5, 15), "the circuit breaker is open then");
    let started = Instant::now();
    stats(&cache).await;
    assert!(!cache.ready(Duration::from_secs(3)).await);
    timeout(times.write_timeout * 2, cache.shutdown()).await.expect("writes are given up");
    println!("a store that never answers: all settled after {:?}", started.elapsed());
    let figures = stats(&cache).await;
    assert_eq!(
        (&figures["breaker"]["state"], &figures["queue"]["queued_entries"]),
        (&"half-open".into(), &0.into())
    );
}
