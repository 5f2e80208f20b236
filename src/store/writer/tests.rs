use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::store::{PoolStatus, StoreFuture, StoreStatus};

/// Records what is written, each write when a permit lets it through.
struct Gated {
    gate: Semaphore,
    started: Mutex<Vec<(Key, Bytes)>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    fail: bool,
}

impl Gated {
    fn new(permits: usize, fail: bool) -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(permits),
            started: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            fail,
        })
    }

    fn started(&self) -> Vec<(Key, Bytes)> {
        self.started.lock().unwrap().clone()
    }

    async fn take(&self, key: Key, value: Bytes) -> Result<(), StoreError> {
        self.started.lock().unwrap().push((key, value));
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(now, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.fail { Err(StoreError::Server("OOM".to_owned())) } else { Ok(()) }
    }
}

impl Store for Gated {
    fn get<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async { Ok(None) })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        Box::pin(self.take(*key, value))
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        Box::pin(self.take(*key, Bytes::from_static(b"removed")))
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async { Ok(StoreStatus::default()) })
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus::default()
    }
}

/// A writer that waits for the gate, whatever time that takes.
fn writer(store: Arc<dyn Store>, max_entries: usize, max_bytes: usize) -> Writer {
    let config = RedisConfig {
        write_timeout: LIFE,
        queue_entries: max_entries,
        queue_bytes: max_bytes,
        ..RedisConfig::default()
    };
    let breaker = Breaker::new(Arc::clone(&store), LIFE);
    Writer::new(store, breaker, &config)
}

const LIFE: Duration = Duration::from_secs(60);

fn key(number: usize) -> Key {
    Key::from_bytes([u8::try_from(number).unwrap(); 32])
}

/// Lets the drain go as far as it can.
async fn step() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_pushed_is_written_and_settled() {
    let store = Gated::new(1000, false);
    let writer = writer(store.clone(), 100, 1000);
    for round in 0..3 {
        (0..10).for_each(|number| writer.push(key(number), Bytes::from_static(b"1234"), LIFE));
        writer.settled().await;
        let status = writer.status();
        assert_eq!((status.written, status.queued_entries, status.queued_bytes), (10 * (round + 1), 0, 0));
    }
    assert_eq!(store.started().len(), 30);
}

#[tokio::test]
async fn at_most_32_writes_are_under_way() {
    let store = Gated::new(0, false);
    let writer = writer(store.clone(), 100, 1000);
    (0..100).for_each(|number| writer.push(key(number), Bytes::new(), LIFE));
    step().await;
    assert_eq!(store.started().len(), 32);
    store.gate.add_permits(100);
    writer.settled().await;
    assert_eq!((writer.status().written, store.most_under_way.load(Ordering::SeqCst)), (100, 32));
}

#[tokio::test]
async fn over_a_bound_items_are_dropped_and_counted() {
    let store = Gated::new(0, false);
    let by_entries = writer(store.clone(), 5, 1000);
    (0..8).for_each(|number| by_entries.push(key(number), Bytes::new(), LIFE));
    assert_eq!((by_entries.status().queued_entries, by_entries.status().dropped), (5, 3));
    by_entries.remove(key(9));
    assert_eq!(by_entries.status().dropped, 4);

    let by_bytes = writer(store.clone(), 1000, 10);
    by_bytes.push(key(20), Bytes::from_static(b"eleven bytes"), LIFE);
    (21..25).for_each(|number| by_bytes.push(key(number), Bytes::from_static(b"4444"), LIFE));
    assert_eq!((by_bytes.status().queued_bytes, by_bytes.status().dropped), (8, 3));

    store.gate.add_permits(100);
    by_entries.settled().await;
    by_bytes.settled().await;
    assert_eq!((by_entries.status().written, by_bytes.status().written), (5, 2));
    by_entries.push(key(1), Bytes::new(), LIFE);
    by_entries.settled().await;
    assert_eq!(by_entries.status().written, 6, "a queue that was full must take items again");
}

#[tokio::test]
async fn bytes_under_way_count_until_they_are_written() {
    let store = Gated::new(0, false);
    let writer = writer(store.clone(), 10, 10);
    writer.push(key(1), Bytes::from_static(b"12345678"), LIFE);
    step().await;
    assert_eq!(store.started().len(), 1);
    writer.push(key(2), Bytes::from_static(b"12345678"), LIFE);
    assert_eq!((writer.status().queued_bytes, writer.status().dropped), (8, 1));
}

#[tokio::test]
async fn a_later_write_of_a_key_waits_for_the_earlier() {
    let store = Gated::new(0, false);
    let writer = writer(store.clone(), 100, 1000);
    writer.push(key(1), Bytes::from_static(b"first"), LIFE);
    step().await;
    writer.push(key(1), Bytes::from_static(b"second"), LIFE);
    writer.push(key(1), Bytes::from_static(b"third"), LIFE);
    writer.push(key(2), Bytes::from_static(b"other"), LIFE);
    step().await;
    let started = [(key(1), Bytes::from_static(b"first")), (key(2), Bytes::from_static(b"other"))];
    assert_eq!(store.started(), started);
    store.gate.add_permits(10);
    writer.settled().await;
    assert_eq!(store.started()[2], (key(1), Bytes::from_static(b"third")));
    let status = writer.status();
    assert_eq!((status.written, status.superseded, status.dropped), (3, 1, 0));
}

