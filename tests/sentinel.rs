//! The Redis tier by sentinels: it goes where the master is, and leaves one that isn't any more.
#![cfg(feature = "redis")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tower_query_cache::{Leases as _, MemoryConfig, Policy, QueryCache, RedisStore, Store as _, StoreError};

use self::support::history::Moment;
use self::support::http::{ok, text};
use self::support::pages::Pages;
use self::support::site::{MINUTE, Site, stats};
use self::support::store::{LIFE, add_documented_user, config, key, open, patient, value};
use self::support::{FakeRedis, Watched, eventually, eventually_async, eventually_within};

/// How long a failover may take.
const FAILOVER: Duration = Duration::from_secs(40);

#[tokio::test]
async fn the_master_is_found_and_a_replica_never_spoken_to() {
    // However busy the machine is, no other becomes the master.
    let watched = Watched::start(&["sentinel down-after-milliseconds mymaster 60000"]);
    let store = open(&patient(watched.url("", "")));
    store.set(&key(1), value(1), LIFE).await.unwrap();
    assert_eq!(store.get(&key(1)).await.unwrap(), Some(value(1)));
    eventually("all lanes", || store.pool().connections_created == 3).await;
    assert_eq!(watched.master(), 0);
    let read =
        watched.servers().iter().map(|one| one.cli(&["INFO", "commandstats"]).contains("cmdstat_get:"));
    assert_eq!(read.collect::<Vec<_>>(), [true, false, false]);
    let leased = key(2);
    let lease = store.acquire(&leased, LIFE).await.unwrap().unwrap();
    let word = store.given_back(&leased);
    eventually("a subscription", || watched.servers()[0].cli(&["PUBSUB", "CHANNELS"]).contains("test:v1:w"))
        .await;
    let later = store.given_back(&leased);
    assert!(store.commit(&leased, &lease, value(2), LIFE).await.unwrap());
    assert!(tokio::time::timeout(Duration::from_secs(5), later).await.unwrap());
    drop(word);
}

#[tokio::test]
async fn sentinels_that_are_gone_or_know_nothing_are_passed_over() {
    let mut watched = Watched::start(&[]);
    watched.stop_sentinel(0);
    let silent = FakeRedis::silent();
    let hosts = watched.url("", "");
    let url = hosts.replace("redis-sentinel://", &format!("redis-sentinel://127.0.0.1:{},", silent.port()));
    let mut config = patient(url);
    config.connect_timeout = Duration::from_secs(4);
    let store = open(&config);
    let started = Instant::now();
    store.set(&key(1), value(1), LIFE).await.unwrap_or_else(|error| panic!("{error}"));
    println!("one silent sentinel, one gone: connected in {:?}", started.elapsed());

    let other = watched.url("", "").replace("/mymaster", "/nobody");
    let store = open(&patient(other));
    assert!(store.get(&key(1)).await.is_err());
    eventually("why", || {
        store.last_error().is_some_and(|text| {
            text.contains("it watches no master of this name") || text.contains("refused")
        })
    })
    .await;
}

#[tokio::test]
async fn sentinels_have_a_user_of_their_own() {
    let watched = Watched::start(&[
        // What the docs say is enough.
        "user looker on >l%ok +sentinel|get-master-addr-by-name",
    ]);
    watched.servers().iter().for_each(add_documented_user);
    let query = "sentinel_user=looker&sentinel_password=l%25ok";
    let config = patient(watched.url("cache:secret@", query));
    let store = RedisStore::new(&config, "tqc").unwrap();
    store.set(&key(1), value(1), LIFE).await.unwrap();
    let log = watched.servers()[0].cli(&["ACL", "LOG"]);
    assert!(!log.contains("cache"), "{log}");
    // Neither's password does for the other.
    for (query, user, told) in [
        (
            "sentinel_user=looker&sentinel_password=secret",
            "cache:secret",
            "no sentinel told of the master (server: WRONGPASS",
        ),
        (query, "cache:hunter2", "server: WRONGPASS"),
    ] {
        let store = open(&patient(watched.url(&format!("{user}@"), query)));
        assert!(store.get(&key(1)).await.is_err());
        eventually("why", || store.last_error().is_some_and(|text| text.contains(told))).await;
        let text = format!("{store:?} {:?}", store.last_error());
        assert!(!text.contains("secret") && !text.contains("hunter2") && !text.contains("l%"), "{text}");
    }
}

