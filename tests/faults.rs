//! Redis fails in the middle of traffic: no request fails or waits long for it, a Redis that is down is left alone, and
//! what it holds is found again once it is back.
#![cfg(feature = "redis")]

mod support;

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Full};
use serde_json::Value;
use support::http::{cache_status, field, get};
use support::proxy::{Commands, Fault, Proxy};
use support::site::{MINUTE, stats};
use support::store::config;
use support::{RedisServer, eventually_within};
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{CacheBody, Policy, QueryCache};

/// Requests while the fault comes, and how many of them are under way at once.
const REQUESTS: usize = 2000;
const IN_FLIGHT: usize = 64;

/// Requests before which the fault must have come.
const MOST: usize = 50 * REQUESTS;

/// Resources that are in Redis when the requests begin: one request in four is for one of them, and the others are for
/// resources that nobody asked for before.
const HOT: usize = 100;

/// The inner service's own time for a resource. With so much of it, and not the same for all, 64 requests in flight leave
/// the machine time to breathe: what is measured is Redis's part, and not the queue for a processor.
fn inner_time(resource: usize) -> Duration {
    Duration::from_millis(30 + resource as u64 * 7 % 32)
}

const LOOKUP_TIMEOUT: Duration = Duration::from_millis(50);

/// No request may take longer over the inner service's time: a bound for the busiest machine, that tells time limits from
/// waiting for Redis. How close the requests come to the lookup limit is printed.
const GROSS: Duration = Duration::from_secs(5);

/// Faults that are measured at once disturb each other's figures.
static LOAD: Mutex<()> = Mutex::const_new(());

type Site = BoxCloneSyncService<Request<Empty<Bytes>>, Response<CacheBody<Full<Bytes>>>, Infallible>;

/// A cache over a Redis behind a proxy. Its memory holds one entry, so that lookups go to Redis.
struct Rig {
    redis: std::sync::Mutex<RedisServer>,
    proxy: Proxy,
    cache: QueryCache,
    site: Site,
}

impl Rig {
    async fn new() -> Self {
        let redis = RedisServer::start();
        let proxy = Proxy::start(redis.port());
        let cache = handle(&proxy).await;
        let site = site(&cache);
        // By another handle, so that this one has nothing in memory.
        let filler = handle(&proxy).await;
        let filling = self::site(&filler);
        for number in 0..HOT {
            ask(&filling, number).await;
        }
        filler.settled().await;
        assert_eq!(redis.keys().len(), HOT);
        Self { redis: redis.into(), proxy, cache, site }
    }

    fn redis(&self) -> MutexGuard<'_, RedisServer> {
        self.redis.lock().unwrap()
    }

    async fn breaker(&self) -> Value {
        stats(&self.cache).await["breaker"].clone()
    }

    async fn probes(&self) -> u64 {
        self.breaker().await["probes"].as_u64().unwrap()
    }

    async fn shared_hits(&self) -> u64 {
        stats(&self.cache).await["hits"]["shared"].as_u64().unwrap()
    }

    /// 2,000 requests, 64 at a time, with the fault put in the middle. Where a busy machine's time-outs had the breaker open
    /// by then there are more: the fault waits until Redis is in use again.
    async fn load(self: &Arc<Self>, fault: impl FnOnce(&Self) + Send + 'static) -> Figures {
        let _alone = LOAD.lock().await;
        let next = Arc::new(AtomicUsize::new(0));
        let end = Arc::new(AtomicUsize::new(MOST));
        let mut fault = Some(fault);
        let mut workers = JoinSet::new();
        for worker in 0..IN_FLIGHT {
            let (rig, next, end) = (Arc::clone(self), Arc::clone(&next), Arc::clone(&end));
            let mut fault = fault.take();
            workers.spawn(async move {
                let mut figures = Figures::default();
                // Clients don't come in step.
                sleep(inner_time(0) * worker as u32 / IN_FLIGHT as u32).await;
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= end.load(Ordering::SeqCst) {
                        return figures;
                    }
                    if number >= REQUESTS / 2
                        && fault.is_some()
                        && rig.breaker().await["state"] == "closed"
                        && let Some(fault) = fault.take()
                    {
                        figures.hits_before = rig.shared_hits().await;
                        let rig = Arc::clone(&rig);
                        spawn_blocking(move || fault(&rig)).await.unwrap();
                        figures.fault = Some(Instant::now());
                        end.store(next.load(Ordering::SeqCst) + REQUESTS / 2, Ordering::SeqCst);
                    }
                    let resource = if number % 4 == 0 { number / 4 % HOT } else { HOT + number };
                    figures.count(&ask(&rig.site, resource).await);
                }
            });
        }
        let mut figures = Figures::default();
        while let Some(worker) = workers.join_next().await {
            figures.add(worker.unwrap());
        }
        figures.over.sort();
        figures
    }

    /// Sends requests until two more probes were started. The commands that came meanwhile, and how many probes were started.
    async fn while_open(&self) -> (Commands, u64) {
        let requests = || async {
            let asked = join_all((0..10).map(|number| ask(&self.site, number))).await;
            assert!(asked.iter().all(|outcome| outcome.right && !outcome.failed));
        };
        eventually_within(MINUTE, "the breaker is open", || async {
            requests().await;
            self.breaker().await["state"] != "closed"
        })
        .await;
        // What was sent before it opened comes to an end.
        self.cache.settled().await;
        let (before, probes) = (self.proxy.commands(), self.probes().await);
        eventually_within(MINUTE, "two probes", || async {
            requests().await;
            let breaker = self.breaker().await;
            assert_ne!(breaker["state"], "closed", "no probe was answered: {breaker}");
            assert_eq!(stats(&self.cache).await["connected"], false);
            breaker["probes"].as_u64().unwrap() >= probes + 2
        })
        .await;
        // The last one may be on its way still.
        (self.proxy.commands_since(&before), self.probes().await - probes)
    }

    /// Sends requests until one is answered from Redis and the breaker is closed. How long after `repaired` that was.
    async fn recovery(&self, repaired: Instant) -> Duration {
        let before = self.shared_hits().await;
        eventually_within(MINUTE, "hits come back by themselves", || async {
            let asked = join_all((0..10).map(|number| ask(&self.site, number))).await;
            assert!(asked.iter().all(|outcome| outcome.right && !outcome.failed));
            self.breaker().await["state"] == "closed" && self.shared_hits().await > before
        })
        .await;
        repaired.elapsed()
    }
}

