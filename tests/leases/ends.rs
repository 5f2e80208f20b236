//! How a holder's fill may end, and what the others hear of it.

use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout};
use tower_query_cache::{LimitsConfig, Policy, QueryCache};

use crate::support::http::{assert_hit, cache_status, ok, ok_with, text};
use crate::support::site::{MINUTE, stats};
use crate::support::store::patient;
use crate::support::{RedisServer, eventually, eventually_async};
use crate::{LONG, Node, gets, held, waiting};

/// What a test waits for an answer that must come at once; it only has to tell that from the end of the lease.
const AT_ONCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn one_process_fills_and_all_requests_of_the_others_get_its_entry() {
    let redis = RedisServer::start();
    let holder = Node::new(&redis, |_| ok("the holder's")).await;
    let others = [Node::new(&redis, |_| ok("own")).await, Node::new(&redis, |_| ok("own")).await];
    let first = holder.get("/a");
    holder.called(1).await;
    let [lease] = held(&redis).try_into().unwrap();
    let left: u64 = redis.cli(&["PTTL", &lease]).parse().unwrap();
    assert!(left > 0 && left <= 60_000, "{left}");

    let before = gets(&redis);
    let requests: Vec<_> = others.iter().flat_map(|node| (0..16).map(|_| node.get("/a"))).collect();
    waiting(&redis, &others.each_ref(), before).await;
    for node in &others {
        eventually_async("every request is in a fill", || async {
            let flights = &stats(&node.cache).await["flights"];
            flights["fills"] == 1 && flights["waiters"] == 15
        })
        .await;
        // A held lane would stay so.
        eventually_async("no lane is held", || async {
            stats(&node.cache).await["connection_pool"]["in_use_connections"] == 0
        })
        .await;
    }
    assert!(requests.iter().all(|request| !request.is_finished()));
    holder.open(1);
    assert_eq!(text(first.await.unwrap()).await, "the holder's");
    for request in requests {
        let answer = timeout(AT_ONCE, request).await.expect("an answer").unwrap();
        assert_eq!(cache_status(&answer), "tower-query-cache; fwd=miss; collapsed");
        assert_eq!(text(answer).await, "the holder's");
    }
    assert_eq!(others.each_ref().map(|node| node.calls()), [0, 0]);
    for node in &others {
        let figures = stats(&node.cache).await;
        assert_eq!((&figures["collapsed"], &figures["forwarded"]), (&16.into(), &0.into()));
        assert_eq!(figures["misses"]["shared"], 16, "looks while waiting aren't misses of requests");
        assert_hit(node.get("/a").await.unwrap(), "the holder's").await;
    }
    assert_eq!(stats(&holder.cache).await["forwarded"], 1);
    let counts = (holder.leases("acquired").await, others[0].leases("followed").await);
    assert_eq!(counts, (1, 1));
    assert_eq!(held(&redis).len(), 0);
    println!("3 processes, 33 requests for one cold key: {} call", holder.calls());
}

#[tokio::test]
async fn figures_of_leases_are_shown_once_there_are_any() {
    let redis = RedisServer::start();
    let plain = Node::with(patient(redis.url()), Policy::ttl(MINUTE), |_| ok("page")).await;
    plain.open(1);
    plain.get("/a").await.unwrap();
    plain.cache.settled().await;
    assert!(stats(&plain.cache).await.get("leases").is_none());
    assert_eq!(redis.cli(&["INFO", "commandstats"]).matches("cmdstat_eval").count(), 0);

    let leasing = Node::new(&redis, |_| ok("page")).await;
    leasing.open(1);
    leasing.get("/b").await.unwrap();
    let expected = serde_json::json!({"acquired": 1, "followed": 0, "fenced": 0, "timed_out": 0});
    assert_eq!(stats(&leasing.cache).await["leases"], expected);
}

