//! Damaged entries: every single-byte change, every truncation and more of what the cache wrote into a real Redis, read
//! through the real path. Each is a miss or the same answer, never another answer, never a panic.
#![cfg(feature = "redis")]

mod support;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use support::RedisServer;
use support::http::{cache_status, field, ok_with};
use support::site::{MINUTE, Site, stats};
use support::store::patient;
use tokio::time::Instant;
use tower_query_cache::{Key, MemoryConfig, Policy, QueryCache, RedisStore, Store as _};

/// Lifetime of all entries, seconds.
const TTL: u64 = 3600;

/// Where an entry's key stands in it.
const KEY: std::ops::Range<usize> = 6..38;

/// The kind of a Vary record, and where it stands.
const VARY: (usize, u8) = (5, 2);

/// What is stored, and by which request.
const SHAPES: [(&str, &str); 4] =
    [("a small text", "/text"), ("a variant", "/greeting"), ("an empty body", "/empty"), ("a 404", "/gone")];

fn policy() -> Policy {
    let ttl = Duration::from_secs(TTL);
    Policy::ttl(ttl).negative_ttl(StatusCode::NOT_FOUND, ttl)
}

/// The answers that are stored.
fn origin(parts: &Parts) -> Response<Full<Bytes>> {
    match parts.uri.path() {
        "/text" => {
            let fields = [("content-type", "text/plain"), ("link", "<a>"), ("link", "<b>"), ("x-part", "7")];
            ok_with(&fields, "an answer of a few words")
        }
        "/greeting" => ok_with(&[("vary", "accept-language")], "hallo"),
        "/empty" => ok_with(&[("etag", "\"nothing\"")], ""),
        _ => {
            let mut gone = ok_with(&[("content-type", "text/plain")], "no such page");
            *gone.status_mut() = StatusCode::NOT_FOUND;
            gone
        }
    }
}

/// A connected handle, whose memory tier has room for nothing if it is `forgetful`.
async fn handle(redis: &RedisServer, forgetful: bool) -> QueryCache {
    let mut memory = MemoryConfig::default();
    if forgetful {
        memory.max_bytes = 1;
    }
    let cache = QueryCache::builder().redis(patient(redis.url())).memory(memory).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    cache
}

/// An answer without what tells the time of it.
#[derive(PartialEq)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What a lookup comes to.
enum Seen {
    Hit(Told),
    Miss,
    Panic,
}

/// A site that finds what others stored, and never stores anything itself.
struct Reader {
    cache: QueryCache,
    site: Site,
    path: &'static str,
}

impl Reader {
    async fn new(redis: &RedisServer, path: &'static str) -> Self {
        let cache = handle(redis, true).await;
        let site = Site::new(&cache, policy(), |_| ok_with(&[("cache-control", "no-store")], "own"));
        Self { cache, site, path }
    }

    async fn read(&self) -> Seen {
        let asked = self.site.get_with(self.path, &[("accept-language", "de")]);
        let Ok(answer) = AssertUnwindSafe(asked).catch_unwind().await else {
            return Seen::Panic;
        };
        if cache_status(&answer) == "tower-query-cache; fwd=miss; detail=no-store" {
            return Seen::Miss;
        }
        let (parts, body) = answer.into_parts();
        let mut headers = parts.headers;
        let ttl: u64 = field(&headers, "cache-status").rsplit('=').next().unwrap().parse().unwrap();
        let age: u64 = field(&headers, "age").parse().unwrap();
        // The test takes less than ten minutes: an entry that is older or fresher than that has other times.
        let times_hold = age <= 600 && (TTL - 600..=TTL).contains(&ttl);
        headers.remove("age");
        headers.remove("cache-status");
        if !times_hold {
            headers.insert("x-times", format!("age {age}, ttl {ttl}").parse().unwrap());
        }
        Seen::Hit(Told { status: parts.status, headers, body: body.collect().await.unwrap().to_bytes() })
    }
}

/// What became of the cases.
#[derive(Default)]
struct Count {
    cases: u64,
    misses: u64,
    same: u64,
    wrong: u64,
    panics: u64,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.misses += other.misses;
        self.same += other.same;
        self.wrong += other.wrong;
        self.panics += other.panics;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, misses, same, wrong, panics } = self;
        write!(f, "{cases:>6} cases {misses:>6} misses {same:>3} same {wrong:>3} wrong {panics:>3} panics")
    }
}