/// A handle whose defaults are those of the crate, but for its memory, and for the time of a connect that the tests wait for.
async fn handle(proxy: &Proxy) -> QueryCache {
    let mut redis = config(proxy.url());
    redis.connect_timeout = Duration::from_secs(1);
    assert_eq!(redis.lookup_timeout, LOOKUP_TIMEOUT);
    let mut memory = tower_query_cache::MemoryConfig::default();
    memory.max_entries = 1;
    let cache = QueryCache::builder().redis(redis).memory(memory).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}

/// The body of the resource at `path`, of 0 to 8,190 bytes.
fn body_of(path: &str) -> String {
    let number = number_of(path);
    format!("{path};").repeat(number * number % 1639)
}

fn number_of(path: &str) -> usize {
    path.trim_start_matches('/').parse().unwrap()
}

/// An inner service that takes its time, and says how long that was.
fn site(cache: &QueryCache) -> Site {
    let inner = service_fn(|request: Request<Empty<Bytes>>| async move {
        let started = Instant::now();
        let resource = number_of(request.uri().path());
        sleep(inner_time(resource)).await;
        let taken = started.elapsed().as_micros().to_string();
        let body = body_of(request.uri().path());
        Ok::<_, Infallible>(Response::builder().header("x-taken", taken).body(Full::from(body)).unwrap())
    });
    BoxCloneSyncService::new(ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE))).service(inner))
}

/// How a request came out.
struct Outcome {
    failed: bool,
    right: bool,
    /// The request's time beyond that of the inner service, where that was called.
    over: Duration,
}

async fn ask(site: &Site, number: usize) -> Outcome {
    let path = format!("/{number}");
    let started = Instant::now();
    let Ok(response) = site.clone().oneshot(get(&path)).await;
    let failed = response.status() != 200;
    let inner = match cache_status(&response).contains("; hit") {
        true => 0,
        false => field(response.headers(), "x-taken").parse().unwrap_or(0),
    };
    let body = response.into_body().collect().await;
    let over = started.elapsed().saturating_sub(Duration::from_micros(inner));
    match body {
        Ok(body) => Outcome { failed, right: body.to_bytes() == body_of(&path).as_bytes(), over },
        Err(_) => Outcome { failed: true, right: false, over },
    }
}

#[derive(Default)]
struct Figures {
    /// When the fault had come.
    fault: Option<Instant>,
    hits_before: u64,
    failed: usize,
    wrong: usize,
    over: Vec<Duration>,
}

impl Figures {
    fn count(&mut self, outcome: &Outcome) {
        self.failed += usize::from(outcome.failed);
        self.wrong += usize::from(!outcome.right);
        self.over.push(outcome.over);
    }

