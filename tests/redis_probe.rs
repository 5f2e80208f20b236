//! A Redis tier that is suspended, as while the circuit breaker is open: it sends the probe and nothing else, whatever its
//! lanes were at; and how a probe tells life from silence.
#![cfg(feature = "redis")]

mod support;

use std::collections::HashSet;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower_query_cache::{RedisStore, Store, StoreError};

use self::support::mock::settle;
use self::support::proxy::{Fault, Proxy};
use self::support::store::{LIFE, clients, config, connected, key, open, patient, skip, value};
use self::support::{FakeRedis, RedisServer, eventually, eventually_async};

/// Lets all waits between connects be over at once, and every task do what it does then. A connect that this leads to is
/// in the server's queue before any that is made later.
async fn skip_waits() {
    skip(Duration::from_secs(10)).await;
    settle().await;
}

fn lanes(store: &RedisStore) -> usize {
    store.pool().connections_created
}

/// The names of the commands that came, but for those of a connection's greeting.
fn commands(server: &FakeRedis) -> Vec<String> {
    let greeting = |command: &Vec<String>| ["CLIENT", "HELLO", "INFO", "PING"].contains(&command[0].as_str());
    server
        .commands()
        .into_iter()
        .filter(|command| !greeting(command))
        .map(|command| command.join(" "))
        .collect()
}

#[tokio::test]
async fn a_probe_is_one_get_of_a_key_that_nobody_sets_over_one_connection() {
    let server = FakeRedis::answering("$-1\r\n");
    let store = open(&patient(server.url()));
    store.suspend(true);
    for _ in 0..3 {
        store.probe().await.unwrap();
    }
    assert_eq!(commands(&server), ["GET test:v1:probe"; 3]);
    assert_eq!((server.accepted(), lanes(&store)), (1, 1));
    store.suspend(false);
    eventually("the other lanes are opened", || lanes(&store) == 3).await;
}

#[tokio::test]
async fn a_nil_or_a_value_is_life_and_an_error_or_another_type_is_not() {
    for (reply, alive) in [
        ("$-1\r\n", true),
        ("$5\r\nvalue\r\n", true),
        ("-LOADING Redis is loading the dataset in memory\r\n", false),
        ("-NOPERM this user has no permissions\r\n", false),
        (":1\r\n", false),
    ] {
        let server = FakeRedis::answering(reply);
        let store = open(&patient(server.url()));
        store.suspend(true);
        for _ in 0..2 {
            let probe = store.probe().await;
            assert_eq!(probe.is_ok(), alive, "{reply:?} {probe:?}");
        }
        // A server that answers, whatever it says, isn't connected to anew.
        assert_eq!(server.accepted(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn lanes_that_are_up_outlast_a_suspension() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    eventually("all lanes", || lanes(&store) == 3).await;
    let before: HashSet<String> = clients(&server, "addr").into_iter().collect();
    store.suspend(true);
    store.probe().await.unwrap();
    store.suspend(false);
    store.set(&key(1), value(1), LIFE).await.unwrap();
    assert_eq!(store.get(&key(1)).await.unwrap(), Some(value(1)));
    let after: HashSet<String> = clients(&server, "addr").into_iter().collect();
    assert_eq!(before.intersection(&after).count(), 3, "{before:?} {after:?}");
}

#[tokio::test]
async fn while_suspended_broken_lanes_are_not_replaced() {
    let mut server = RedisServer::start();
    let store = connected(&server).await;
    eventually("all lanes", || lanes(&store) == 3).await;
    store.suspend(true);
    server.restart();
    eventually_async("the lanes break", || async {
        let _ = store.set(&key(1), value(1), LIFE).await;
        store.get(&key(1)).await.is_err() && lanes(&store) == 0 && store.last_error().is_some()
    })
    .await;
    skip_waits().await;
    assert_eq!((lanes(&store), clients(&server, "id").len()), (0, 1), "the asking client alone");

    store.probe().await.unwrap();
    skip_waits().await;
    assert_eq!((lanes(&store), clients(&server, "id").len()), (1, 2), "the probe's, and the asking client");
    store.suspend(false);
    eventually("all lanes are back", || lanes(&store) == 3).await;
}

#[tokio::test]
async fn connects_under_way_end_with_the_suspension() {
    let server = FakeRedis::silent();
    let store = open(&patient(server.url()));
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable)));
    eventually("connects of all lanes", || server.accepted() == 3).await;
    let writing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.set(&key(1), value(1), LIFE).await }
    });
    store.suspend(true);
    let written = writing.await.unwrap();
    assert!(matches!(written, Err(StoreError::Unavailable)), "who waits for a lane hears of it: {written:?}");
    server.answer(Some("+OK\r\n"));
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable)));
    skip_waits().await;
    let _last = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    eventually("the test's own connection", || server.accepted() > 3).await;
    assert_eq!((server.accepted(), lanes(&store)), (4, 0), "and no other");
    store.suspend(false);
    eventually("all lanes", || lanes(&store) == 3).await;
}

