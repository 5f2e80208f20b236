//! The Redis tier when the server is cold, gone, frozen, silent, full or unwilling: no lookup waits, and all comes
//! back by itself. Scripted servers stand in for what a real one won't do on demand.
#![cfg(feature = "redis")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower_query_cache::{Store, StoreError};

use self::support::store::{
    LIFE, bounded, clients, config, connected, key, name_of_key_0, open, patient, value,
};
use self::support::{FakeRedis, RedisServer, eventually, eventually_async};

#[tokio::test]
async fn a_cold_store_answers_at_once_and_comes_up_by_itself() {
    let server = RedisServer::start();
    let store = open(&patient(server.url()));
    assert_eq!(store.pool().connections_created, 0);
    let first = store.get(&key(1)).now_or_never();
    assert!(matches!(first, Some(Err(StoreError::Unavailable))), "{first:?}");
    eventually_async("a lane comes up", || async { store.get(&key(1)).await.is_ok() }).await;
}

#[tokio::test]
async fn the_first_write_waits_for_the_first_connect() {
    let server = RedisServer::start();
    let store = open(&patient(server.url()));
    store.set(&key(1), value(1), LIFE).await.unwrap();
    assert_eq!(server.cli(&["DBSIZE"]), "1");
}

#[tokio::test]
async fn without_a_server_lookups_and_writes_fail_at_once_and_say_why() {
    let port = {
        let mut server = RedisServer::start();
        server.stop();
        server.port()
    };
    let store = open(&patient(format!("redis://user:hunter2@127.0.0.1:{port}")));
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable)));
    eventually("a reason", || store.last_error().is_some_and(|text| text.contains("refused"))).await;
    assert!(matches!(store.set(&key(1), value(1), LIFE).await, Err(StoreError::Unavailable)));
    assert!(matches!(store.status().await, Err(StoreError::Unavailable)));
    let ready = tokio::time::timeout(Duration::from_millis(300), store.ready()).await;
    assert!(ready.is_err(), "nothing is ready: {ready:?}");
    let text = format!("{store:?} {:?}", store.last_error());
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_killed_server_fails_lookups_in_time_and_its_return_is_noticed() {
    let mut server = RedisServer::start();
    let store = open(&config(server.url()));
    store.ready().await.unwrap();
    store.set(&key(1), value(1), LIFE).await.unwrap();
    server.stop();
    for _ in 0..20 {
        assert!(bounded(&store, &key(1)).await.is_err());
    }
    eventually("every lane is retired", || store.pool().connections_created == 0).await;
    eventually("a connect was tried", || store.last_error().is_some_and(|text| text.contains("refused")))
        .await;

    server.restart();
    // Not a request of ours: the lanes come back without one.
    eventually("every lane is back", || store.pool().connections_created == 3).await;
    assert_eq!(store.last_error(), None);
    store.set(&key(1), value(1), LIFE).await.unwrap();
    eventually_async("hits again", || async { matches!(store.get(&key(1)).await, Ok(Some(_))) }).await;
}

#[tokio::test]
async fn a_lookup_is_retried_on_another_lane() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    store.set(&key(1), value(1), LIFE).await.unwrap();
    eventually("all lanes", || store.pool().connections_created == 3).await;
    for _ in 0..2 {
        store.get(&key(1)).await.unwrap();
    }
    let list = server.cli(&["CLIENT", "LIST"]);
    let reader = list.lines().find(|line| line.contains("cmd=get")).unwrap();
    let id = reader.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap();
    assert_eq!(server.cli(&["CLIENT", "KILL", "ID", id]), "1");
    for _ in 0..4 {
        assert!(matches!(store.get(&key(1)).await, Ok(Some(_))));
    }
    eventually("the lane is replaced", || store.pool().connections_created == 3).await;
}

#[tokio::test]
async fn a_frozen_server_bounds_lookups_and_is_used_again_once_it_goes_on() {
    let server = RedisServer::start();
    let store = open(&config(server.url()));
    store.ready().await.unwrap();
    store.set(&key(1), value(1), LIFE).await.unwrap();
    let before: HashSet<String> = clients(&server, "id").into_iter().collect();
    server.pause();
    assert!(matches!(bounded(&store, &key(1)).await, Err(StoreError::Timeout)));
    eventually_async("the silent lanes are retired", || async {
        matches!(bounded(&store, &key(1)).await, Err(StoreError::Unavailable))
    })
    .await;
    server.resume();
    eventually_async("hits again", || async { matches!(store.get(&key(1)).await, Ok(Some(_))) }).await;
    eventually("the read lanes are new", || {
        let now: HashSet<String> = clients(&server, "id").into_iter().collect();
        store.pool().connections_created == 3 && now.intersection(&before).count() <= 1
    })
    .await;
}