    fn add(&mut self, other: Self) {
        self.fault = self.fault.or(other.fault);
        self.hits_before += other.hits_before;
        self.failed += other.failed;
        self.wrong += other.wrong;
        self.over.extend(other.over);
    }

    fn permille(&self, permille: usize) -> Duration {
        self.over[(self.over.len() - 1) * permille / 1000]
    }

    fn within(&self, slack: Duration) -> usize {
        self.over.iter().filter(|over| **over <= LOOKUP_TIMEOUT + slack).count()
    }

    fn check(&self) {
        assert_eq!((self.failed, self.wrong), (0, 0));
        assert!((REQUESTS..MOST).contains(&self.over.len()), "{} requests", self.over.len());
        assert!(self.hits_before >= 20, "lookups go to Redis: {}", self.hits_before);
        assert!(self.permille(1000) < LOOKUP_TIMEOUT + GROSS, "{:?}", self.permille(1000));
    }

    fn print(&self, fault: &str, commands: &str, back: Duration, interval: Duration) {
        let millis = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{fault}: {} requests, {} failed, {} wrong, {} hits in Redis before; over the inner service's time p50 {:.1} ms, p99.9 {:.1} ms, max \
             {:.1} ms ({} within 50 + 25 ms, {} within 50 + 250 ms); while open {commands}; hits again {:.2} s after Redis, with probes {interval:?} apart",
            self.over.len(),
            self.failed,
            self.wrong,
            self.hits_before,
            millis(self.permille(500)),
            millis(self.permille(999)),
            millis(self.permille(1000)),
            self.within(Duration::from_millis(25)),
            self.within(Duration::from_millis(250)),
            back.as_secs_f64(),
        );
    }
}

/// A fault that stays until it is taken back: all that must hold.
async fn outlives(
    name: &str,
    fault: impl FnOnce(&Rig) + Send + 'static,
    repair: impl FnOnce(&Rig) + Send + 'static,
) {
    let rig = Arc::new(Rig::new().await);
    let figures = rig.load(fault).await;
    let (commands, probes) = rig.while_open().await;
    let count = |name: &str| commands.get(name).copied().unwrap_or(0);
    let allowed = ["connect", "handshake", "PING", "probe"];
    assert!(commands.keys().all(|name| allowed.contains(&name.as_str())), "{name}: {commands:?}");
    // A new connection's greeting ends with a PING.
    assert!(count("PING") <= count("handshake"), "{name}: {commands:?}");
    // A probe connects once at the most. One may have been under way when the count began, and one when it ended.
    assert!(count("connect") <= probes + 1, "{name}: {commands:?} by {probes} probes");
    assert!(count("probe") <= 3 && count("handshake") <= 6, "{name}: {commands:?}");
    assert!(count("connect") + count("probe") >= probes - 1, "{name}: {commands:?} by {probes} probes");

    let interval = Duration::from_secs((1 << rig.probes().await.min(5)).min(30));
    let repaired = Arc::clone(&rig);
    spawn_blocking(move || repair(&repaired)).await.unwrap();
    let back = rig.recovery(Instant::now()).await;
    figures.print(name, &format!("{commands:?} by {probes} probes"), back, interval);
    figures.check();
    assert!(back < interval + GROSS, "{name}: {back:?}, where probes are {interval:?} apart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed() {
    outlives("killed", |rig| rig.redis().stop(), |rig| rig.redis().restart()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_frozen() {
    outlives("frozen", |rig| rig.redis().pause(), |rig| rig.redis().resume()).await;
}

/// A fault of the proxy's making.
async fn proxied(name: &str, fault: Fault) {
    outlives(name, move |rig| rig.proxy.inject(fault), |rig| rig.proxy.inject(Fault::None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_behind_a_black_hole() {
    proxied("black hole", Fault::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_reset_in_mid_reply() {
    proxied("reset in mid-reply", Fault::CutReplies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_answers_garbage() {
    proxied("garbage", Fault::Garbage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_loading() {
    proxied("loading", Fault::Loading).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_restarted_empty() {
    let rig = Arc::new(Rig::new().await);
    let figures = rig.load(|rig| rig.redis().restart()).await;
    let back = rig.recovery(figures.fault.unwrap()).await;
    // If the breaker opened at all, the first probe found life.
    let interval = Duration::from_secs(1);
    figures.print("restarted empty", "not asked for", back, interval);
    figures.check();
    assert!(back < interval + GROSS, "{back:?}");
}
