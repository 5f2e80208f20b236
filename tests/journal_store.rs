//! The journal of a `RedisStore` by itself: what is appended, read and waited for, and over which servers' connections.
#![cfg(feature = "redis")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tower_query_cache::{
    Append, AppendMode, Journal, JournalEntry, JournalId, RedisStore, Store, StoreError,
};

use self::support::proxy::Proxy;
use self::support::store::{clients, config, connected, documented_user, key, open, patient, value};
use self::support::{FakeRedis, RedisServer, eventually, eventually_async};

const STREAM: &str = "{test:v1:j}";
const HEAD: &str = "{test:v1:j}:h";
const EXISTING: AppendMode = AppendMode::Existing { trim: JournalId::ZERO };
const SECOND: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_secs(10);

fn journal(store: &RedisStore) -> &dyn Journal {
    store.journal().expect("a Redis store has a journal")
}

fn entry(name: &str, mode: AppendMode) -> Append {
    let text = Bytes::copy_from_slice(name.as_bytes());
    Append::new(vec![(Bytes::from_static(b"n"), text.clone())], text, mode)
}

fn placed(name: &str, id: JournalId) -> Append {
    let mut append = entry(name, EXISTING);
    append.id = Some(id);
    append
}

async fn append(store: &RedisStore, name: &str, mode: AppendMode) -> Option<JournalId> {
    journal(store).append(&entry(name, mode)).await.unwrap().id
}

/// The name of every entry from `from` on.
async fn names(store: &RedisStore, from: JournalId) -> Vec<String> {
    let entries = journal(store).range(from, 100).await.unwrap();
    let name = |entry: &JournalEntry| String::from_utf8(entry.fields[0].1.to_vec()).unwrap();
    entries.iter().map(name).collect()
}

/// The error of a call, however it is told.
fn text<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    outcome.unwrap_err().to_string()
}

/// The identity that the server itself tells.
fn identity(server: &RedisServer) -> String {
    let info = server.cli(&["INFO"]);
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).expect("a line of INFO");
        line.trim().to_owned()
    };
    format!("{}:{}", field("run_id:"), field("master_replid:"))
}

/// Lanes are up, and a first entry makes the journal.
async fn with_journal(url: String) -> Arc<RedisStore> {
    let store = open(&patient(url));
    store.ready().await.unwrap();
    append(&store, "first", AppendMode::Create).await.expect("an id");
    store
}

#[tokio::test]
async fn entries_are_appended_with_the_head_and_read_in_order() {
    let redis = RedisServer::start();
    for protocol in ["", "?protocol=resp3"] {
        redis.cli(&["FLUSHALL"]);
        let store = open(&patient(format!("{}{protocol}", redis.url())));
        store.ready().await.unwrap();
        let mut tail = journal(&store).tail().await.unwrap();
        assert_eq!(journal(&store).head().await.unwrap(), None);
        assert_eq!(tail.head().await.unwrap(), None);
        assert_eq!(journal(&store).range(JournalId::ZERO, 10).await.unwrap(), []);

        // No journal, and none is made; the head changes all the same.
        let none = journal(&store).append(&entry("none", EXISTING)).await.unwrap();
        assert_eq!((none.id, none.server), (None, identity(&redis)));
        assert_eq!(redis.cli(&["EXISTS", STREAM]), "0");
        assert_eq!(tail.append(&entry("none", EXISTING)).await.unwrap().id, None);

        let first = append(&store, "first", AppendMode::Create).await.unwrap();
        let second = tail.append(&entry("second", EXISTING)).await.unwrap();
        assert!(second.id > Some(first));
        assert_eq!(second.server, tail.server());
        assert_eq!(journal(&store).head().await.unwrap().unwrap(), "second");
        assert_eq!(tail.head().await.unwrap().unwrap(), "second");
        assert_eq!(redis.cli(&["GET", HEAD]), "second");
        assert_eq!(names(&store, JournalId::ZERO).await, ["first", "second"]);
        assert_eq!(names(&store, second.id.unwrap()).await, ["second"]);
        assert_eq!(journal(&store).range(JournalId::ZERO, 1).await.unwrap()[0].id, first);

        // Any bytes, and names that repeat.
        let fields: Vec<(Bytes, Bytes)> = [&b"\0\xff\r\n"[..], b"", b"n"]
            .map(|text| (Bytes::from_static(b"n"), Bytes::copy_from_slice(text)))
            .into();
        let odd = Append::new(fields.clone(), Bytes::from_static(b"\xff\0"), EXISTING);
        let id = journal(&store).append(&odd).await.unwrap().id.unwrap();
        let read = [JournalEntry { id, fields }];
        assert_eq!(journal(&store).range(id, 10).await.unwrap(), read);
        assert_eq!(tail.range(id, 10).await.unwrap(), read);
        assert_eq!(journal(&store).head().await.unwrap().unwrap(), &b"\xff\0"[..]);
    }
}

