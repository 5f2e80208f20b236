use std::future::pending;
use std::sync::Mutex;

use tokio::sync::Semaphore;

use super::*;
use crate::config::RedisConfig;
use crate::store::{Breaker, GivenBack};
use crate::store::{PoolStatus, Store, StoreFuture, StoreStatus};

/// What a store was told, in words.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn add(&self, word: &str, key: &Key) {
        self.0.lock().unwrap().push(format!("{word} {}", key.as_bytes()[0]));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Gives every lease, and writes when a permit lets it.
struct Lending {
    log: Log,
    gate: Semaphore,
    commits: Result<bool, StoreError>,
}

impl Lending {
    async fn write(&self, word: &str, key: &Key) {
        self.gate.acquire().await.unwrap().forget();
        self.log.add(word, key);
    }
}

impl Store for Lending {
    fn get<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async { Ok(None) })
    }

    fn set<'a>(&'a self, key: &'a Key, _: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async {
            self.write("set", key).await;
            Ok(())
        })
    }

    fn remove<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn leases(&self) -> Option<&dyn Leases> {
        Some(self)
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async { Ok(StoreStatus::default()) })
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus::default()
    }
}

impl Leases for Lending {
    fn acquire<'a>(&'a self, key: &'a Key, _: Duration) -> StoreFuture<'a, Option<Lease>> {
        self.log.add("acquire", key);
        Box::pin(async { Ok(Some(Lease::new(Bytes::from_static(b"proof")))) })
    }

    fn commit<'a>(&'a self, key: &'a Key, lease: &'a Lease, _: Bytes, _: Duration) -> StoreFuture<'a, bool> {
        assert_eq!(lease.as_bytes(), b"proof");
        Box::pin(async {
            self.write("commit", key).await;
            self.commits.clone()
        })
    }

    fn release<'a>(&'a self, key: &'a Key, lease: &'a Lease) -> StoreFuture<'a, ()> {
        assert_eq!(lease.as_bytes(), b"proof");
        Box::pin(async {
            // Not at once, as over a network.
            tokio::task::yield_now().await;
            self.log.add("release", key);
            Ok(())
        })
    }

    fn given_back<'a>(&'a self, _: &Key) -> GivenBack<'a> {
        Box::pin(pending())
    }
}

const LIFE: Duration = Duration::from_secs(60);

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

fn value() -> Bytes {
    Bytes::from_static(b"value")
}

struct Bench {
    store: Arc<Lending>,
    breaker: Arc<Breaker>,
    writer: Writer,
    stats: Arc<Stats>,
}

impl Bench {
    fn new(commits: Result<bool, StoreError>) -> Self {
        let store =
            Arc::new(Lending { log: Log::default(), gate: Semaphore::new(Semaphore::MAX_PERMITS), commits });
        let config = RedisConfig { queue_entries: 2, queue_bytes: 1000, ..RedisConfig::default() };
        let breaker = Breaker::new(store.clone(), LIFE);
        let writer = Writer::new(store.clone(), Arc::clone(&breaker), &config);
        Self { store, breaker, writer, stats: Arc::new(Stats::new()) }
    }

    /// Holds the lease of `key(1)`.
    fn held(&self) -> Arc<Held> {
        Arc::new(Held {
            key: key(1),
            lease: Lease::new(Bytes::from_static(b"proof")),
            writer: self.writer.clone(),
            stats: Arc::clone(&self.stats),
            settled: AtomicBool::new(false),
        })
    }

    /// What the store was told, once all is done.
    async fn told(&self) -> Vec<String> {
        self.writer.settled().await;
        self.store.log.take()
    }
}

#[tokio::test]
async fn while_the_breaker_is_open_a_lease_is_left_to_run_out() {
    let bench = Bench::new(Ok(true));
    let (queued, alone) = (bench.held(), bench.held());
    for _ in 0..5 {
        let leave = bench.breaker.admit().unwrap();
        bench.breaker.report(leave, Err(&StoreError::Timeout));
    }
    bench.writer.push_held(key(1), value(), LIFE, queued);
    drop(alone);
    assert_eq!(bench.told().await, [""; 0]);
    assert_eq!(bench.writer.status().dropped, 1);
}

#[tokio::test]
async fn a_commit_leaves_nothing_to_give_back() {
    let bench = Bench::new(Ok(true));
    bench.writer.push_held(key(1), value(), LIFE, bench.held());
    assert_eq!(bench.told().await, ["commit 1"]);
    assert_eq!((bench.writer.status().written, bench.writer.status().superseded), (1, 0));
}

#[tokio::test]
async fn a_write_that_was_held_back_is_counted_and_gives_nothing_back() {
    let bench = Bench::new(Ok(false));
    bench.writer.push_held(key(1), value(), LIFE, bench.held());
    assert_eq!(bench.told().await, ["commit 1"]);
    assert_eq!((bench.writer.status().written, bench.writer.status().superseded), (0, 1));
}

#[tokio::test]
async fn a_failed_commit_gives_the_lease_back() {
    let bench = Bench::new(Err(StoreError::Timeout));
    bench.writer.push_held(key(1), value(), LIFE, bench.held());
    assert_eq!(bench.told().await, ["commit 1", "release 1"]);
    assert_eq!(bench.writer.status().failed, 1);
}

#[tokio::test]
async fn a_lease_goes_back_after_the_last_who_shares_it() {
    let bench = Bench::new(Ok(true));
    let held = bench.held();
    // The entry stands under another key than the fill knew.
    bench.writer.push_held(key(2), value(), LIFE, Arc::clone(&held));
    assert_eq!(bench.told().await, ["set 2"]);
    drop(held);
    assert_eq!(bench.told().await, ["release 1"]);
}

#[tokio::test]
async fn an_item_that_is_dropped_or_superseded_gives_its_lease_back() {
    let bench = Bench::new(Ok(true));
    bench.store.gate.forget_permits(Semaphore::MAX_PERMITS);
    // Two find room, and a third doesn't.
    bench.writer.push(key(8), value(), LIFE);
    bench.writer.push(key(9), value(), LIFE);
    bench.writer.push_held(key(1), value(), LIFE, bench.held());
    assert_eq!(bench.writer.status().dropped, 1);
    bench.store.gate.add_permits(2);
    assert_eq!(bench.told().await.iter().filter(|word| *word == "release 1").count(), 1);

    bench.writer.push_held(key(1), value(), LIFE, bench.held());
    bench.writer.push(key(1), value(), LIFE);
    bench.store.gate.add_permits(1);
    let mut told = bench.told().await;
    told.sort();
    assert_eq!(told, ["release 1", "set 1"]);
}

#[test]
fn outside_a_runtime_a_lease_is_left_to_run_out() {
    let bench = Bench::new(Ok(true));
    drop(bench.held());
    assert_eq!(bench.store.log.take(), [""; 0]);
    // And nothing is waited for.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(bench.writer.settled());
}

#[test]
fn a_runtime_that_ends_takes_the_leases_on_their_way_back_with_it() {
    let bench = Bench::new(Ok(true));
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ending = runtime();
    ending.block_on(async {
        bench.store.gate.forget_permits(Semaphore::MAX_PERMITS);
        bench.writer.push_held(key(1), value(), LIFE, bench.held());
        drop(bench.held());
    });
    drop(ending);
    runtime().block_on(bench.writer.settled());
    assert_eq!(bench.writer.status().dropped, 1);
}