#[tokio::test]
async fn a_short_stall_costs_time_outs_but_no_lane() {
    let server = RedisServer::start();
    let store = open(&config(server.url()));
    store.ready().await.unwrap();
    eventually("all lanes", || store.pool().connections_created == 3).await;
    let before: HashSet<String> = clients(&server, "addr").into_iter().collect();
    server.pause();
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Timeout)));
    server.resume();
    eventually_async("answers again", || async { store.get(&key(1)).await.is_ok() }).await;
    // Longer than a lane that owes replies is given: what gave up before is not held against it.
    let end = Instant::now() + Duration::from_millis(1600);
    eventually_async("time passes", || async {
        let _ = store.get(&key(1)).await;
        Instant::now() >= end
    })
    .await;
    let after: HashSet<String> = clients(&server, "addr").into_iter().collect();
    assert_eq!(before.intersection(&after).count(), 3, "{before:?} {after:?}");
}

#[tokio::test]
async fn a_black_hole_is_never_waited_for() {
    let server = FakeRedis::silent();
    let mut config = config(server.url());
    config.connect_timeout = Duration::from_millis(200);
    let store = open(&config);
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable)));
    eventually("the connect is given up", || store.last_error().is_some()).await;
    assert!(matches!(store.get(&key(1)).await, Err(StoreError::Unavailable)));
    server.answer(Some("+OK\r\n"));
    eventually("all lanes come up", || store.pool().connections_created == 3).await;

    server.answer(None);
    assert!(matches!(bounded(&store, &key(1)).await, Err(StoreError::Timeout)));
    eventually("the lane is retired", || store.pool().connections_created < 3).await;
}

#[tokio::test]
async fn another_type_under_our_key_is_a_server_error() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    server.cli(&["LPUSH", &name_of_key_0(), "x"]);
    let error = store.get(&key(0)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("WRONGTYPE")), "{error}");
    assert_eq!(store.get(&key(1)).await.unwrap(), None, "the lane is none the worse");
    store.set(&key(0), value(1), LIFE).await.unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap(), Some(value(1)));
}

#[tokio::test]
async fn a_server_that_is_loading_is_a_server_error() {
    let server = FakeRedis::answering("-LOADING Redis is loading the dataset in memory\r\n");
    let store = open(&patient(server.url()));
    store.ready().await.unwrap();
    let error = store.get(&key(0)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("LOADING")), "{error}");
    let error = store.set(&key(0), value(1), LIFE).await.unwrap_err();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("LOADING")), "{error}");
    assert_eq!(store.status().await.unwrap().keys, None);
}

#[tokio::test]
async fn replies_that_make_no_sense_are_errors() {
    for reply in ["+OK\r\n", ":1\r\n", "*0\r\n", "*1\r\n$1\r\nx\r\n"] {
        let server = FakeRedis::answering(reply);
        let store = open(&patient(server.url()));
        store.ready().await.unwrap();
        assert!(matches!(store.get(&key(0)).await, Err(StoreError::Server(_))), "{reply:?}");
    }
    let server = FakeRedis::answering("+OK\r\n");
    let store = open(&patient(server.url()));
    store.ready().await.unwrap();
    server.answer(Some("HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(matches!(store.get(&key(0)).await, Err(StoreError::Connection(_))));
}

#[tokio::test]
async fn full_memory_fails_writes_and_nothing_else() {
    let server = RedisServer::with_args(&["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"]);
    let store = connected(&server).await;
    let mut refused = None;
    for number in 1..50 {
        if let Err(error) = store.set(&key(number), value(60_000), LIFE).await {
            refused = Some((number, error));
            break;
        }
    }
    let (number, error) = refused.unwrap();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("OOM")), "{error}");
    assert_eq!(store.get(&key(number)).await.unwrap(), None);
    assert_eq!(store.last_error(), None);
}

#[tokio::test]
async fn a_server_at_its_client_limit_is_not_asked_again_for_each_large_value() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    eventually("all lanes", || store.pool().connections_created == 3).await;
    assert_eq!(server.cli(&["CONFIG", "SET", "maxclients", "4"]), "OK");
    // The fourth, taken for good once it has its reply.
    let mut fourth = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    fourth.write_all(b"PING\r\n").await.unwrap();
    let mut reply = [0; 7];
    fourth.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
    for _ in 0..100 {
        store.set(&key(1), value(100_000), LIFE).await.unwrap();
    }
    fourth.write_all(b"INFO stats\r\nQUIT\r\n").await.unwrap();
    let mut lines = BufReader::new(fourth).lines();
    let rejected = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(count) = line.strip_prefix("rejected_connections:") {
            break count.parse::<u32>().unwrap();
        }
    };
    assert_eq!(rejected, 1);
    assert_eq!(store.last_error(), None, "without the bulk lane all goes on");
}

#[tokio::test]
async fn a_read_only_replica_fails_writes_and_nothing_else() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = store.set(&key(1), value(10), LIFE).await.unwrap_err();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("READONLY")), "{error}");
}