#[tokio::test]
async fn keepers_that_wait_for_their_next_try_end_with_the_suspension() {
    let mut server = RedisServer::start();
    let store = connected(&server).await;
    eventually("all lanes", || lanes(&store) == 3).await;
    server.stop();
    eventually_async("connects are refused", || async {
        let _ = store.set(&key(1), value(1), LIFE).await;
        let _ = store.get(&key(1)).await;
        store.last_error().is_some_and(|text| text.contains("refused"))
    })
    .await;
    store.suspend(true);
    assert!(store.probe().await.is_err());
    server.restart();
    skip_waits().await;
    assert_eq!((lanes(&store), clients(&server, "id").len()), (0, 1));
    store.probe().await.unwrap();
    assert_eq!(lanes(&store), 1);
}

#[tokio::test]
async fn a_frozen_server_is_given_up_by_the_probe_with_all_its_lanes() {
    let mut server = RedisServer::start();
    let mut config = config(server.url());
    config.connect_timeout = Duration::from_millis(300);
    let store = open(&config);
    store.ready().await.unwrap();
    eventually("all lanes", || lanes(&store) == 3).await;
    server.pause();
    store.suspend(true);
    let started = Instant::now();
    assert!(store.probe().await.is_err());
    println!("frozen: a probe gave up after {:?}", started.elapsed());
    eventually("no half-dead lane", || lanes(&store) == 0).await;

    // Frozen and then killed: neither of its connections can fool a probe.
    server.restart();
    store.probe().await.unwrap();
    store.suspend(false);
    eventually("all lanes are back", || lanes(&store) == 3).await;
}

#[tokio::test]
async fn a_lane_that_died_silently_does_not_fool_a_probe() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let store = open(&config(proxy.url()));
    store.ready().await.unwrap();
    eventually("all lanes", || lanes(&store) == 3).await;
    // What has lost a command stays silent, and only a new connection gets through.
    proxy.inject(Fault::BlackHole);
    for number in 0..4 {
        assert!(store.get(&key(number)).await.is_err());
    }
    store.suspend(true);
    proxy.inject(Fault::None);
    store.probe().await.unwrap();
    assert_eq!(lanes(&store), 1);
    store.suspend(false);
    eventually_async("lookups are answered", || async { store.get(&key(1)).await.is_ok() }).await;
}

#[tokio::test]
async fn a_late_answer_is_no_success_and_costs_no_lane() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port());
    let store = open(&config(proxy.url()));
    store.ready().await.unwrap();
    eventually("all lanes", || lanes(&store) == 3).await;
    let before: HashSet<String> = clients(&server, "addr").into_iter().collect();
    server.pause();
    store.suspend(true);
    let probing = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.probe().await }
    });
    eventually("the probe is on its way", || proxy.commands().contains_key("probe")).await;
    // Beyond the limit of a lookup, and long before that of a silence.
    skip(Duration::from_millis(200)).await;
    server.resume();
    assert!(matches!(probing.await.unwrap(), Err(StoreError::Timeout)));
    eventually_async("the next one is in time", || async { store.probe().await.is_ok() }).await;
    store.suspend(false);
    let after: HashSet<String> = clients(&server, "addr").into_iter().collect();
    assert_eq!(before.intersection(&after).count(), 3, "{before:?} {after:?}");
}

#[tokio::test]
async fn a_probe_of_a_black_hole_ends_in_time() {
    let server = FakeRedis::silent();
    let mut config = config(server.url());
    config.connect_timeout = Duration::from_millis(200);
    let store = open(&config);
    store.suspend(true);
    let started = Instant::now();
    assert!(store.probe().await.is_err());
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert_eq!(server.accepted(), 1, "one connect a probe");
}