#[tokio::test]
async fn a_master_that_is_demoted_by_hand_is_left_though_it_goes_on() {
    let watched = Watched::start(&[]);
    let store = open(&config(watched.url("", "")));
    store.ready().await.unwrap();
    store.set(&key(1), value(1), LIFE).await.unwrap();
    watched.fail_over();
    eventually_within(FAILOVER, "another is the master", || async { watched.master() != 0 }).await;
    eventually_async("writes go to the new one", || async {
        store.set(&key(2), value(2), LIFE).await.is_ok()
            && watched.servers()[watched.master()]
                .cli(&["EXISTS", "test:v1:e:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"])
                == "1"
    })
    .await;
    assert_eq!(store.get(&key(1)).await.unwrap(), Some(value(1)));
}

/// A server that says that it is a master, and sentinels that name it.
fn named(master: &FakeRedis) -> FakeRedis {
    master.answer_to("ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    let sentinel = FakeRedis::answering("+OK\r\n");
    name(&sentinel, master);
    sentinel
}

fn name(sentinel: &FakeRedis, master: &FakeRedis) {
    let port = master.port().to_string();
    let reply = format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len());
    sentinel.answer_to("SENTINEL", &reply);
}

fn url(sentinel: &FakeRedis) -> String {
    format!("redis-sentinel://127.0.0.1:{}/mymaster", sentinel.port())
}

