mod probe;

use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::{advance, sleep};

use super::*;
use crate::key::Key;
use crate::store::testing::Log;
use crate::store::{PoolStatus, StoreFuture, StoreStatus};

const SECOND: Duration = Duration::from_secs(1);

/// Time for a probe.
const LIMIT: Duration = Duration::from_secs(5);

/// What a probe meets.
#[derive(Clone, Copy)]
enum Sign {
    Life,
    Error,
    Silence,
    Panic,
}

/// A store that is only probed.
struct Scripted {
    sign: Mutex<Sign>,
    last_error: Mutex<Option<String>>,
    in_part: AtomicBool,
    connected: AtomicBool,
    /// When probes came.
    probes: Mutex<Vec<Instant>>,
    suspensions: Mutex<Vec<bool>>,
}

impl Scripted {
    fn new(sign: Sign) -> Arc<Self> {
        Arc::new(Self {
            sign: Mutex::new(sign),
            last_error: Mutex::default(),
            in_part: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            probes: Mutex::default(),
            suspensions: Mutex::default(),
        })
    }

    fn shows(&self, sign: Sign) {
        *self.sign.lock().unwrap() = sign;
    }

    fn probes(&self) -> usize {
        self.probes.lock().unwrap().len()
    }

    fn suspensions(&self) -> Vec<bool> {
        self.suspensions.lock().unwrap().clone()
    }
}

impl Store for Scripted {
    fn get<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        unreachable!("the breaker only probes")
    }

    fn set<'a>(&'a self, _: &'a Key, _: Bytes, _: Duration) -> StoreFuture<'a, ()> {
        unreachable!("the breaker only probes")
    }

    fn remove<'a>(&'a self, _: &'a Key) -> StoreFuture<'a, ()> {
        unreachable!("the breaker only probes")
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            while !matches!(*self.sign.lock().unwrap(), Sign::Life) {
                sleep(SECOND / 10).await;
            }
            Ok(())
        })
    }

    fn probe(&self) -> StoreFuture<'_, ()> {
        self.probes.lock().unwrap().push(Instant::now());
        let sign = *self.sign.lock().unwrap();
        Box::pin(async move {
            tokio::task::yield_now().await;
            match sign {
                Sign::Life => Ok(()),
                Sign::Error => Err(StoreError::Server("LOADING".to_owned())),
                Sign::Silence => std::future::pending().await,
                Sign::Panic => panic!("the store panics"),
            }
        })
    }

    fn suspend(&self, suspended: bool) {
        self.suspensions.lock().unwrap().push(suspended);
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        unreachable!("the breaker only probes")
    }

    fn pool(&self) -> PoolStatus {
        PoolStatus {
            connections_created: self.connected.load(Ordering::Relaxed).into(),
            ..PoolStatus::default()
        }
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap().clone()
    }

    fn answers_in_part(&self) -> bool {
        self.in_part.load(Ordering::Relaxed)
    }
}

fn over(store: &Arc<Scripted>) -> Arc<Breaker> {
    Breaker::new(Arc::clone(store) as Arc<dyn Store>, LIMIT)
}

/// A read that comes out like this; false if it had no leave.
fn read(breaker: &Arc<Breaker>, outcome: Result<(), &StoreError>) -> bool {
    match breaker.admit() {
        Some(leave) => {
            breaker.report(leave, outcome);
            true
        }
        None => false,
    }
}

fn fail(breaker: &Arc<Breaker>, times: usize) {
    for _ in 0..times {
        assert!(read(breaker, Err(&StoreError::Timeout)));
    }
}

/// Opens a breaker whose store shows `sign`.
fn opened(sign: Sign) -> (Arc<Scripted>, Arc<Breaker>) {
    let store = Scripted::new(sign);
    let breaker = over(&store);
    fail(&breaker, 5);
    assert_eq!(breaker.status().state, "open");
    (store, breaker)
}