#[tokio::test]
async fn a_place_of_ones_own_must_be_above_the_newest() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let top = JournalId::new(u64::MAX, u64::MAX - 1);
    assert_eq!(journal(&store).append(&placed("top", top)).await.unwrap().id, Some(top));
    assert_eq!(names(&store, top).await, ["top"]);
    for below in [JournalId::new(1, 0), top] {
        let error = text(journal(&store).append(&placed("below", below)).await);
        assert_eq!(error, "server: ERR: the server refuses the command");
    }
    // Redis does the rest of a transaction: the head names an entry that isn't there.
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "below");
    assert_eq!(names(&store, top).await, ["top"]);

    let last = JournalId::new(u64::MAX, u64::MAX);
    assert_eq!(journal(&store).append(&placed("last", last)).await.unwrap().id, Some(last));
    assert!(journal(&store).append(&entry("more", EXISTING)).await.is_err(), "ids are used up");
    let mut tail = journal(&store).tail().await.unwrap();
    let only = tail.append(&entry("only", AppendMode::Replace)).await.unwrap().id.unwrap();
    assert!(only < top);
    assert_eq!(names(&store, JournalId::ZERO).await, ["only"]);
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "only");
}

#[tokio::test]
async fn an_append_lets_go_of_what_is_below_its_limit() {
    let redis = RedisServer::with_args(&["--stream-node-max-entries", "1"]);
    let store = with_journal(redis.url()).await;
    append(&store, "second", EXISTING).await;
    let third = append(&store, "third", EXISTING).await.unwrap();
    append(&store, "fourth", AppendMode::Existing { trim: third }).await;
    assert_eq!(names(&store, JournalId::ZERO).await, ["third", "fourth"]);
}

#[tokio::test]
async fn a_wait_ends_with_the_next_entry_or_its_time() {
    let redis = RedisServer::start();
    for protocol in ["", "?protocol=resp3"] {
        redis.cli(&["FLUSHALL"]);
        let store = with_journal(format!("{}{protocol}", redis.url())).await;
        let mut tail = journal(&store).tail().await.unwrap();
        assert!(tail.wait(JournalId::ZERO, SECOND).await.unwrap(), "there is one");
        let mut last = journal(&store).range(JournalId::ZERO, 10).await.unwrap()[0].id;
        let mut waits = Vec::new();
        for round in 0..20 {
            let (sent, heard) = {
                let appended = async {
                    eventually("a client waits", || clients(&redis, "flags").contains(&"b".to_owned())).await;
                    let sent = Instant::now();
                    (append(&store, &round.to_string(), EXISTING).await.unwrap(), sent)
                };
                let heard = async {
                    let came = tail.wait(last, SOON).await.unwrap();
                    (came, Instant::now())
                };
                let ((id, sent), (came, heard)) = tokio::join!(appended, heard);
                assert!(came);
                last = id;
                (sent, heard)
            };
            waits.push(heard - sent);
        }
        waits.sort();
        println!("woken by an entry in {:?} (median), {:?} (longest)", waits[10], waits[19]);
        assert!(waits[10] < Duration::from_millis(100));
        let start = Instant::now();
        assert!(!tail.wait(last, Duration::from_millis(50)).await.unwrap());
        assert!(start.elapsed() >= Duration::from_millis(45) && start.elapsed() < SECOND);
        // A time of nothing isn't for ever.
        assert!(!timeout(SOON, tail.wait(last, Duration::ZERO)).await.unwrap().unwrap());
    }
}

#[tokio::test]
async fn a_wait_that_was_dropped_holds_nothing_up_for_longer_than_itself() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let last = journal(&store).range(JournalId::ZERO, 1).await.unwrap()[0].id;
    let wait = Duration::from_millis(1500);
    assert!(timeout(Duration::from_millis(50), tail.wait(last, wait)).await.is_err());
    let start = Instant::now();
    assert_eq!(tail.head().await.unwrap().unwrap(), "first");
    assert!(start.elapsed() > SECOND, "{:?}: beyond the limit of a reply by itself", start.elapsed());
}