/// Every damage that is tried on `value`.
fn damages(value: &[u8], others: &[Bytes]) -> Vec<(String, Bytes)> {
    let mut damages = Vec::new();
    for (position, byte) in value.iter().copied().enumerate() {
        let mut changes: Vec<u8> = [0x01, 0x10, 0x80, 0xff].iter().map(|bits| byte ^ bits).collect();
        changes.extend([byte.wrapping_add(1), byte.wrapping_sub(1), 0, 0xff]);
        changes.sort_unstable();
        changes.dedup();
        for change in changes.into_iter().filter(|change| *change != byte) {
            let mut damaged = value.to_vec();
            damaged[position] = change;
            damages.push((format!("byte {position}: {byte} to {change}"), damaged.into()));
        }
    }
    for length in 0..value.len() {
        damages.push((format!("cut to {length}"), Bytes::copy_from_slice(&value[..length])));
        damages.push((format!("its last {length}"), Bytes::copy_from_slice(&value[value.len() - length..])));
    }
    let sum = &value[value.len() - 8..];
    for (name, more) in
        [("0", &[0][..]), ("255", &[255]), ("its sum", sum), ("itself", value), ("64 KiB", &[b'x'; 64 << 10])]
    {
        damages.push((format!("{name} appended"), [value, more].concat().into()));
    }
    damages.extend(others.iter().map(|other| ("another key's value".to_owned(), other.clone())));
    damages
}

/// Tries every damage of a value, each read by a lookup that really asks Redis.
async fn damage(name: &str, reader: &Reader, store: &RedisStore, value: &Bytes, others: &[Bytes]) -> Count {
    let key = Key::from_bytes(value[KEY].try_into().unwrap());
    let put = async |value: &Bytes| store.set(&key, value.clone(), Duration::from_secs(TTL)).await.unwrap();
    let Seen::Hit(right) = reader.read().await else { panic!("{name}: what is stored is found") };
    let mut count = Count::default();
    for (damage, bytes) in damages(value, others) {
        put(&bytes).await;
        count.cases += 1;
        match reader.read().await {
            Seen::Miss => count.misses += 1,
            Seen::Hit(told) if told == right => count.same += 1,
            Seen::Hit(told) => {
                count.wrong += 1;
                println!("{name}, {damage}: {} {:?} {:?}", told.status, told.headers, told.body);
            }
            Seen::Panic => {
                count.panics += 1;
                println!("{name}, {damage}: a panic");
            }
        }
        // The removal of what was found damaged must not meet the next case.
        reader.cache.settled().await;
    }
    // Nothing of it all stands in the way of what is right.
    put(value).await;
    assert!(matches!(reader.read().await, Seen::Hit(told) if told == right), "{name}");

    let figures = stats(&reader.cache).await;
    let noticed = ["corrupt", "foreign"].map(|error| figures["errors"][error].as_u64().unwrap());
    assert_eq!(
        noticed.iter().sum::<u64>(),
        count.misses,
        "{name}: every miss was of bytes that came: {figures}"
    );
    assert_eq!(figures["queue"]["written"], noticed[0], "{name}: what is corrupt is removed: {figures}");
    assert_eq!(figures["hits"]["memory"], 0, "{name}: {figures}");
    println!("{name:<15} {:>4} bytes {count}", value.len());
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_entry_is_a_miss_or_the_same_answer() {
    let started = Instant::now();
    let redis = RedisServer::start();
    let writer = handle(&redis, false).await;
    let site = Site::new(&writer, policy(), origin);
    let mut values: Vec<(&str, &str, Bytes)> = Vec::new();
    for (name, path) in SHAPES {
        let stored = site.get_with(path, &[("accept-language", "de")]).await;
        assert_eq!(cache_status(&stored), "tower-query-cache; fwd=miss; stored", "{name}");
        writer.settled().await;
        for key in redis.keys() {
            let value = Bytes::from(redis.call(&[b"GET", key.as_bytes()]));
            if values.iter().all(|(_, _, known)| *known != value) {
                let name = if value[VARY.0] == VARY.1 { "a Vary record" } else { name };
                values.push((name, path, value));
            }
        }
    }
    assert_eq!(values.len(), SHAPES.len() + 1, "a variant is two values");

    let store = RedisStore::new(&patient(redis.url()), "tqc").unwrap();
    store.ready().await.unwrap();
    let mut all = Count::default();
    for (name, path, value) in &values {
        let reader = Reader::new(&redis, path).await;
        let others = values.iter().map(|(_, _, other)| other).filter(|other| *other != value).cloned();
        all.add(&damage(name, &reader, &store, value, &others.collect::<Vec<_>>()).await);
    }
    println!("{:<15} {:>10} {all} in {:?}", "all", "", started.elapsed());
    assert_eq!((all.wrong, all.panics), (0, 0));
    assert_eq!(all.misses + all.same, all.cases);
    assert!(all.cases > 5000, "{}", all.cases);
}