/// Lets every task that can run do so.
async fn step() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn five_failed_reads_in_a_row_open_it_and_no_fewer() {
    let store = Scripted::new(Sign::Life);
    let breaker = over(&store);
    for _ in 0..10 {
        fail(&breaker, 4);
        assert!(read(&breaker, Ok(())));
    }
    assert_eq!((breaker.status().state, breaker.status().opened), ("closed", 0));
    for error in [
        StoreError::Timeout,
        StoreError::Connection("reset".to_owned()),
        StoreError::Server("NOPERM".to_owned()),
        StoreError::Timeout,
        StoreError::Timeout,
    ] {
        assert!(breaker.is_closed());
        assert!(read(&breaker, Err(&error)));
    }
    assert!(!breaker.is_closed());
    let status = breaker.status();
    assert_eq!((status.state, status.opened, status.rejected, status.probes), ("open", 1, 0, 0));
    assert_eq!((store.suspensions(), store.probes()), (vec![true], 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_first_connects_are_under_way_nothing_counts_as_a_failure() {
    let store = Scripted::new(Sign::Life);
    let breaker = over(&store);
    for _ in 0..100 {
        assert!(read(&breaker, Err(&StoreError::Unavailable)));
    }
    *store.last_error.lock().unwrap() = Some("connection: refused".to_owned());
    for _ in 0..5 {
        assert!(read(&breaker, Err(&StoreError::Unavailable)));
    }
    assert_eq!(breaker.status().state, "open");
    assert_eq!(breaker.cause().as_deref(), Some("connection: refused"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_connected_and_not_to_be_used_yet_has_not_failed() {
    let store = Scripted::new(Sign::Life);
    let breaker = over(&store);
    *store.last_error.lock().unwrap() = Some("connection: broken".to_owned());
    store.connected.store(true, Ordering::Relaxed);
    (0..100).for_each(|_| assert!(read(&breaker, Err(&StoreError::Unavailable))));
    (0..5).for_each(|_| assert!(read(&breaker, Err(&StoreError::Timeout))));
    assert_eq!(breaker.status().state, "open");
}

#[tokio::test(start_paused = true)]
async fn while_a_part_answers_no_failure_counts_and_those_before_do() {
    let store = Scripted::new(Sign::Life);
    let breaker = over(&store);
    let fail = || assert!(read(&breaker, Err(&StoreError::Timeout)));
    (0..4).for_each(|_| fail());
    store.in_part.store(true, Ordering::Relaxed);
    (0..100).for_each(|_| fail());
    assert_eq!(breaker.status().state, "closed");
    store.in_part.store(false, Ordering::Relaxed);
    fail();
    assert_eq!(breaker.status().state, "open");
}

#[tokio::test(start_paused = true)]
async fn of_many_requests_exactly_one_starts_the_probe_and_none_waits_for_it() {
    let (store, breaker) = opened(Sign::Silence);
    for _ in 0..1000 {
        assert!(breaker.admit().is_none());
    }
    advance(SECOND - Duration::from_millis(1)).await;
    assert!(breaker.admit().is_none());
    step().await;
    assert_eq!(store.probes(), 0, "not before a second has passed");

    advance(Duration::from_millis(1)).await;
    let started = Instant::now();
    let requests = (0..1000).map(|_| {
        let breaker = Arc::clone(&breaker);
        tokio::spawn(async move { breaker.admit().is_none() })
    });
    assert!(join_all(requests).await.into_iter().all(Result::unwrap));
    step().await;
    assert_eq!((store.probes(), started.elapsed()), (1, Duration::ZERO));
    let status = breaker.status();
    assert_eq!((status.state, status.rejected, status.probes), ("half-open", 2001, 1));
}

#[tokio::test(start_paused = true)]
async fn waits_double_up_to_thirty_seconds_and_start_anew_after_a_success() {
    let (store, breaker) = opened(Sign::Error);
    let start = Instant::now();
    while store.probes() < 8 {
        assert!(breaker.admit().is_none());
        sleep(Duration::from_millis(10)).await;
    }
    let mut last = start;
    let waits: Vec<u64> = store
        .probes
        .lock()
        .unwrap()
        .iter()
        .map(|at| {
            let wait = *at - last;
            last = *at;
            wait.as_millis().try_into().unwrap()
        })
        .collect();
    println!("probes after {waits:?} ms");
    for (wait, seconds) in waits.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
        assert!((seconds * 1000..seconds * 1000 + 50).contains(wait), "{waits:?}");
    }

    store.shows(Sign::Life);
    advance(30 * SECOND).await;
    assert!(breaker.admit().is_none(), "the request that starts the probe doesn't wait for it");
    step().await;
    assert!(breaker.is_closed() && breaker.admit().is_some());
    assert_eq!((breaker.status().state, store.suspensions()), ("closed", vec![true, false]));
    assert_eq!(breaker.cause(), None);

    fail(&breaker, 4);
    assert!(breaker.is_closed(), "the failures before are forgotten");
    fail(&breaker, 1);
    let probes = store.probes();
    advance(SECOND).await;
    assert!(breaker.admit().is_none());
    step().await;
    assert_eq!((store.probes(), breaker.status().opened), (probes + 1, 2));
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn reads_from_before_say_nothing_about_now() {
    let store = Scripted::new(Sign::Life);
    let breaker = over(&store);
    let old: Vec<Leave> = (0..20).map(|_| breaker.admit().unwrap()).collect();
    fail(&breaker, 5);
    breaker.report(old[0], Ok(()));
    assert_eq!(breaker.status().state, "open", "a late success doesn't close it");
    old[1..8].iter().for_each(|leave| breaker.report(*leave, Err(&StoreError::Timeout)));
    assert_eq!(breaker.status().opened, 1);

    advance(SECOND).await;
    assert!(breaker.admit().is_none());
    step().await;
    assert!(breaker.is_closed());
    old[8..].iter().for_each(|leave| breaker.report(*leave, Err(&StoreError::Timeout)));
    assert!(breaker.is_closed(), "late failures don't open it again");
    fail(&breaker, 4);
    assert!(breaker.is_closed(), "nor do they count");
}

#[tokio::test(start_paused = true)]
async fn readiness_comes_by_the_next_probe_of_which_there_is_one_at_a_time() {
    let (store, breaker) = opened(Sign::Error);
    assert!(timeout(SECOND / 2, breaker.ready()).await.is_err());
    assert_eq!(store.probes(), 0, "the distance between probes is kept");
    // As a readiness endpoint does, with no other traffic.
    for _ in 0..8 {
        assert!(timeout(SECOND / 2, breaker.ready()).await.is_err());
    }
    assert_eq!(store.probes(), 2, "after 1 s and after 2 s more");

    store.shows(Sign::Life);
    let waiting = (0..100).map(|_| breaker.ready());
    let ready = timeout(4 * SECOND, join_all(waiting)).await.expect("by the next probe");
    assert!(ready.into_iter().all(|ready| ready));
    assert_eq!((store.probes(), breaker.status().state), (3, "closed"));
    assert!(breaker.ready().await);
    assert_eq!(store.probes(), 3, "while closed there is no probe");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_readiness_when_it_opens_goes_on_by_probes() {
    let store = Scripted::new(Sign::Error);
    let breaker = over(&store);
    let waiting = tokio::spawn({
        let breaker = Arc::clone(&breaker);
        async move { breaker.ready().await }
    });
    step().await;
    fail(&breaker, 5);
    sleep(2 * SECOND).await;
    assert_eq!(store.probes(), 1, "nobody else asks");
    store.shows(Sign::Life);
    assert!(timeout(2 * SECOND, waiting).await.expect("by the second probe").unwrap());
    assert!(breaker.is_closed());
}

#[tokio::test(start_paused = true)]
async fn opening_and_closing_are_told_once_each_and_without_the_failures_text() {
    let (log, _logging) = Log::start();
    let store = Scripted::new(Sign::Error);
    let breaker = over(&store);
    for _ in 0..5 {
        read(&breaker, Err(&StoreError::Connection("redis://u:hunter2@host".to_owned())));
    }
    for _ in 0..10 {
        advance(3 * SECOND).await;
        assert!(breaker.admit().is_none());
        step().await;
    }
    store.shows(Sign::Life);
    advance(30 * SECOND).await;
    assert!(breaker.admit().is_none());
    step().await;
    let text = log.text();
    assert_eq!((text.matches("WARN").count(), text.matches("INFO").count()), (1, 1), "{text}");
    assert!(text.contains("failure=\"connection\"") && !text.contains("hunter2"), "{text}");
}