#[tokio::test]
async fn a_silent_server_ends_a_wait_by_its_time() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let last = journal(&store).range(JournalId::ZERO, 1).await.unwrap()[0].id;
    redis.pause();
    let start = Instant::now();
    let outcome = tail.wait(last, Duration::from_millis(100)).await;
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
    let took = start.elapsed();
    assert!(took >= SECOND && took < SECOND * 4, "{took:?}");
    assert!(matches!(tail.head().await, Err(StoreError::Timeout)));
    assert!(journal(&store).head().await.is_err());
    redis.resume();
}

#[tokio::test]
async fn a_server_is_another_one_after_a_restart() {
    let mut redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let before = tail.server().to_owned();
    assert_eq!(before, identity(&redis));
    assert_eq!(journal(&store).append(&entry("x", EXISTING)).await.unwrap().server, before);
    journal(&store).trust(Some(&before));
    store.set(&key(0), value(1), SOON).await.unwrap();

    redis.restart();
    assert!(tail.head().await.is_err());
    // The lanes lead to it, and nothing goes over them.
    let count = || redis.cli(&["INFO", "commandstats"]);
    eventually_async("lanes are up and not given out", || async {
        let refused = matches!(store.get(&key(0)).await, Err(StoreError::Unavailable));
        refused && store.last_error().is_none() && store.pool().connections_created == 3
    })
    .await;
    assert!(matches!(store.set(&key(0), value(1), SOON).await, Err(StoreError::Unavailable)));
    assert!(matches!(journal(&store).head().await, Err(StoreError::Unavailable)));
    assert!(matches!(journal(&store).range(JournalId::ZERO, 1).await, Err(StoreError::Unavailable)));
    let refused = journal(&store).append(&entry("x", AppendMode::Create)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable)), "{refused:?}");
    let leases = store.leases().unwrap();
    assert!(matches!(leases.acquire(&key(0), SOON).await, Err(StoreError::Unavailable)));
    for command in ["get", "set", "xadd", "xrange"] {
        assert!(!count().contains(&format!("cmdstat_{command}:")), "{}", count());
    }
    // It isn't a failure that opens the circuit breaker, and these go on.
    assert_eq!(store.last_error(), None);
    store.ready().await.unwrap();
    store.probe().await.unwrap();
    assert_eq!(store.status().await.unwrap().keys, Some(0));

    let mut tail = journal(&store).tail().await.unwrap();
    assert_ne!(tail.server(), before);
    assert!(tail.append(&entry("anew", AppendMode::Create)).await.unwrap().id.is_some());
    journal(&store).trust(Some(&identity(&redis)));
    assert_eq!(names(&store, JournalId::ZERO).await, ["anew"]);
    assert_eq!(store.get(&key(0)).await.unwrap(), None);
    assert!(!tail.wait(JournalId::new(u64::MAX, 0), Duration::from_millis(1)).await.unwrap());
}

#[tokio::test]
async fn lanes_to_a_server_that_is_not_trusted_are_not_used_and_end_the_tails() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::start(old.port());
    let store = with_journal(proxy.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    journal(&store).trust(Some(tail.server()));
    eventually("every lane", || store.pool().connections_created == 3).await;
    assert_eq!(names(&store, JournalId::ZERO).await, ["first"]);

    let wait = tokio::spawn(async move {
        let outcome = tail.wait(JournalId::new(u64::MAX, 0), SOON).await;
        (outcome, tail)
    });
    eventually("it waits", || clients(&old, "flags").contains(&"b".to_owned())).await;
    // The lanes alone break, all that aren't waiting. The next request finds out.
    proxy.switch(new.port());
    for (id, flags) in clients(&old, "id").iter().zip(clients(&old, "flags")) {
        if flags != "b" {
            old.cli(&["CLIENT", "KILL", "ID", id]);
        }
    }
    let started = Instant::now();
    assert!(store.get(&key(0)).await.is_err());
    let (outcome, mut tail) = timeout(SOON, wait).await.expect("the tail ends").unwrap();
    println!("a tail ends {:?} after the lanes broke", started.elapsed());
    assert!(matches!(outcome, Err(StoreError::Unavailable)), "{outcome:?}");
    assert!(matches!(tail.head().await, Err(StoreError::Unavailable)), "and stays so");

    eventually("every lane", || store.last_error().is_none() && store.pool().connections_created == 3).await;
    new.cli(&["SET", &support::store::name_of_key_0(), "value"]);
    assert!(matches!(store.get(&key(0)).await, Err(StoreError::Unavailable)));
    // Whoever is trusted next: lanes to others are made anew.
    let mut tail = journal(&store).tail().await.unwrap();
    assert_eq!(tail.server(), identity(&new));
    let looking = Instant::now();
    assert_eq!(tail.head().await.unwrap(), None);
    journal(&store).trust(Some(tail.server()));
    assert_eq!(store.get(&key(0)).await.unwrap().unwrap(), "value");
    println!("and the new server is used {:?} after it was looked at", looking.elapsed());

    journal(&store).trust(Some(&identity(&old)));
    assert!(matches!(store.get(&key(0)).await, Err(StoreError::Unavailable)));
    proxy.switch(old.port());
    journal(&store).trust(Some(&identity(&old)));
    eventually_async("lanes to the old one", || async { store.get(&key(0)).await.is_ok() }).await;
    assert_eq!(names(&store, JournalId::ZERO).await, ["first"]);
    journal(&store).trust(None);
    assert_eq!(store.get(&key(0)).await.unwrap(), None);
}

