//! A service behind a cache whose shared tier misbehaves on demand: every answer comes, comes in time, and is right.
#![cfg(feature = "test-util")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::Response;
use http_body_util::Full;
use support::http::{cache_status, ok, ok_with, text};
use support::site::{MINUTE, Site, stats};
use support::{eventually, eventually_async};
use tokio::time::{Instant, timeout};
use tower_query_cache::test_util::{Fault, FaultCounts, FaultStore, MemoryStore, Operation};
use tower_query_cache::{
    CacheBuilder, Key, MemoryConfig, Policy, QueryCache, RedisConfig, Store, StoreError,
};

/// What a lookup may take over its limit; only timers go off in between.
const TICK: Duration = Duration::from_millis(5);

/// The default limit of a lookup.
const LOOKUP: Duration = Duration::from_millis(50);

/// The one right body of a path, so that a mix-up can't hide.
fn body_of(path: &str) -> String {
    format!("{path} ").repeat(40)
}

fn echo(parts: &http::request::Parts) -> Response<Full<Bytes>> {
    ok(body_of(parts.uri.path()))
}

/// Another cached site over the same store, by a cache that has faults before it and keeps nothing in memory.
struct Shop {
    faults: FaultStore,
    cache: QueryCache,
    site: Site,
}

fn builder() -> CacheBuilder {
    let mut memory = MemoryConfig::default();
    memory.max_bytes = 1;
    QueryCache::builder().app("shop").memory(memory)
}

impl Shop {
    fn new(inner: Arc<dyn Store>, handler: fn(&http::request::Parts) -> Response<Full<Bytes>>) -> Self {
        Self::with(builder(), inner, handler)
    }

    fn with(
        builder: CacheBuilder,
        inner: Arc<dyn Store>,
        handler: fn(&http::request::Parts) -> Response<Full<Bytes>>,
    ) -> Self {
        let faults = FaultStore::new(inner);
        let cache = builder.store(Arc::new(faults.clone())).build().unwrap();
        let site = Site::new(&cache, Policy::ttl(MINUTE), handler);
        Self { faults, cache, site }
    }

    /// Over a store of its own that has an answer for every path from `/0` on.
    async fn stocked(paths: usize) -> Self {
        let inner: Arc<dyn Store> = Arc::new(MemoryStore::new(10_000));
        stock(&inner, paths).await;
        Self::new(inner, echo).ready().await
    }

    /// It has read the journal, before which nothing is read from the store.
    async fn ready(self) -> Self {
        assert!(self.cache.ready(MINUTE).await);
        self
    }

    /// Asks for a path. Whether it was a hit; the answer is right.
    async fn ask(&self, path: &str) -> bool {
        let answer = timeout(MINUTE, self.site.get(path)).await.expect("an answer, some time");
        assert_eq!(answer.status(), 200, "{path}");
        let is_hit = cache_status(&answer).contains("; hit");
        assert_eq!(text(answer).await, body_of(path));
        is_hit
    }

    /// Asks for so many paths, one after the other; which were hits.
    async fn ask_all(&self, paths: usize) -> Vec<bool> {
        let mut hits = Vec::new();
        for number in 0..paths {
            hits.push(self.ask(&format!("/{number}")).await);
        }
        hits
    }

    /// Waits for fills and writes.
    async fn settled(&self) {
        timeout(MINUTE, self.cache.settled()).await.expect("an end, some time");
    }

    /// Lifts all faults, and waits for hits.
    async fn recover(&self) {
        self.faults.clear();
        eventually_async("hits come back", || self.ask("/0")).await;
    }

    fn struck(&self, operation: Operation) -> u64 {
        self.faults.counts().struck(operation)
    }
}

/// Has another cache fill the store.
async fn stock(inner: &Arc<dyn Store>, paths: usize) {
    let cache = builder().store(Arc::clone(inner)).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let site = Site::new(&cache, Policy::ttl(MINUTE), echo);
    for number in 0..paths {
        site.get(&format!("/{number}")).await;
    }
    cache.settled().await;
}

