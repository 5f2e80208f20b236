//! The Redis tier against a real server: what it stores and finds, and over which connections.
#![cfg(feature = "redis")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_query_cache::{Key, RedisStore, Store};

use self::support::store::{
    LIFE, clients, config, connected, documented_user, key, name_of_key_0, open, patient, value,
};
use self::support::{RedisServer, eventually};

#[tokio::test]
async fn a_value_is_stored_found_and_removed_under_one_name() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    assert_eq!(store.get(&key(0)).await.unwrap(), None);

    store.set(&key(0), Bytes::from_static(b"hello"), LIFE).await.unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap().unwrap(), "hello");
    assert_eq!(server.cli(&["KEYS", "*"]), name_of_key_0());
    let left: u64 = server.cli(&["PTTL", &name_of_key_0()]).parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");

    store.remove(&key(0)).await.unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap(), None);
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn lives_of_any_length_are_accepted() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    store.set(&key(0), value(1), Duration::MAX).await.unwrap();
    let left: i64 = server.cli(&["PTTL", &name_of_key_0()]).parse().unwrap();
    assert!(left > 0, "an entry must end some day: {left}");
    store.set(&key(0), value(1), Duration::ZERO).await.unwrap();
    eventually("a life of nothing ends", || server.cli(&["DBSIZE"]) == "0").await;
}

#[tokio::test]
async fn values_of_any_bytes_and_sizes_come_back_as_they_were() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    for (number, size) in [(1, 0), (2, 1), (3, 65_536), (4, 65_537), (5, 3 << 20)] {
        let bytes: Bytes = (0..size).map(|index| (index % 256) as u8).collect();
        store.set(&key(number), bytes.clone(), LIFE).await.unwrap();
        assert!(store.get(&key(number)).await.unwrap().as_ref() == Some(&bytes), "{size} bytes");
    }
}

#[tokio::test]
async fn reads_and_writes_have_connections_of_their_own() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    eventually("two read lanes and a write lane", || store.pool().connections_created == 3).await;
    for number in 0..10 {
        store.set(&key(number), value(10), LIFE).await.unwrap();
        store.get(&key(number)).await.unwrap();
    }
    let mut commands = clients(&server, "cmd");
    commands.retain(|command| command != "client|list");
    commands.sort();
    assert_eq!(commands, ["get", "get", "set"]);

    store.set(&key(1), value(100_000), LIFE).await.unwrap();
    eventually("a bulk lane", || store.pool().connections_created == 4).await;
    store.set(&key(1), value(100_000), LIFE).await.unwrap();
    assert_eq!(clients(&server, "cmd").iter().filter(|command| *command == "set").count(), 2);
}

/// Keeps `tasks` lookups in flight until `enough`.
async fn load(store: &Arc<RedisStore>, tasks: usize, mut enough: impl FnMut() -> bool) {
    let mut readers = JoinSet::new();
    for _ in 0..tasks {
        let store = Arc::clone(store);
        readers.spawn(async move {
            loop {
                let _ = store.get(&key(1)).await;
            }
        });
    }
    eventually("the pool under load", &mut enough).await;
    readers.shutdown().await;
}

#[tokio::test]
async fn lanes_open_under_load_up_to_the_limit() {
    let server = RedisServer::start();
    let mut config = patient(server.url());
    config.max_connections = 6;
    let store = open(&config);
    store.ready().await.unwrap();
    store.set(&key(1), value(1024), LIFE).await.unwrap();

    let mut most = 0;
    load(&store, 3000, || {
        let pool = store.pool();
        most = most.max(pool.connections_created);
        assert!(pool.connections_created <= 6 && pool.max_connections == 6, "{pool:?}");
        assert_eq!(pool.in_use_connections + pool.available_connections, pool.connections_created);
        // The bulk lane is for large values only.
        pool.connections_created == 5 && pool.in_use_connections >= 4
    })
    .await;
    assert_eq!(most, 5);
    assert_eq!(store.pool().in_use_connections, 0, "nobody waits any more");
}

#[tokio::test]
async fn a_moderate_load_opens_no_further_lane() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    let mut looks = 0;
    load(&store, 100, || {
        looks += 1;
        looks == 100
    })
    .await;
    assert_eq!(store.pool().connections_created, 3);
}

#[tokio::test]
async fn one_two_or_three_connections_suffice() {
    let server = RedisServer::start();
    for connections in 1..=3 {
        let mut config = patient(server.url());
        config.max_connections = connections;
        let store = open(&config);
        store.ready().await.unwrap();
        for size in [10, 100_000] {
            store.set(&key(1), value(size), LIFE).await.unwrap();
            assert_eq!(store.get(&key(1)).await.unwrap().unwrap().len(), size);
        }
        load(&store, 1000, || {
            assert!(store.pool().connections_created <= connections);
            store.pool().connections_created == connections
        })
        .await;
    }
}

#[tokio::test]
async fn figures_come_from_the_server() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    for number in 0..3 {
        store.set(&key(number), value(10), LIFE).await.unwrap();
    }
    let status = store.status().await.unwrap();
    assert_eq!(status.keys, Some(3));
    assert!(status.memory_used.is_some_and(|memory| memory.ends_with(['K', 'M'])));
    assert!(status.uptime_seconds.is_some_and(|seconds| seconds < 60));
}