#[tokio::test]
async fn a_suspended_store_has_no_tail() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let waiting = tokio::spawn(async move { tail.wait(JournalId::new(u64::MAX, 0), SOON).await });
    eventually("it waits", || clients(&redis, "flags").contains(&"b".to_owned())).await;
    store.suspend(true);
    let outcome = timeout(SECOND * 2, waiting).await.expect("at once").unwrap();
    assert!(matches!(outcome, Err(StoreError::Unavailable)), "{outcome:?}");
    let mut opening = std::pin::pin!(journal(&store).tail());
    assert!(timeout(Duration::from_millis(50), &mut opening).await.is_err(), "it pends");
    store.suspend(false);
    assert!(opening.await.unwrap().head().await.is_ok());
}

#[tokio::test]
async fn what_the_server_refuses_is_told_by_its_code() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let append = entry("x", EXISTING);

    redis.cli(&["DEL", STREAM]);
    redis.cli(&["SET", STREAM, "a string"]);
    let wrong = "server: WRONGTYPE: the key holds another type";
    assert_eq!(text(journal(&store).range(JournalId::ZERO, 1).await), wrong);
    assert_eq!(text(journal(&store).append(&append).await), wrong);
    assert_eq!(text(tail.range(JournalId::ZERO, 1).await), wrong);
    assert_eq!(text(tail.wait(JournalId::ZERO, SECOND).await), wrong);
    assert!(
        tail.append(&entry("x", AppendMode::Replace)).await.unwrap().id.is_some(),
        "it replaces that too"
    );

    redis.cli(&["DEL", HEAD]);
    redis.cli(&["LPUSH", HEAD, "a list"]);
    assert_eq!(text(journal(&store).head().await), wrong);
    assert!(journal(&store).append(&append).await.unwrap().id.is_some());
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "x");

    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = names(&store, JournalId::ZERO).await;
    assert_eq!(text(journal(&store).append(&append).await), "server: OOM: the server's memory is full");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let read_only = "server: READONLY: the server is a read-only replica";
    assert_eq!(text(journal(&store).append(&append).await), read_only);
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(names(&store, JournalId::ZERO).await, before);
}

#[tokio::test]
async fn a_wait_ends_when_its_server_becomes_a_replica() {
    let redis = RedisServer::start();
    let store = with_journal(redis.url()).await;
    let mut tail = journal(&store).tail().await.unwrap();
    let waiting = tokio::spawn(async move { tail.wait(JournalId::new(u64::MAX, 0), SOON).await });
    eventually("it waits", || clients(&redis, "flags").contains(&"b".to_owned())).await;
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let outcome = timeout(SOON / 2, waiting).await.expect("before its time").unwrap();
    assert_eq!(text(outcome), "server: UNBLOCKED: the server became a replica");
}

#[tokio::test]
async fn users_without_rights_are_told_so_and_may_lack_the_wait() {
    let redis = RedisServer::start();
    let user = |rules: &[&str]| {
        let command = [&["ACL", "SETUSER", "cache", "reset", "on", ">secret", "~*"], rules].concat();
        assert_eq!(redis.cli(&command), "OK");
        open(&patient(redis.url().replace("redis://", "redis://cache:secret@")))
    };
    let no_right = "server: NOPERM: the user may not do this";
    let commands = ["+@all", "-xadd"];
    let store = user(&commands);
    store.ready().await.unwrap();
    assert_eq!(text(journal(&store).append(&entry("x", AppendMode::Create)).await), no_right);
    assert_eq!(redis.cli(&["EXISTS", STREAM, HEAD]), "0", "nothing of the transaction was done");
    let store = user(&["+@all", "-xrange", "-get"]);
    store.ready().await.unwrap();
    assert_eq!(text(journal(&store).range(JournalId::ZERO, 1).await), no_right);
    assert_eq!(text(journal(&store).head().await), no_right);
    let store = user(&["+@all", "-multi", "-exec"]);
    store.ready().await.unwrap();
    assert_eq!(text(journal(&store).append(&entry("x", AppendMode::Create)).await), no_right);

    let store = user(&["+@all", "-@blocking"]);
    let mut tail = journal(&store).tail().await.unwrap();
    let refused = tail.wait(JournalId::ZERO, SECOND).await;
    assert!(matches!(refused, Err(StoreError::Unsupported(_))), "{refused:?}");
    tail.append(&entry("x", AppendMode::Create)).await.unwrap().id.expect("the tail goes on");

    let store = user(&["+@all", "-info"]);
    store.ready().await.unwrap();
    let tail = journal(&store).tail().await.unwrap();
    assert_eq!(tail.server(), "");
    journal(&store).trust(Some(""));
    append(&store, "y", EXISTING).await.expect("all servers are alike");
}