#[tokio::test]
async fn a_missing_or_wrong_password_is_told_and_never_shown() {
    let server = RedisServer::with_args(&["--requirepass", "correct-horse"]);
    for (user, code) in [("", "NOAUTH"), (":hunter2@", "WRONGPASS"), ("someone:hunter2@", "WRONGPASS")] {
        let store = open(&patient(format!("redis://{user}127.0.0.1:{}", server.port())));
        assert!(matches!(store.get(&key(0)).await, Err(StoreError::Unavailable)));
        eventually("the reason", || store.last_error().is_some()).await;
        let text = format!("{store:?} {:?} {:?}", store.last_error(), store.get(&key(0)).await);
        assert!(text.contains(code), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("correct-horse"), "{text}");
    }
    let store = connected(&server).await;
    store.set(&key(0), value(1), LIFE).await.unwrap();
    assert!(!format!("{store:?}").contains("correct-horse"));
}

#[tokio::test]
async fn a_server_that_quotes_the_password_is_not_quoted() {
    let server = FakeRedis::answering("-ERR unknown command 'AUTH', with args beginning with: 'hunter2'\r\n");
    let store = open(&patient(format!("redis://:hunter2@127.0.0.1:{}", server.port())));
    let _ = store.get(&key(0)).await;
    eventually("the reason", || store.last_error().is_some()).await;
    assert!(!store.last_error().unwrap().contains("hunter2"), "{:?}", store.last_error());
}

#[tokio::test]
async fn a_dropped_store_closes_its_connections() {
    let server = RedisServer::start();
    let store = connected(&server).await;
    eventually("all lanes", || store.pool().connections_created == 3).await;
    drop(store);
    eventually("only the asking client is left", || clients(&server, "id").len() == 1).await;
}

#[tokio::test]
async fn a_dropped_store_stops_knocking() {
    let server = FakeRedis::answering("-NOAUTH Authentication required.\r\n");
    let store = open(&patient(server.url()));
    let _ = store.get(&key(0)).await;
    eventually("some connects", || server.accepted() >= 6).await;
    drop(store);
    let accepted = server.accepted();
    let end = Instant::now() + Duration::from_secs(1);
    eventually("time passes", || Instant::now() >= end).await;
    // One connect per lane may have been under way.
    assert!(server.accepted() <= accepted + 3, "{accepted} {}", server.accepted());
}

#[test]
fn a_store_outlives_the_runtime_that_connected_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = RedisServer::start();
    let store = open(&patient(server.url()));
    runtime().block_on(async {
        store.ready().await.unwrap();
        store.set(&key(0), value(1), LIFE).await.unwrap();
    });
    assert_eq!(store.pool().connections_created, 0);
    runtime().block_on(async {
        store.ready().await.unwrap();
        assert_eq!(store.get(&key(0)).await.unwrap(), Some(value(1)));
    });
}

#[test]
fn a_runtime_ends_in_time_while_writes_wait_for_a_connect() {
    let server = FakeRedis::silent();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let store = open(&patient(server.url()));
    for number in 0..8 {
        let store = Arc::clone(&store);
        runtime.spawn(async move { store.set(&key(number), value(1), LIFE).await });
    }
    // Two tasks go on only when the runtime is closing: then what they spawn ends at once.
    let (started, starts) = mpsc::channel();
    let mut closing = Vec::new();
    for writes in [true, false] {
        let (guard, closed) = mpsc::channel::<()>();
        closing.push(guard);
        let (store, started) = (Arc::clone(&store), started.clone());
        runtime.spawn(async move {
            started.send(()).unwrap();
            assert!(closed.recv().is_err(), "the guard is dropped");
            if writes {
                let _ = store.set(&key(0), value(1), LIFE).await;
            } else {
                let _ = store.ready().await;
            }
        });
    }
    (0..2).for_each(|_| starts.recv_timeout(Duration::from_secs(10)).unwrap());
    runtime.spawn(async move {
        let _guards = closing;
        std::future::pending::<()>().await;
    });

    let (ended, ends) = mpsc::channel();
    std::thread::spawn(move || {
        drop(runtime);
        ended.send(()).unwrap();
    });
    assert!(ends.recv_timeout(Duration::from_secs(10)).is_ok(), "the runtime doesn't end");
}

#[test]
fn a_runtime_without_io_is_told_from_one_that_connects() {
    let server = RedisServer::start();
    let store = open(&patient(server.url()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let set = store.set(&key(0), value(1), LIFE).await;
        assert!(matches!(set, Err(StoreError::Unavailable)), "{set:?}");
        let ready = tokio::time::timeout(Duration::from_millis(100), store.ready()).await;
        assert!(ready.is_err(), "{ready:?}");
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(store.set(&key(0), value(1), LIFE)).unwrap();
}