#[tokio::test]
async fn a_removal_never_takes_away_a_value_that_waits_or_is_being_written() {
    let store = Gated::new(0, false);
    let writer = writer(store.clone(), 100, 1000);
    writer.push(key(1), Bytes::from_static(b"waits"), LIFE);
    writer.remove(key(1));
    step().await;
    writer.push(key(2), Bytes::from_static(b"runs"), LIFE);
    step().await;
    writer.remove(key(2));
    store.gate.add_permits(10);
    writer.settled().await;
    let values = || store.started().into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!(values(), ["waits", "runs"]);
    assert_eq!((writer.status().superseded, writer.status().dropped), (2, 0));

    // What is read now was written before.
    writer.remove(key(1));
    writer.settled().await;
    assert_eq!(values(), ["waits", "runs", "removed"]);
}

#[tokio::test]
async fn a_value_waits_for_the_removal_before_it() {
    let store = Gated::new(0, false);
    let writer = writer(store.clone(), 100, 1000);
    writer.remove(key(1));
    step().await;
    writer.push(key(1), Bytes::from_static(b"fresh"), LIFE);
    step().await;
    assert_eq!(store.started().len(), 1);
    store.gate.add_permits(10);
    writer.settled().await;
    assert_eq!(store.started()[1], (key(1), Bytes::from_static(b"fresh")));
}

#[tokio::test]
async fn failures_are_counted_and_gone() {
    let store = Gated::new(100, true);
    let writer = writer(store.clone(), 100, 1000);
    (0..10).for_each(|number| writer.push(key(number), Bytes::from_static(b"v"), LIFE));
    writer.settled().await;
    let status = writer.status();
    assert_eq!((status.failed, status.written, status.queued_bytes), (10, 0, 0));
    assert_eq!(store.started().len(), 10, "none is tried again");
}

#[test]
fn without_a_runtime_items_are_dropped_and_counted() {
    let writer = writer(Gated::new(1, false), 10, 1000);
    writer.push(key(1), Bytes::from_static(b"v"), LIFE);
    assert_eq!((writer.status().dropped, writer.status().queued_entries), (1, 0));
}

#[test]
fn a_runtime_that_ends_leaves_the_writer_usable() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let store = Gated::new(0, false);
    let writer = writer(store.clone(), 10, 1000);
    let first = runtime();
    first.block_on(async {
        (0..3).for_each(|number| writer.push(key(number), Bytes::from_static(b"v"), LIFE));
        step().await;
    });
    drop(first);
    assert_eq!((writer.status().dropped, writer.status().queued_bytes), (3, 0));
    store.gate.add_permits(10);
    runtime().block_on(async {
        writer.push(key(1), Bytes::from_static(b"v"), LIFE);
        writer.settled().await;
    });
    assert_eq!(writer.status().written, 1);
}

/// A breaker that five failed reads have opened.
fn open(breaker: &Arc<Breaker>) {
    for _ in 0..5 {
        let leave = breaker.admit().unwrap();
        breaker.report(leave, Err(&StoreError::Timeout));
    }
    assert!(!breaker.is_closed());
}

#[tokio::test]
async fn once_the_breaker_is_open_what_waits_and_what_comes_is_dropped_and_nothing_hangs() {
    let store = Gated::new(0, false);
    let breaker = Breaker::new(store.clone(), LIFE);
    let writer = Writer::new(store.clone(), Arc::clone(&breaker), &RedisConfig::default());
    (0..100).for_each(|number| writer.push(key(number), Bytes::from_static(b"1234"), LIFE));
    step().await;
    open(&breaker);
    (100..120).for_each(|number| writer.push(key(number), Bytes::from_static(b"1234"), LIFE));
    writer.remove(key(120));
    assert_eq!(writer.status().dropped, 21);

    // Those that the store had already come to an end.
    store.gate.add_permits(32);
    writer.settled().await;
    let status = writer.status();
    assert_eq!((status.written, status.dropped), (32, 68 + 21));
    assert_eq!((status.queued_entries, status.queued_bytes, store.started().len()), (0, 0, 32));
}

#[tokio::test]
async fn failed_writes_never_open_the_breaker() {
    let store = Gated::new(1000, true);
    let breaker = Breaker::new(store.clone(), LIFE);
    let writer = Writer::new(store, Arc::clone(&breaker), &RedisConfig::default());
    (0..100).for_each(|number| writer.push(key(number), Bytes::new(), LIFE));
    writer.settled().await;
    assert_eq!((writer.status().failed, breaker.status().opened), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_not_waited_for() {
    let store = Gated::new(0, false);
    let breaker = Breaker::new(store.clone(), LIFE);
    let writer = Writer::new(store, breaker, &RedisConfig::default());
    (0..40).for_each(|number| writer.push(key(number), Bytes::new(), LIFE));
    let settled = timeout(3 * RedisConfig::default().write_timeout, writer.settled()).await;
    assert!(settled.is_ok(), "{writer:?}");
    assert_eq!(writer.status().failed, 40);
}