#[tokio::test]
async fn figures_that_the_user_may_not_see_are_none() {
    let server = RedisServer::start();
    server
        .cli(&["ACL", "SETUSER", "cache", "on", ">hunter2", "~test:*", "+get", "+set", "+unlink", "+dbsize"]);
    let store = open(&patient(format!("redis://cache:hunter2@127.0.0.1:{}", server.port())));
    store.ready().await.unwrap();
    store.set(&key(0), value(1), LIFE).await.unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap(), Some(value(1)));
    let status = store.status().await.unwrap();
    assert_eq!((status.keys, status.memory_used, status.uptime_seconds), (Some(1), None, None));
}

#[tokio::test]
async fn a_unix_socket_and_a_database_number_work() {
    let server = RedisServer::with_args(&["--unixsocket", "redis.sock"]);
    let socket = server.directory().join("redis.sock");
    for scheme in ["redis+unix", "unix"] {
        let store = open(&patient(format!("{scheme}://{}?db=3", socket.display())));
        store.ready().await.unwrap();
        store.set(&key(0), value(1), LIFE).await.unwrap();
        assert_eq!(store.get(&key(0)).await.unwrap(), Some(value(1)));
    }
    assert!(server.cli(&["INFO", "keyspace"]).contains("db3:keys=1"));
}

#[tokio::test]
async fn resp3_does_all_that_resp2_does() {
    let server = RedisServer::with_args(&["--unixsocket", "redis.sock"]);
    let socket = server.directory().join("redis.sock");
    for (number, (url, resp)) in [
        (server.url() + "/1", "2"),
        (server.url() + "/2?protocol=resp2", "2"),
        (server.url() + "/3?protocol=resp3", "3"),
        (format!("redis+unix://{}?db=4&protocol=resp3", socket.display()), "3"),
    ]
    .into_iter()
    .enumerate()
    {
        let store = open(&patient(url));
        store.ready().await.unwrap();
        assert_eq!(store.get(&key(0)).await.unwrap(), None);
        for size in [1, 100_000] {
            store.set(&key(0), value(size), LIFE).await.unwrap();
            assert_eq!(store.get(&key(0)).await.unwrap(), Some(value(size)));
        }
        store.probe().await.unwrap();

        let leases = store.leases().unwrap();
        let (one, two) = (key(1), key(2));
        let lease = leases.acquire(&one, LIFE).await.unwrap().unwrap();
        assert!(leases.acquire(&one, LIFE).await.unwrap().is_none(), "held");
        // The first word is the subscription's own: something may have been missed before.
        timeout(LIFE, leases.given_back(&one)).await.unwrap();
        let (told, put) =
            tokio::join!(timeout(LIFE, leases.given_back(&one)), leases.commit(&one, &lease, value(9), LIFE));
        assert!(told.is_ok() && put.unwrap());
        assert_eq!(store.get(&one).await.unwrap(), Some(value(9)));
        let lease = leases.acquire(&two, LIFE).await.unwrap().unwrap();
        let (told, released) =
            tokio::join!(timeout(LIFE, leases.given_back(&two)), leases.release(&two, &lease));
        assert!(told.is_ok() && released.is_ok());
        assert!(leases.acquire(&two, LIFE).await.unwrap().is_some(), "given back");

        let status = store.status().await.unwrap();
        assert_eq!(status.keys, Some(3), "two entries and a lease");
        assert!(status.memory_used.is_some() && status.uptime_seconds.is_some(), "{status:?}");
        store.remove(&key(0)).await.unwrap();
        assert_eq!(store.get(&key(0)).await.unwrap(), None);

        let database = format!("db={}", number + 1);
        let list = server.cli(&["CLIENT", "LIST"]);
        let ours: Vec<&str> = list.lines().filter(|line| !line.contains("cmd=client|list")).collect();
        let lanes = ours.iter().filter(|line| line.contains(&database)).count();
        assert!(lanes >= 3 && ours.iter().all(|line| line.contains(&format!("resp={resp}"))), "{list}");
        drop(store);
        eventually("its connections are closed", || clients(&server, "id").len() == 1).await;
    }
}

#[tokio::test]
async fn the_documented_acl_rule_is_enough() {
    let redis = RedisServer::start();
    let documented = documented_user(&redis);
    for place in ["", "?protocol=resp3", "/1"] {
        if place == "/1" {
            assert_eq!(redis.cli(&["ACL", "SETUSER", "cache", "+select"]).trim(), "OK");
        }
        let store = RedisStore::new(&config(format!("{documented}{place}")), "tqc").unwrap();
        store.ready().await.unwrap();
        let key = Key::from_bytes([7; 32]);
        store.set(&key, Bytes::from_static(b"value"), Duration::from_secs(60)).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap().unwrap(), "value");
        store.remove(&key).await.unwrap();
        store.probe().await.unwrap();
        let status = store.status().await.unwrap();
        assert_eq!(status.keys, Some(0));
        assert!(status.memory_used.is_some() && status.uptime_seconds.is_some(), "{status:?}");
    }
}