#[tokio::test]
async fn a_server_that_is_no_master_is_not_used_though_sentinels_name_it() {
    let server = FakeRedis::answering("$-1\r\n");
    let sentinel = named(&server);
    server.answer_to("ROLE", "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:0\r\n");
    let store = open(&patient(url(&sentinel)));
    assert!(matches!(store.get(&key(0)).await, Err(StoreError::Unavailable)));
    eventually("why", || store.last_error().is_some_and(|text| text.contains("isn't a master"))).await;
    assert_eq!(store.pool().connections_created, 0);
    server.answer_to("ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    store.ready().await.unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap(), None);
}

#[tokio::test]
async fn a_master_that_became_a_replica_and_keeps_its_connections_is_left() {
    let (old, new) = (FakeRedis::answering("$3\r\nold\r\n"), FakeRedis::answering("$3\r\nnew\r\n"));
    let sentinel = named(&old);
    named(&new);
    let store = open(&patient(url(&sentinel)));
    store.ready().await.unwrap();
    assert_eq!(store.get(&key(0)).await.unwrap(), Some("old".into()));
    old.answer_to("ROLE", "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:0\r\n");
    name(&sentinel, &new);
    eventually_async("the new master answers", || async {
        matches!(store.get(&key(0)).await, Ok(Some(text)) if text == "new")
    })
    .await;
}

#[tokio::test]
async fn one_refused_write_is_enough_to_leave_a_replica() {
    let (old, new) = (FakeRedis::answering("$3\r\nold\r\n"), FakeRedis::answering("+OK\r\n"));
    let sentinel = named(&old);
    named(&new);
    let store = open(&patient(url(&sentinel)));
    store.ready().await.unwrap();
    eventually("all lanes", || store.pool().connections_created == 3).await;
    name(&sentinel, &new);
    old.answer_to("SET", "-READONLY You can't write against a read only replica.\r\n");
    let error = store.set(&key(0), value(1), LIFE).await.unwrap_err();
    assert!(matches!(&error, StoreError::Server(text) if text.starts_with("READONLY")), "{error}");
    let reads = old.commands().iter().filter(|parts| parts[0] == "GET").count();
    eventually_async("the new master is written to", || async {
        let _ = store.get(&key(0)).await;
        store.set(&key(0), value(1), LIFE).await.is_ok()
    })
    .await;
    let after = old.commands().iter().filter(|parts| parts[0] == "GET").count();
    assert_eq!(after, reads, "nor is it read from any more");
}

#[tokio::test]
async fn a_master_that_is_cut_off_is_left_when_the_sentinels_name_another() {
    let (old, new) = (FakeRedis::answering("$3\r\nold\r\n"), FakeRedis::answering("$3\r\nnew\r\n"));
    let sentinel = named(&old);
    named(&new);
    let store = open(&patient(url(&sentinel)));
    store.ready().await.unwrap();
    // It knows nothing of another master, and still says that it is one.
    name(&sentinel, &new);
    eventually_within(Duration::from_secs(30), "the new master answers", || async {
        matches!(store.get(&key(0)).await, Ok(Some(text)) if text == "new")
    })
    .await;
    let asked = sentinel.commands().iter().filter(|parts| parts[0] == "SENTINEL").count();
    // Three lanes at first, one question after ten seconds for all of them, three lanes again.
    assert!((4..=10).contains(&asked), "{asked}");
}

#[tokio::test]
async fn connections_begin_with_nothing_that_the_docs_do_not_name() {
    let server = FakeRedis::answering("$-1\r\n");
    let sentinel = named(&server);
    server.answer_to("AUTH", "+OK\r\n");
    server.answer_to("SELECT", "+OK\r\n");
    let hosts = url(&sentinel).replace("//", "//cache:secret@");
    let store = open(&patient(hosts + "/3"));
    store.ready().await.unwrap();
    store.probe().await.unwrap();
    // The lanes', the leases', the journal's.
    eventually("all lanes", || store.pool().connections_created == 3).await;
    drop(store.given_back(&key(1)));
    drop(store.journal().unwrap().tail().await);
    let names = || server.commands().into_iter().map(|parts| parts[0].clone()).collect::<BTreeSet<_>>();
    eventually("a subscription and a tail", || {
        let asked = server.commands().iter().filter(|parts| parts.join(" ") == "INFO memory").count();
        names().contains("SUBSCRIBE") && asked == 1
    })
    .await;
    let sent = names().into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(sent, "AUTH GET INFO PING ROLE SELECT SUBSCRIBE");
    assert!(sentinel.commands().iter().all(|parts| parts[0] == "SENTINEL"), "{:?}", sentinel.commands());
}

/// What clients of a failover saw.
#[derive(Default)]
struct Tally {
    sent: AtomicUsize,
    failed: AtomicUsize,
    wrong: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_under_load_fails_no_request_and_hits_come_back() {
    // Busy sentinels may promote two replicas, one after the other. Only so does the first not take purges any more.
    let careful = ["--min-replicas-to-write", "1"];
    let mut watched = spawn_blocking(move || Watched::with_args(&careful)).await.unwrap();
    let mut memory = MemoryConfig::default();
    memory.max_entries = 8;
    let handle = || QueryCache::builder().redis(config(watched.url("", ""))).memory(memory.clone()).build();
    let caches = [handle().unwrap(), handle().unwrap()];
    let site = |cache| Site::new(cache, Policy::ttl(MINUTE), |parts| ok(parts.uri.path().repeat(20)));
    let sites = [site(&caches[0]), site(&caches[1])];
    for cache in &caches {
        assert!(cache.ready(MINUTE).await);
    }
    let (tally, stop) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
    let mut load = JoinSet::new();
    for client in 0..16_usize {
        let (site, tally, stop) = (sites[client % 2].clone(), Arc::clone(&tally), Arc::clone(&stop));
        load.spawn(async move {
            let mut number = client * 7919;
            while !stop.load(SeqCst) {
                number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
                let path = if number.is_multiple_of(10) {
                    format!("/new/{number}")
                } else {
                    format!("/{}", number / 10 % 300)
                };
                let answer = site.get(&path).await;
                tally.failed.fetch_add(usize::from(answer.status() != 200), SeqCst);
                tally.wrong.fetch_add(usize::from(text(answer).await != path.repeat(20)), SeqCst);
                tally.sent.fetch_add(1, SeqCst);
                // So that the servers get their share of two cores.
                sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let pages = Pages::start(config(watched.url("", ""))).await;
    let shared = async |cache: &QueryCache| stats(cache).await["hits"]["shared"].as_u64().unwrap();
    eventually_async("hits", || async { shared(&caches[0]).await > 300 && shared(&caches[1]).await > 300 })
        .await;

    pages.purge_each_once().await;

    let killed = Moment::now();
    watched.servers_mut()[0].stop();
    eventually_within(FAILOVER, "another is the master", || async { watched.master() != 0 }).await;
    let elected = killed.elapsed();
    let before = [shared(&caches[0]).await, shared(&caches[1]).await];
    eventually_within(FAILOVER, "hits come back", || async {
        shared(&caches[0]).await > before[0] + 300 && shared(&caches[1]).await > before[1] + 300
    })
    .await;
    let back = killed.elapsed();
    pages.fault_ends(killed).await;
    pages.purge_each_once().await;
    stop.store(true, SeqCst);
    load.join_all().await;
    let figures = stats(&caches[0]).await;
    println!(
        "a failover: another master after {elected:?}, 300 hits more after {back:?}; {} requests, {} failed, {} wrong \
         bodies; errors {}, breaker {}",
        tally.sent.load(SeqCst),
        tally.failed.load(SeqCst),
        tally.wrong.load(SeqCst),
        figures["errors"],
        figures["breaker"],
    );
    assert_eq!((tally.failed.load(SeqCst), tally.wrong.load(SeqCst)), (0, 0));
    assert!(tally.sent.load(SeqCst) > 1000);
    let pages = pages.stop().await;
    println!("{pages}");
    pages.assert_kept();
}