#[tokio::test]
async fn when_the_holder_stores_nothing_the_others_go_on_at_once() {
    for end in ["refused", "failed", "panicked"] {
        let redis = RedisServer::start();
        let holder = Node::new(&redis, move |_| match end {
            "refused" => ok_with(&[("set-cookie", "a=b")], "mine"),
            "failed" => {
                let mut response = ok("sorry");
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
            _ => panic!("the handler panics"),
        })
        .await;
        let others = [0; 3].map(|_| Node::new(&redis, |_| ok("own")));
        let others = futures_util::future::join_all(others).await;
        let first = holder.get("/a");
        holder.called(1).await;
        let before = gets(&redis);
        let requests: Vec<_> = others.iter().map(|node| node.get("/a")).collect();
        waiting(&redis, &others.iter().collect::<Vec<_>>(), before).await;
        assert!(others.iter().all(|node| node.calls() == 0));

        others.iter().for_each(|node| node.open(1));
        let start = Instant::now();
        holder.open(1);
        for request in requests {
            let answer = timeout(AT_ONCE, request).await.expect("an answer").unwrap();
            assert_eq!(text(answer).await, "own");
        }
        let calls: usize = others.iter().map(Node::calls).sum();
        println!("{end}: 3 waiting processes answered after {:?}, {calls} call(s)", start.elapsed());
        assert!((1..=3).contains(&calls));
        assert_eq!(first.await.is_err(), end == "panicked");
        for node in &others {
            node.cache.settled().await;
        }
        holder.cache.settled().await;
        assert_eq!(held(&redis).len(), 0, "{end}");
    }
}

#[tokio::test]
async fn however_often_holders_give_up_a_waiter_outlasts_two() {
    let redis = RedisServer::start();
    let refuse = |_: &http::request::Parts| ok_with(&[("cache-control", "no-store")], "mine");
    let mut nodes = Vec::new();
    for _ in 0..6 {
        nodes.push(Node::new(&redis, refuse).await);
    }
    let first = nodes[0].get("/a");
    nodes[0].called(1).await;
    let before = gets(&redis);
    let requests: Vec<_> = nodes[1..].iter().map(|node| node.get("/a")).collect();
    waiting(&redis, &nodes[1..].iter().collect::<Vec<_>>(), before).await;
    let listeners = || redis.cli(&["CLIENT", "LIST", "TYPE", "PUBSUB"]).matches("sub=1").count();
    eventually("all listen", || listeners() == requests.len()).await;
    nodes[0].open(1);
    first.await.unwrap();
    // One may wait for the other, and no more: the last call begins before the second has ended.
    eventually("a second call", || nodes[1..].iter().map(Node::calls).sum::<usize>() >= 1).await;
    // Who looks is deaf for as long as that takes: all of them have looked and listen again.
    let before = gets(&redis);
    eventually("further looks of each", || gets(&redis) >= before + 3 * nodes.len()).await;
    nodes[1..].iter().filter(|node| node.calls() > 0).for_each(|node| node.open(1));
    eventually("all the others", || nodes[1..].iter().all(|node| node.calls() == 1)).await;
    nodes.iter().for_each(|node| node.open(1));
    for request in requests {
        assert_eq!(text(request.await.unwrap()).await, "mine");
    }
}

#[tokio::test]
async fn a_fill_that_is_cancelled_gives_its_lease_back() {
    let redis = RedisServer::start();
    let mut limits = LimitsConfig::default();
    limits.max_orphan_fills = 1;
    let cache = QueryCache::builder().redis(patient(redis.url())).limits(limits).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let holder = Node::over(cache, Policy::ttl(MINUTE).lease(LONG), |_| ok("never"));
    let other = Node::new(&redis, |_| ok("own")).await;
    // The one fill that may go on without anybody who waits for it.
    let orphan = holder.get("/orphan");
    holder.called(1).await;
    orphan.abort();
    eventually_async("an orphan", || async { stats(&holder.cache).await["flights"]["orphan_fills"] == 1 })
        .await;
    let first = holder.get("/a");
    holder.called(2).await;
    assert_eq!(held(&redis).len(), 2);
    let before = gets(&redis);
    let second = other.get("/a");
    waiting(&redis, &[&other], before).await;

    first.abort();
    other.open(1);
    assert_eq!(text(timeout(AT_ONCE, second).await.unwrap().unwrap()).await, "own");
    other.cache.settled().await;
    assert_eq!(held(&redis).len(), 1, "the orphan's");
    holder.open(1);
    holder.cache.settled().await;
    assert_eq!(held(&redis).len(), 0);
}

#[tokio::test]
async fn an_entry_that_the_queue_has_no_room_for_gives_its_lease_back() {
    let redis = RedisServer::start();
    let mut config = patient(redis.url());
    // Room for the body, and not for the head before it.
    config.queue_bytes = 4;
    let node = Node::with(config, Policy::ttl(MINUTE).lease(LONG).max_body(4), |_| ok("page")).await;
    node.open(1);
    assert_eq!(text(node.get("/a").await.unwrap()).await, "page");
    node.cache.settled().await;
    assert_eq!(stats(&node.cache).await["queue"]["dropped"], 1);
    assert_eq!(redis.keys(), [""; 0]);
    assert_hit(node.get("/a").await.unwrap(), "page").await;
}

#[tokio::test]
async fn what_cannot_be_stored_takes_no_lease_again() {
    let redis = RedisServer::start();
    let node = Node::new(&redis, |_| ok_with(&[("set-cookie", "a=b")], "mine")).await;
    node.open(3);
    for _ in 0..3 {
        node.get("/a").await.unwrap();
    }
    assert_eq!((node.calls(), node.leases("acquired").await), (3, 1));
}

#[tokio::test]
async fn a_holder_whose_lease_ran_out_does_not_overwrite_what_another_wrote() {
    let redis = RedisServer::start();
    let policy = || Policy::ttl(MINUTE).lease(Duration::from_millis(1));
    let slow = Node::with(patient(redis.url()), policy(), |_| ok("old")).await;
    let quick = Node::with(patient(redis.url()), policy(), |_| ok("new")).await;
    let first = slow.get("/a");
    slow.called(1).await;
    quick.open(1);
    assert_eq!(text(quick.get("/a").await.unwrap()).await, "new");
    quick.cache.settled().await;

    slow.open(1);
    assert_eq!(text(first.await.unwrap()).await, "old", "its own caller gets what it was called for");
    slow.cache.settled().await;
    let figures = stats(&slow.cache).await;
    let queue = (&figures["queue"]["superseded"], &figures["queue"]["written"]);
    assert_eq!((&figures["leases"]["fenced"], queue), (&1.into(), (&1.into(), &0.into())));
    let third = Node::new(&redis, |_| ok("never asked")).await;
    assert_hit(third.get("/a").await.unwrap(), "new").await;
}
