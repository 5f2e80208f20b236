//! Damaged entries: what the cache wrote into a real Redis, changed there and read through the real path. A checksum is
//! over the whole entry, so each is a miss; never an answer, never a panic.
//!
//! Exhaustive are the single-byte changes of the smallest entry, all 255 of each byte, and the truncations of every entry,
//! from either end. The bytes of the other values are changed in up to 8 ways each.
#![cfg(feature = "redis")]

mod support;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use support::RedisServer;
use support::http::{cache_status, ok_with};
use support::site::{MINUTE, Site, stats};
use support::store::patient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_query_cache::{MemoryConfig, Policy, QueryCache};

/// Lifetime of all entries, seconds.
const TTL: u64 = 3600;

/// The kind of a Vary record, and where it stands.
const VARY: (usize, u8) = (5, 2);

/// What is stored, and by which request.
const SHAPES: [(&str, &str); 4] =
    [("a small text", "/text"), ("a variant", "/greeting"), ("an empty body", "/empty"), ("a 404", "/gone")];

/// Readers at once, each in a database of its own.
const READERS: usize = 16;

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

/// A connected handle, whose memory tier has room for `bytes`.
async fn handle(url: &str, bytes: u64) -> QueryCache {
    let mut memory = MemoryConfig::default();
    memory.max_bytes = bytes;
    let cache = QueryCache::builder().redis(patient(url.to_owned())).memory(memory).build().unwrap();
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

/// A value that was stored.
struct Stored {
    name: &'static str,
    path: &'static str,
    /// Its key's name in Redis.
    key: String,
    value: Bytes,
}

impl Stored {
    fn is_vary_record(&self) -> bool {
        self.value[VARY.0] == VARY.1
    }
}

/// A site that finds what others stored, and never stores anything itself; over a database of its own, so that many read
/// the same entry at once, each in a state of its own.
struct Reader {
    /// The connection by which the entry is damaged.
    redis: TcpStream,
    cache: QueryCache,
    site: Site,
    path: &'static str,
}

impl Reader {
    /// A reader of `path`, in whose database all of `stored` stand.
    async fn new(redis: &RedisServer, database: usize, path: &'static str, stored: &[Stored]) -> Self {
        let url = format!("{}/{database}", redis.url());
        // The journal goes with its entries.
        let database_name = database.to_string();
        for journal in ["{tqc:v1:j}", "{tqc:v1:j}:h"] {
            if database > 0 {
                let copied = redis.cli(&["COPY", journal, journal, "DB", &database_name, "REPLACE"]);
                assert_eq!(copied, "1");
            }
        }
        let cache = handle(&url, 1).await;
        let site = Site::new(&cache, policy(), |_| ok_with(&[("cache-control", "no-store")], "own"));
        let redis = TcpStream::connect(("127.0.0.1", redis.port())).await.unwrap();
        let mut reader = Self { redis, cache, site, path };
        reader.tell(&[b"SELECT", database.to_string().as_bytes()]).await;
        for stored in stored {
            reader.put(&stored.key, &stored.value).await;
        }
        reader
    }

    /// Sends a command that is answered with `OK`. By hand, as what is sent so often takes its time in a debug build.
    async fn tell(&mut self, command: &[&[u8]]) {
        let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
        for part in command {
            bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
            bytes.extend_from_slice(part);
            bytes.extend_from_slice(b"\r\n");
        }
        self.redis.write_all(&bytes).await.unwrap();
        let mut reply = [0; 5];
        self.redis.read_exact(&mut reply).await.unwrap();
        assert_eq!(&reply, b"+OK\r\n");
    }

    async fn put(&mut self, key: &str, value: &[u8]) {
        self.tell(&[b"SET", key.as_bytes(), value, b"EX", TTL.to_string().as_bytes()]).await;
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
        headers.remove("age");
        headers.remove("cache-status");
        Seen::Hit(Told { status: parts.status, headers, body: body.collect().await.unwrap().to_bytes() })
    }

    /// Tries these damages of a value, each read by a lookup that really asks Redis.
    async fn endure(mut self, target: &Stored, damages: &[(String, Bytes)]) -> Count {
        let (name, key) = (target.name, &target.key);
        let Seen::Hit(right) = self.read().await else { panic!("{name}: what is stored is found") };
        let mut count = Count::default();
        for (damage, bytes) in damages {
            self.put(key, bytes).await;
            count.cases += 1;
            match self.read().await {
                Seen::Miss => count.misses += 1,
                Seen::Hit(told) => {
                    count.hits += 1;
                    println!("{name}, {damage}: {} {:?} {:?}", told.status, told.headers, told.body);
                }
                Seen::Panic => {
                    count.panics += 1;
                    println!("{name}, {damage}: a panic");
                }
            }
            // The removal of what was found damaged must not meet the next case.
            self.cache.settled().await;
        }
        // Nothing of it all stands in the way of what is right.
        self.put(key, &target.value).await;
        assert!(matches!(self.read().await, Seen::Hit(told) if told == right), "{name}");

        let figures = stats(&self.cache).await;
        let noticed = ["corrupt", "foreign"].map(|error| figures["errors"][error].as_u64().unwrap());
        let all: u64 = noticed.iter().sum();
        assert_eq!(all, count.misses, "{name}: every miss was of bytes that came: {figures}");
        assert_eq!(figures["queue"]["written"], noticed[0], "{name}: what is corrupt is removed: {figures}");
        assert_eq!(figures["hits"]["memory"], 0, "{name}: {figures}");
        count
    }
}

/// What became of the cases.
#[derive(Default)]
struct Count {
    cases: u64,
    misses: u64,
    hits: u64,
    panics: u64,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.misses += other.misses;
        self.hits += other.hits;
        self.panics += other.panics;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cases, misses, hits, panics } = self;
        write!(f, "{cases:>6} cases {misses:>6} misses {hits:>3} hits {panics:>3} panics")
    }
}