#[tokio::test]
async fn servers_without_streams_are_told_from_others() {
    for (reply, unsupported) in [
        ("-ERR unknown command 'XADD', with args beginning with: 'secret'\r\n", true),
        ("-ERR Unknown or disabled command 'secret'\r\n", true),
        ("-ERR something else about a secret\r\n", false),
    ] {
        let server = FakeRedis::answering(reply);
        let store = open(&patient(server.url()));
        store.ready().await.unwrap();
        let mut tail = journal(&store).tail().await.unwrap();
        let outcomes = [
            journal(&store).append(&entry("x", EXISTING)).await.map(drop),
            journal(&store).range(JournalId::ZERO, 1).await.map(drop),
            tail.range(JournalId::ZERO, 1).await.map(drop),
            tail.append(&entry("x", EXISTING)).await.map(drop),
        ];
        for outcome in outcomes {
            assert_eq!(matches!(outcome, Err(StoreError::Unsupported(_))), unsupported, "{outcome:?}");
            assert!(!text(outcome).contains("secret"));
        }
    }
}

#[tokio::test]
async fn a_tail_without_a_server_or_a_password_is_an_error_in_time() {
    let redis = RedisServer::with_args(&["--requirepass", "hunter2"]);
    let no_password = open(&config(format!("redis://127.0.0.1:{}", redis.port())));
    let error = text(journal(&no_password).tail().await.map(|tail| tail.server().to_owned()));
    assert_eq!(error, "server: NOAUTH: the server asks for a password");
    let wrong = open(&config(format!("redis://:hunter3@127.0.0.1:{}", redis.port())));
    let error = text(journal(&wrong).tail().await.map(drop));
    assert!(error.starts_with("server: WRONGPASS") && !error.contains("hunter"), "{error}");

    let silent = FakeRedis::silent();
    let mut settings = config(silent.url());
    settings.connect_timeout = SECOND;
    let store = open(&settings);
    let outcome = timeout(SOON, journal(&store).tail()).await.expect("in time").map(drop);
    assert!(matches!(outcome, Err(StoreError::Timeout)), "{outcome:?}");
}

#[tokio::test]
async fn a_tail_is_one_connection_beside_the_pool() {
    let redis = RedisServer::start();
    let store = connected(&redis).await;
    eventually("every lane", || store.pool().connections_created == 3).await;
    let lanes = clients(&redis, "id").len();
    let tail = journal(&store).tail().await.unwrap();
    assert_eq!((clients(&redis, "id").len(), store.pool().connections_created), (lanes + 1, 3));
    drop(tail);
    eventually("it is closed", || clients(&redis, "id").len() == lanes).await;
}

#[tokio::test]
async fn the_documented_acl_rule_is_enough_for_the_journal() {
    let redis = RedisServer::start();
    let store = RedisStore::new(&config(documented_user(&redis)), "tqc").unwrap();
    store.ready().await.unwrap();
    let mut tail = journal(&store).tail().await.unwrap();
    assert_eq!(tail.server(), identity(&redis));
    journal(&store).trust(Some(tail.server()));
    for mode in [AppendMode::Create, EXISTING, AppendMode::Replace] {
        assert!(append(&store, "x", mode).await.is_some());
        assert!(tail.append(&entry("y", mode)).await.unwrap().id.is_some());
    }
    assert!(tail.wait(JournalId::ZERO, SECOND).await.unwrap());
    assert_eq!(names(&store, JournalId::ZERO).await, ["y"]);
    assert_eq!(journal(&store).head().await.unwrap().unwrap(), "y");
    assert_eq!(redis.cli(&["ACL", "LOG"]), "", "nothing was refused");
}