#[tokio::test(start_paused = true)]
async fn lookups_that_fail_are_misses() {
    for error in [
        StoreError::Timeout,
        StoreError::Unavailable,
        StoreError::Connection("reset".to_owned()),
        StoreError::Server("LOADING".to_owned()),
    ] {
        let shop = Shop::stocked(5).await;
        shop.faults.inject(Fault::error(error.clone()).on([Operation::Get]).times(3));
        assert_eq!(shop.ask_all(5).await, [false, false, false, true, true], "{error}");
        assert_eq!((shop.site.calls(), shop.struck(Operation::Get)), (3, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn lookups_that_hang_cost_the_lookup_timeout_at_most() {
    let shop = Shop::stocked(20).await;
    shop.faults.inject(Fault::hang().on([Operation::Get]));
    let mut longest = Duration::ZERO;
    for number in 0..20 {
        let started = Instant::now();
        assert!(!shop.ask(&format!("/{number}")).await);
        longest = longest.max(started.elapsed());
    }
    assert!(longest <= LOOKUP + TICK, "{longest:?}");
    assert_eq!(shop.faults.hanging(), 0, "nobody waits for them any more");
    assert!(shop.struck(Operation::Get) >= 5);
    println!("hangs: 20 requests answered, the longest in {longest:?}");
    shop.recover().await;
}

#[tokio::test(start_paused = true)]
async fn a_hang_that_is_lifted_in_time_is_a_hit() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new(100));
    stock(&inner, 1).await;
    let mut times = RedisConfig::default();
    times.lookup_timeout = MINUTE;
    let shop = Shop::with(builder().redis(times), inner, echo).ready().await;
    let hang = shop.faults.inject(Fault::hang().on([Operation::Get]));
    let (is_hit, ()) = futures_util::future::join(shop.ask("/0"), async {
        eventually("it hangs", || shop.faults.hanging() == 1).await;
        hang.lift();
    })
    .await;
    assert!(is_hit);
}

#[tokio::test(start_paused = true)]
async fn every_second_lookup_is_late() {
    for (delay, hits) in
        [(Duration::from_millis(30), [true; 6]), (2 * LOOKUP, [true, false, true, false, true, false])]
    {
        let shop = Shop::stocked(6).await;
        shop.faults.inject(Fault::delay(delay).on([Operation::Get]).every(2));
        let started = Instant::now();
        assert_eq!(shop.ask_all(6).await, hits);
        let late = started.elapsed();
        assert!(late >= 3 * delay.min(LOOKUP) && late <= 3 * (delay.min(LOOKUP) + TICK), "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_full_still_answers_lookups() {
    let shop = Shop::stocked(5).await;
    shop.faults.inject(Fault::error(StoreError::Server("OOM".to_owned())).on([Operation::Set]));
    assert_eq!(shop.ask_all(8).await, [true, true, true, true, true, false, false, false]);
    shop.settled().await;
    assert_eq!(stats(&shop.cache).await["queue"]["failed"], 3);
    assert_eq!(shop.struck(Operation::Set), 3);
    assert!(!shop.ask("/7").await, "it wasn't stored");
    shop.settled().await;
    shop.recover().await;
    shop.ask("/7").await;
    shop.settled().await;
    assert!(shop.ask("/7").await);
}

#[tokio::test(start_paused = true)]
async fn an_outage_for_some_keys_leaves_the_others() {
    let shop = Shop::stocked(6).await;
    let first: Arc<Mutex<Option<Key>>> = Arc::default();
    let key_of_0 = Arc::clone(&first);
    let fault = Fault::error(StoreError::Unavailable).on([Operation::Get]);
    shop.faults.inject(fault.for_keys(move |key| key_of_0.lock().unwrap().get_or_insert(*key) == key));
    assert_eq!(shop.ask_all(6).await, [false, true, true, true, true, true]);
    assert_eq!(shop.ask_all(6).await, [false, true, true, true, true, true]);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_corrupted_is_never_an_answer() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new(100));
    stock(&inner, 2).await;
    // The handler's own answers are right too, and never stored: what there is to read stays as it is.
    let shop =
        Shop::new(inner, |parts| ok_with(&[("cache-control", "no-store")], &body_of(parts.uri.path())));
    let shop = shop.ready().await;
    shop.faults.inject(Fault::error(StoreError::Server("NOPERM".to_owned())).on([Operation::Remove]));
    assert_eq!(shop.ask_all(2).await, [true, true]);

    // An entry's head is below 300 bytes; past the end, the count of bytes starts again and cuts are at the last byte.
    let length = body_of("/0").len() + 300;
    let corruptions = (0..length).flat_map(|at| [Fault::changed_byte(at), Fault::cut(at)]);
    let mut misses = 0_u64;
    for fault in corruptions.chain([Fault::other_keys_value()]) {
        let fault = shop.faults.inject(fault);
        assert!(!shop.ask("/0").await, "{fault:?}");
        fault.lift();
        misses += 1;
        shop.settled().await;
    }
    assert_eq!(shop.struck(Operation::Get), misses);
    // One byte tells the version: changed, it makes the entry a foreign one, which is no less a miss.
    let errors = &stats(&shop.cache).await["errors"];
    let counted = errors["corrupt"].as_u64().unwrap() + errors["foreign"].as_u64().unwrap();
    assert_eq!(counted, misses, "{errors}");
    println!("corruption: {misses} changed, cut or mixed-up values, each a miss; {errors}");
    assert_eq!(shop.ask_all(2).await, [true, true], "what is stored is whole");
}

/// What may be stored of a body, bytes.
const BODY: usize = 1000;

/// A body that for some paths is too long to be stored, so that the lease for it is given back without a value.
fn sometimes_long(path: &str) -> String {
    body_of(path).repeat(if path.ends_with('7') { BODY } else { 1 })
}

#[tokio::test(start_paused = true)]
async fn leases_that_fail_cost_no_answer() {
    use Operation::{Acquire, Commit, GivenBack, Release};
    let oom = || Fault::error(StoreError::Server("OOM".to_owned()));
    let faults = [Acquire, Commit, Release, GivenBack].into_iter().flat_map(|operation| {
        let faults = [oom(), Fault::hang(), Fault::delay(2 * LOOKUP), Fault::any().chance(0.5)];
        faults.map(|fault| (operation, fault.on([operation])))
    });
    for (operation, fault) in faults {
        let store = FaultStore::new(Arc::new(MemoryStore::new(1000)));
        let mut times = RedisConfig::default();
        times.write_timeout = Duration::from_millis(100);
        // As two processes: handles share nothing but the store.
        let caches =
            [(); 2].map(|()| builder().redis(times.clone()).store(Arc::new(store.clone())).build().unwrap());
        let sites = caches.each_ref().map(|cache| {
            let policy = Policy::ttl(MINUTE).lease(Duration::from_secs(2)).max_body(BODY);
            Site::new(cache, policy, |parts| ok(sometimes_long(parts.uri.path())))
        });
        store.inject(fault);
        let mut longest = Duration::ZERO;
        for number in 0..20 {
            let path = format!("/{number}");
            let started = Instant::now();
            let both = futures_util::future::join_all(sites.iter().map(|site| site.get(&path)));
            for answer in timeout(MINUTE, both).await.expect("an answer, some time") {
                assert_eq!(answer.status(), 200);
                assert_eq!(text(answer).await, sometimes_long(&path));
            }
            longest = longest.max(started.elapsed());
        }
        for cache in &caches {
            timeout(MINUTE, cache.settled()).await.expect("an end, some time");
        }
        let counts = store.counts();
        println!(
            "{operation:?}: 40 requests, {} of {} operations struck, the longest request {longest:?}",
            counts.struck(operation),
            counts.came(operation)
        );
        assert!(counts.struck(operation) > 0, "{operation:?} {counts:?}");
        assert!(longest < Duration::from_secs(3), "{longest:?}");
    }
}

/// Requests until the store has seen so many operations, one of ten of which goes wrong; the counters, and the hits.
async fn chaos(seed: u64, operations: u64) -> (FaultCounts, usize) {
    let shop = Shop::stocked(50).await;
    shop.faults.inject(Fault::any().chance(0.1).seed(seed));
    let (mut number, mut hits) = (0_usize, 0);
    while shop.faults.counts().all_came() < operations {
        // New paths come up among those that are stored.
        let path = format!("/{}", number * 7 % (50 + number / 10));
        let started = Instant::now();
        hits += usize::from(shop.ask(&path).await);
        assert!(started.elapsed() <= LOOKUP + TICK, "{:?}", started.elapsed());
        shop.settled().await;
        number += 1;
    }
    let counts = shop.faults.counts();
    println!(
        "seed {seed}: {number} requests, {hits} hits, {} operations struck, 0 wrong",
        counts.all_struck()
    );
    shop.recover().await;
    (counts, hits)
}

#[tokio::test(start_paused = true)]
async fn in_chaos_every_answer_is_right_and_the_seed_tells_which_faults() {
    let mut runs = Vec::new();
    for seed in 0..5 {
        let (counts, hits) = chaos(seed, 2000).await;
        assert!(counts.all_struck() > 100 && hits > 500, "{hits} hits, {counts:?}");
        assert_eq!(chaos(seed, 2000).await, (counts.clone(), hits), "the same again");
        runs.push(counts);
    }
    for (number, run) in runs.iter().enumerate() {
        assert!(!runs[..number].contains(run), "two seeds, two sequences");
    }
}

/// Faults of every kind, each for a part of the requests that are under way.
fn every_fault() -> Vec<Fault> {
    vec![
        Fault::error(StoreError::Timeout),
        Fault::error(StoreError::Connection("reset".to_owned())).every(2),
        Fault::error(StoreError::Server("OOM".to_owned())).on([Operation::Set, Operation::Remove]),
        Fault::delay(Duration::from_millis(30)).every(3),
        Fault::hang().on([Operation::Get]).every(4),
        Fault::hang(),
        Fault::changed_byte(100).every(2),
        Fault::cut(50),
        Fault::other_keys_value(),
        Fault::any().chance(0.1).seed(42),
    ]
}

/// 200 requests under each fault, and as many without any; how many there were.
async fn through_every_fault(shop: &Shop) -> usize {
    let asked = AtomicUsize::new(0);
    let some = async || {
        let requests = (0..200).map(|_| async {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            shop.ask(&format!("/{}", number * 7 % (50 + number / 10))).await;
        });
        futures_util::stream::iter(requests).buffer_unordered(64).count().await;
    };
    for fault in every_fault() {
        let injected = shop.faults.inject(fault);
        some().await;
        injected.lift();
        some().await;
        shop.recover().await;
    }
    shop.settled().await;
    asked.into_inner()
}

#[tokio::test(start_paused = true)]
async fn faults_come_and_go_while_the_service_runs() {
    let shop = Shop::stocked(50).await;
    let asked = through_every_fault(&shop).await;
    println!(
        "{asked} requests, 64 in flight, {} operations struck, 0 failed",
        shop.faults.counts().all_struck()
    );
    assert_eq!(asked, 4000);
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn the_same_over_a_real_redis() {
    use support::store::patient;
    use support::{RedisServer, store};

    let redis = RedisServer::start();
    let inner: Arc<dyn Store> = store::connected(&redis).await;
    stock(&inner, 50).await;
    // The cache keeps the limit that the store behind has loosened.
    let mut times = patient(redis.url());
    times.lookup_timeout = LOOKUP;
    let shop = Shop::with(builder().redis(times), inner, echo);
    let asked = through_every_fault(&shop).await;
    let counts = shop.faults.counts();
    println!("Redis: {asked} requests, 64 in flight, {} operations struck, 0 failed", counts.all_struck());
    assert_eq!(asked, 4000);
    for operation in [Operation::Get, Operation::Set] {
        assert!(counts.struck(operation) > 0, "{operation:?}");
    }
    assert!(redis.keys().len() > 50, "what was filled meanwhile is stored");
}