/// What one byte is changed to: a few values that are likely to be taken for something else, or all.
fn changes(byte: u8, all: bool) -> Vec<u8> {
    let mut changes: Vec<u8> = [0x01, 0x10, 0x80, 0xff].iter().map(|bits| byte ^ bits).collect();
    changes.extend([byte.wrapping_add(1), byte.wrapping_sub(1), 0, 0xff]);
    if all {
        changes.extend(0..=0xff);
    }
    changes.sort_unstable();
    changes.dedup();
    changes.retain(|change| *change != byte);
    changes
}

/// Every value that differs from `value` by one byte, or by some of them.
fn changed(value: &[u8], all: bool) -> Vec<(String, Bytes)> {
    let mut changed = Vec::new();
    for (position, byte) in value.iter().copied().enumerate() {
        for change in changes(byte, all) {
            let mut damaged = value.to_vec();
            damaged[position] = change;
            changed.push((format!("byte {position}: {byte} to {change}"), damaged.into()));
        }
    }
    changed
}

/// `value` cut anywhere, with something behind it, and others in its place.
fn replaced<'a>(value: &[u8], others: impl Iterator<Item = &'a Bytes>) -> Vec<(String, Bytes)> {
    let mut replaced = Vec::new();
    for length in 0..value.len() {
        replaced.push((format!("cut to {length}"), Bytes::copy_from_slice(&value[..length])));
        replaced.push((format!("its last {length}"), Bytes::copy_from_slice(&value[value.len() - length..])));
    }
    let sum = &value[value.len() - 8..];
    for (name, more) in
        [("0", &[0][..]), ("255", &[255]), ("its sum", sum), ("itself", value), ("64 KiB", &[b'x'; 64 << 10])]
    {
        replaced.push((format!("{name} appended"), [value, more].concat().into()));
    }
    replaced.extend(others.map(|other| ("another key's value".to_owned(), other.clone())));
    replaced
}

/// What the cache stores for each shape.
async fn store_all(redis: &RedisServer) -> Vec<Stored> {
    let writer = handle(&redis.url(), 1 << 20).await;
    let site = Site::new(&writer, policy(), origin);
    let mut all: Vec<Stored> = Vec::new();
    for (name, path) in SHAPES {
        let answer = site.get_with(path, &[("accept-language", "de")]).await;
        assert_eq!(cache_status(&answer), "tower-query-cache; fwd=miss; stored", "{name}");
        writer.settled().await;
        for key in redis.keys() {
            let value = redis.call(&[b"GET", key.as_bytes()]).into();
            let mut stored = Stored { name, path, key, value };
            if stored.is_vary_record() {
                stored.name = "a Vary record";
            }
            if all.iter().all(|known| known.value != stored.value) {
                all.push(stored);
            }
        }
    }
    assert_eq!(all.len(), SHAPES.len() + 1, "a variant is two values");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_entry_is_a_miss() {
    let started = Instant::now();
    let redis = RedisServer::start();
    let stored: Arc<[Stored]> = store_all(&redis).await.into();
    let smallest = stored.iter().filter(|stored| !stored.is_vary_record()).map(|it| it.value.len()).min();
    let (mut exhaustive, mut all) = (Count::default(), Count::default());
    for (number, target) in stored.iter().enumerate() {
        let every = !target.is_vary_record() && Some(target.value.len()) == smallest;
        let mut damages = changed(&target.value, every);
        let single = damages.len();
        damages.extend(replaced(
            &target.value,
            stored.iter().map(|other| &other.value).filter(|other| **other != target.value),
        ));
        let mut readers = JoinSet::new();
        for (database, part) in damages.chunks(damages.len().div_ceil(READERS)).enumerate() {
            let reader = Reader::new(&redis, database, target.path, &stored).await;
            let (stored, part) = (Arc::clone(&stored), part.to_vec());
            readers.spawn(async move { reader.endure(&stored[number], &part).await });
        }
        let mut count = Count::default();
        for part in readers.join_all().await {
            count.add(&part);
        }
        println!(
            "{:<15} {:>4} bytes {single:>6} single-byte changes {count}",
            target.name,
            target.value.len()
        );
        if every {
            assert_eq!(single, 255 * target.value.len());
            exhaustive.add(&count);
        }
        all.add(&count);
    }
    println!("{:<15} {:>37} {exhaustive}", "exhaustive", "");
    println!("{:<15} {:>37} {all} in {:?}", "all", "", started.elapsed());
    assert_eq!((all.misses, all.hits, all.panics), (all.cases, 0, 0));
    assert!(exhaustive.cases > 40_000, "{}", exhaustive.cases);
}
