//! Reads from a local Redis: `deadpool_redis::Pool` as shipped, with one checkout per `GET`, against [`RedisStore`].
//!
//! `cargo bench --bench redis_path --features test-util`. Both sides read the same entries with 1 KiB bodies from one freshly
//! started server, in turns, and decode and check each, so that only the ratios mean something: the server and both
//! clients share the machine's cores.

#[path = "load/mod.rs"]
mod load;
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use deadpool_redis::redis::cmd;
use deadpool_redis::{Config, Runtime};
use tower_query_cache::{Key, RedisConfig, RedisStore, Store, test_util};

use self::load::{measure, median};
use self::support::RedisServer;

/// Each body repeats its key's number.
const KEYS: u8 = 100;
const VALUE: usize = 1024;
const FIELDS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("etag", "W/\"rxNJufX5oaagQE3qNtzJSQ\""),
    ("date", "Mon, 02 Nov 2026 10:00:00 GMT"),
    ("cache-control", "max-age=60"),
    ("x-frame-options", "DENY"),
];
const ROUNDS: usize = 9;
const LEVELS: [usize; 4] = [1, 10, 64, 256];
/// What both sides may open.
const CONNECTIONS: usize = 10;

fn main() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(compare(&server));
}

/// The reads of one level on one side.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    p50: Vec<Duration>,
}

async fn compare(server: &RedisServer) {
    let pool = Config::from_url(server.url())
        .builder()
        .expect("a pool")
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a pool");
    let mut config = RedisConfig::default();
    config.url = server.url();
    config.max_connections = CONNECTIONS;
    // The other side has no limit at all, and a busy machine shall not end the run.
    config.lookup_timeout = Duration::from_secs(5);
    let store: Arc<dyn Store> = Arc::new(RedisStore::new(&config, "bench").expect("a store"));
    store.ready().await.expect("a connection");

    let keys: Arc<Vec<Key>> = Arc::new((0..KEYS).map(|number| Key::from_bytes([number; 32])).collect());
    for key in keys.iter() {
        let body = Bytes::from(vec![key.as_bytes()[0]; VALUE]);
        let value = test_util::entry(key, FIELDS, body).expect("an entry");
        store.set(key, value, Duration::from_secs(3600)).await.expect("a write");
    }
    // Both sides read the very same keys.
    let names: Arc<Vec<(String, Key)>> = Arc::new(keys.iter().map(|key| (name(key), *key)).collect());

    let shipped = move |number: usize| {
        let (pool, names) = (pool.clone(), Arc::clone(&names));
        async move {
            let (name, key) = &names[number % names.len()];
            let mut connection = pool.get().await.expect("a checkout");
            let value: Option<Vec<u8>> =
                cmd("GET").arg(name).query_async(&mut connection).await.expect("a reply");
            value.is_some_and(|value| check(key, Bytes::from(value)))
        }
    };
    let reader = Arc::clone(&store);
    let lanes = move |number: usize| {
        let (store, keys) = (Arc::clone(&reader), Arc::clone(&keys));
        async move {
            let key = &keys[number % keys.len()];
            store.get(key).await.expect("a reply").is_some_and(|value| check(key, value))
        }
    };

    let mut figures: Vec<(Figures, Figures)> = LEVELS.iter().map(|_| Default::default()).collect();
    for round in 0..=ROUNDS {
        for (level, (theirs, ours)) in LEVELS.iter().zip(&mut figures) {
            let theirs_now = measure(*level, &shipped).await;
            let ours_now = measure(*level, &lanes).await;
            // The first round warms up.
            if round > 0 {
                theirs.add(theirs_now);
                ours.add(ours_now);
            }
        }
    }
    println!("reads/s of {VALUE} B values, median of {ROUNDS} interleaved rounds");
    println!("in flight  deadpool-redis     lanes   ratio");
    for (level, (theirs, ours)) in LEVELS.iter().zip(&mut figures) {
        let (theirs, ours) = (median(&mut theirs.per_second), median(&mut ours.per_second));
        println!("{level:9}  {theirs:14.0}  {ours:8.0}  {:5.2}x", ours / theirs);
    }
    if let Some((theirs, ours)) = figures.first_mut() {
        let seconds = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>();
        let (theirs, ours) = (median(&mut seconds(&theirs.p50)), median(&mut seconds(&ours.p50)));
        println!(
            "p50 at 1 in flight: {:.1} us against {:.1} us, {:.0}%",
            theirs * 1e6,
            ours * 1e6,
            ours / theirs * 100.0
        );
    }
    println!("lanes at the end: {:?}", store.pool());
}

/// What a reader does with a value.
fn check(key: &Key, value: Bytes) -> bool {
    test_util::body(key, value)
        .is_some_and(|body| body.len() == VALUE && body.first() == key.as_bytes().first())
}

/// The name of a key in Redis.
fn name(key: &Key) -> String {
    format!("bench:v1:e:{}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

impl Figures {
    fn add(&mut self, (per_second, p50): (f64, Duration)) {
        self.per_second.push(per_second);
        self.p50.push(p50);
    }
}
