use futures_util::FutureExt as _;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;
use crate::store::{MemoryStore, PoolStatus, StoreFuture, StoreStatus};

const LIFE: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

/// A store with `value n` under `key(n)` for n from 0 to 2, written before any fault.
async fn store() -> FaultStore {
    let inner = MemoryStore::new(10);
    for (number, value) in (0..3).zip(["value 0", "value 1", "value 2"]) {
        inner.set(&key(number), value.into(), LIFE).await.unwrap();
    }
    FaultStore::new(Arc::new(inner))
}

/// What a lookup of `key(0)` says.
async fn look_up(store: &FaultStore) -> String {
    match store.get(&key(0)).await {
        Ok(Some(value)) => String::from_utf8_lossy(&value).into_owned(),
        Ok(None) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn look_ups(store: &FaultStore, count: usize) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..count {
        said.push(look_up(store).await);
    }
    said
}

fn oom() -> StoreError {
    StoreError::Server("OOM".to_owned())
}

#[tokio::test(start_paused = true)]
async fn without_faults_all_goes_through() {
    let store = store().await;
    let started = Instant::now();
    assert_eq!(look_up(&store).await, "value 0");
    store.set(&key(0), "new".into(), LIFE).await.unwrap();
    assert_eq!(look_up(&store).await, "new");
    store.remove(&key(0)).await.unwrap();
    assert_eq!(look_up(&store).await, "nothing");
    store.ready().await.unwrap();
    store.probe().await.unwrap();
    assert_eq!(store.status().await.unwrap().keys, Some(2));
    assert_eq!((store.pool(), store.last_error()), (PoolStatus::default(), None));

    let counts = store.counts();
    for (operation, came) in [
        (Operation::Get, 3),
        (Operation::Set, 1),
        (Operation::Remove, 1),
        (Operation::Ready, 1),
        (Operation::Probe, 1),
        (Operation::Status, 1),
        (Operation::Acquire, 0),
    ] {
        assert_eq!(counts.came(operation), came, "{operation:?}");
    }
    assert_eq!(counts.all_came(), 8);
    assert_eq!((counts.all_struck(), started.elapsed()), (0, Duration::ZERO));
}

#[tokio::test]
async fn the_next_three_lookups_time_out() {
    let store = store().await;
    let fault = store.inject(Fault::error(StoreError::Timeout).on([Operation::Get]).times(3));
    store.set(&key(9), "not struck".into(), LIFE).await.unwrap();
    assert_eq!(look_ups(&store, 4).await, ["timed out", "timed out", "timed out", "value 0"]);
    assert_eq!(fault.struck(), 3);
    let counts = store.counts();
    assert_eq!((counts.came(Operation::Get), counts.struck(Operation::Get), counts.all_struck()), (4, 3, 3));
}

#[tokio::test]
async fn faults_strike_in_the_order_of_their_injection() {
    let store = store().await;
    let gets = |error| Fault::error(error).on([Operation::Get]);
    store.inject(gets(StoreError::Timeout).times(2));
    store.inject(gets(oom()).times(1));
    store.inject(gets(StoreError::Unavailable).skip(4).times(1));
    let said = look_ups(&store, 6).await;
    assert_eq!(said, ["timed out", "timed out", "server: OOM", "value 0", "not connected", "value 0"]);
}

#[tokio::test(start_paused = true)]
async fn every_second_lookup_is_late() {
    let store = store().await;
    store.inject(Fault::delay(Duration::from_millis(30)).on([Operation::Get]).every(2));
    let mut took = Vec::new();
    for _ in 0..4 {
        let started = Instant::now();
        assert_eq!(look_up(&store).await, "value 0");
        took.push(started.elapsed().as_millis() / 30);
    }
    assert_eq!(took, [0, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_error_may_come_late() {
    let store = store().await;
    store.inject(Fault::error(StoreError::Timeout).late_by(SECOND));
    let started = Instant::now();
    assert_eq!(look_up(&store).await, "timed out");
    assert!(started.elapsed() >= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_hang_ends_when_it_is_lifted() {
    type Lift = fn(&FaultStore, &InjectedFault);
    let ways: [Lift; 3] = [
        |_, fault| fault.lift(),
        |store, _| store.clear(),
        // Injecting forgets faults that are over; one that something hangs for isn't.
        |store, _| {
            store.inject(Fault::delay(SECOND));
            store.clear();
        },
    ];
    for lift in ways {
        let store = store().await;
        let fault = store.inject(Fault::hang().on([Operation::Get]).times(1));
        let hanging = tokio::spawn({
            let store = store.clone();
            async move { look_up(&store).await }
        });
        tokio::time::sleep(1000 * SECOND).await;
        assert_eq!((store.hanging(), hanging.is_finished()), (1, false));
        lift(&store, &fault);
        let said = tokio::time::timeout(SECOND, hanging).await.expect("it goes on");
        assert_eq!(said.unwrap(), "value 0");
        assert_eq!((store.hanging(), store.counts().struck(Operation::Get)), (0, 1));
    }
}

#[tokio::test]
async fn a_hang_is_over_when_its_future_is_dropped() {
    let store = store().await;
    store.inject(Fault::hang());
    let key = key(0);
    let mut lookup = store.get(&key);
    assert!((&mut lookup).now_or_never().is_none());
    assert_eq!(store.hanging(), 1);
    drop(lookup);
    assert_eq!(store.hanging(), 0);
}

#[tokio::test]
async fn a_partial_outage_by_operation_and_by_key() {
    let store = store().await;
    store.inject(Fault::error(oom()).on([Operation::Set, Operation::Remove]));
    assert!(store.set(&key(0), "new".into(), LIFE).await.is_err());
    assert!(store.remove(&key(0)).await.is_err());
    assert_eq!(look_up(&store).await, "value 0", "reads work, and nothing was written");
    store.clear();

    store.inject(Fault::error(StoreError::Unavailable).for_keys(|key| key.as_bytes()[0] == 1));
    assert!(store.get(&key(1)).await.is_err());
    assert!(store.set(&key(1), "new".into(), LIFE).await.is_err());
    assert_eq!(look_up(&store).await, "value 0");
    assert!(store.ready().await.is_ok(), "it has no key");
}

#[tokio::test]
async fn a_byte_of_what_is_read_changes() {
    let store = store().await;
    for (at, read) in [(0, "walue 0"), (6, "value 1"), (7, "walue 0"), (9, "vamue 0")] {
        let fault = store.inject(Fault::changed_byte(at));
        assert_eq!(look_up(&store).await, read, "{at}");
        fault.lift();
        assert_eq!(look_up(&store).await, "value 0", "what is stored is whole");
    }
}

#[tokio::test]
async fn what_is_read_is_cut() {
    let store = store().await;
    for (length, read) in [(0, ""), (5, "value"), (6, "value "), (7, "value "), (usize::MAX, "value ")] {
        let fault = store.inject(Fault::cut(length));
        assert_eq!(look_up(&store).await, read, "{length}");
        fault.lift();
    }
    assert_eq!(look_up(&store).await, "value 0");
}

#[tokio::test]
async fn what_is_read_is_another_keys() {
    let store = store().await;
    store.inject(Fault::other_keys_value());
    assert_eq!(look_up(&store).await, "value 0", "there is no other yet");
    assert_eq!(store.counts().struck(Operation::Get), 0);
    store.set(&key(5), "written".into(), LIFE).await.unwrap();
    assert_eq!(look_ups(&store, 2).await, ["written", "written"]);
    assert_eq!(store.get(&key(5)).await.unwrap(), Some("value 0".into()));
    assert_eq!(store.counts().struck(Operation::Get), 3);
}

#[tokio::test(start_paused = true)]
async fn a_corruption_is_used_up_by_values_alone() {
    let store = store().await;
    let fault = store.inject(Fault::cut(1).times(1).late_by(SECOND));
    assert_eq!(store.get(&key(9)).await.unwrap(), None);
    store.set(&key(9), Bytes::new(), LIFE).await.unwrap();
    assert_eq!(store.get(&key(9)).await.unwrap(), Some(Bytes::new()), "nothing to cut");
    assert_eq!(fault.struck(), 0);
    let both = futures_util::future::join(look_up(&store), look_up(&store)).await;
    assert_eq!(both, ("v".to_owned(), "value 0".to_owned()));
    assert_eq!(look_up(&store).await, "value 0");
    assert_eq!(fault.struck(), 1);
}

#[tokio::test]
async fn a_corruption_counts_lookups_alone() {
    let store = store().await;
    store.inject(Fault::cut(5).every(2));
    for read in ["value 0", "value"] {
        assert_eq!(look_up(&store).await, read);
        store.set(&key(1), "new".into(), LIFE).await.unwrap();
    }
    assert_eq!(store.counts().all_struck(), 1);
}

/// One tenth of 600 operations goes wrong; what came of each, and the counters.
async fn chaos(seed: u64) -> (Vec<String>, FaultCounts) {
    let store = store().await;
    store.inject(Fault::any().chance(0.1).seed(seed));
    let mut said = Vec::new();
    for number in 0..200 {
        said.push(look_up(&store).await);
        let value = format!("value {}", number % 10).into();
        said.push(format!("{:?}", store.set(&key(0), value, LIFE).await));
        said.push(format!("{:?}", store.status().await));
    }
    (said, store.counts())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_faults() {
    let (first, again, other) = (chaos(42).await, chaos(42).await, chaos(43).await);
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
    let struck = first.1.all_struck();
    assert!((30..=90).contains(&struck), "{struck} of 600");
}

#[tokio::test(start_paused = true)]
async fn leases_are_struck_too() {
    let store = store().await;
    let leases = store.leases().unwrap();
    let lease = leases.acquire(&key(0), LIFE).await.unwrap().unwrap();
    assert_eq!(leases.acquire(&key(0), LIFE).await.unwrap(), None);

    let fault = store.inject(Fault::error(oom()));
    assert!(leases.acquire(&key(1), LIFE).await.is_err());
    assert!(leases.commit(&key(0), &lease, "new".into(), LIFE).await.is_err());
    assert!(leases.release(&key(0), &lease).await.is_err());
    let key_0 = key(0);
    let mut lost = leases.given_back(&key_0);
    assert!((&mut lost).now_or_never().is_none());
    fault.lift();
    let mut heard = leases.given_back(&key_0);
    assert!((&mut heard).now_or_never().is_none());
    assert!(leases.commit(&key(0), &lease, "new".into(), LIFE).await.unwrap());
    let both = futures_util::future::join(heard, lost);
    tokio::time::timeout(SECOND, both).await.expect("a wake-up that hung comes once its fault is lifted");
    assert_eq!(look_up(&store).await, "new");
    assert!(leases.release(&key(0), &lease).await.is_ok());

    let counts = store.counts();
    for (operation, came) in
        [(Operation::Acquire, 3), (Operation::Commit, 2), (Operation::Release, 2), (Operation::GivenBack, 2)]
    {
        assert_eq!((counts.came(operation), counts.struck(operation)), (came, 1), "{operation:?}");
    }
}

/// A store without leases that remembers what it was told.
#[derive(Default)]
struct Bare(Mutex<Vec<bool>>);

impl Store for Bare {
    fn get<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async { Ok(None) })
    }

    fn set<'a>(&'a self, _: &'a Key, _: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn remove<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Err(oom()) })
    }

    fn suspend(&self, suspended: bool) {
        self.0.lock().unwrap().push(suspended);
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        Box::pin(async { Ok(StoreStatus::default()) })
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus { max_connections: 7, ..PoolStatus::default() }
    }

    fn last_error(&self) -> Option<String> {
        Some("the reason".to_owned())
    }
}

#[tokio::test]
async fn what_the_store_behind_says_is_passed_on() {
    let bare = Arc::new(Bare::default());
    let store = FaultStore::new(Arc::clone(&bare) as _);
    assert!(store.leases().is_none());
    assert_eq!(store.probe().await.unwrap_err().to_string(), "server: OOM", "not by `ready`");
    store.suspend(true);
    store.suspend(false);
    assert_eq!(*bare.0.lock().unwrap(), [true, false]);
    assert_eq!((store.pool().max_connections, store.last_error().as_deref()), (7, Some("the reason")));
}

#[tokio::test]
async fn clones_share_faults_and_counters() {
    let store = store().await;
    let clone = store.clone();
    clone.inject(Fault::error(StoreError::Timeout));
    assert_eq!(look_up(&store).await, "timed out");
    assert_eq!(clone.counts(), store.counts());
    drop(clone);
    yield_now().await;
    assert_eq!(look_up(&store).await, "timed out");
}

#[test]
fn a_delay_outside_a_runtime_is_an_error() {
    let store = FaultStore::new(Arc::new(MemoryStore::new(1)));
    store.inject(Fault::delay(SECOND).times(1));
    let key = key(0);
    assert!(matches!(store.get(&key).now_or_never(), Some(Err(StoreError::Unavailable))));
    assert!(matches!(store.get(&key).now_or_never(), Some(Ok(None))));
}

#[tokio::test]
async fn faults_that_are_over_are_forgotten() {
    let store = store().await;
    for _ in 0..100 {
        store.inject(Fault::error(StoreError::Timeout).times(1));
        look_up(&store).await;
    }
    assert!(store.0.lock().rules.len() <= 1);
}
