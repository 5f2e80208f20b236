//! What purges and tags cost, at scale.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::Full;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower_query_cache::{CacheTags, MemoryConfig, Policy, QueryCache};

use crate::support::RedisServer;
use crate::support::site::{MINUTE, Site, stats};
use crate::team::config;

const STREAM: &str = "{tqc:v1:j}";

/// One at a time: they would slow each other.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Entries, and purged tags, of the large cases.
const MANY: usize = 100_000;

/// A node that stores as much as these tests need, and a site with these tags on every page.
async fn node(server: &RedisServer, tags: &'static [&'static str]) -> (QueryCache, Site) {
    let cache = ready(server).await;
    let site = site(&cache, move |response| {
        if !tags.is_empty() {
            response.extensions_mut().insert(CacheTags::new(tags.iter().copied()));
        }
    });
    (cache, site)
}

async fn ready(server: &RedisServer) -> QueryCache {
    let mut redis = config(server.url());
    redis.queue_entries = 2 * MANY;
    redis.queue_bytes = 1 << 30;
    let mut memory = MemoryConfig::default();
    (memory.max_entries, memory.max_bytes) = (2 * MANY, 1 << 30);
    let cache = QueryCache::builder().redis(redis).memory(memory).build().unwrap();
    assert!(cache.ready(Duration::from_secs(60)).await);
    cache
}

/// Pages, finished by `finish`.
fn site(cache: &QueryCache, finish: impl Fn(&mut Response<Full<Bytes>>) + Send + Sync + 'static) -> Site {
    Site::new(cache, Policy::ttl(10 * MINUTE), move |_| {
        let mut response = Response::new(Full::new(Bytes::from_static(b"page")));
        finish(&mut response);
        response
    })
}

/// Gets this many pages, 64 at once.
async fn get_all(site: &Site, pages: usize) {
    let requests = futures_util::stream::iter(0..pages).map(|page| {
        let site = site.clone();
        async move { site.get(&format!("/{page}")).await }
    });
    requests.buffer_unordered(64).for_each(|answer| async move { assert_eq!(answer.status(), 200) }).await;
}

/// A number from `INFO`.
fn info(server: &RedisServer, name: &str) -> i64 {
    let info = server.cli(&["INFO", "all"]);
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a figure");
    value.trim().parse().unwrap()
}

/// Calls of a command since the last reset.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let info = server.cli(&["INFO", "commandstats"]);
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_purge_of_a_tag_lets_go_of_100_000_entries() {
    let _alone = ALONE.lock().await;
    let server = RedisServer::start();
    let (cache, site) = node(&server, &["pages"]).await;
    let start = Instant::now();
    get_all(&site, MANY).await;
    cache.settled().await;
    println!("{MANY} entries filled and stored in {:?}", start.elapsed());
    let stored: usize = server.cli(&["DBSIZE"]).parse().unwrap();
    assert!(stored >= MANY, "{stored}: {}", stats(&cache).await);
    get_all(&site, MANY / 10).await;
    assert_eq!(site.calls(), MANY, "they are hits");

    server.cli(&["CONFIG", "RESETSTAT"]);
    let start = Instant::now();
    let purged = cache.purge_tag("pages").await.unwrap();
    println!("one purge of their tag: {:?}", start.elapsed());
    assert!(!purged.everything);
    assert_eq!((calls(&server, "xadd"), calls(&server, "unlink"), calls(&server, "del")), (1, 0, 0));
    let left: usize = server.cli(&["DBSIZE"]).parse().unwrap();
    assert_eq!(left, stored, "nothing is deleted");
    // The same pages, but none of them is stored again.
    let after = self::site(&cache, |response| {
        response.headers_mut().insert("cache-control", "no-store".parse().unwrap());
    });
    let start = Instant::now();
    get_all(&after, MANY).await;
    println!("and {MANY} misses after it in {:?}", start.elapsed());
    assert_eq!(after.calls(), MANY, "not one is served");
    assert_eq!(calls(&server, "xadd"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purges_and_tags_cost_little_memory_in_redis() {
    const PURGES: usize = 10_000;
    const PAGES: usize = 5_000;
    let _alone = ALONE.lock().await;
    let server = RedisServer::start();
    let (cache, _) = node(&server, &[]).await;
    let usage = || server.cli(&["MEMORY", "USAGE", STREAM, "SAMPLES", "0"]).parse::<f64>().unwrap();
    let (stream, used) = (usage(), info(&server, "used_memory"));
    let start = Instant::now();
    for number in 0..PURGES {
        assert!(!cache.purge_tag(format!("tag:{number}")).await.unwrap().everything);
    }
    let each = start.elapsed() / PURGES as u32;
    let of_stream = (usage() - stream) / PURGES as f64;
    let of_all = (info(&server, "used_memory") - used) as f64 / PURGES as f64;
    println!("a purge of one tag: {each:?}, {of_stream:.1} bytes of stream, {of_all:.1} bytes in all");
    assert!(of_stream < 200.0 && of_all < 250.0);

    let mut sizes = Vec::new();
    for tags in [&[][..], &["product:42", "shop:7", "language:en", "prices"]] {
        server.cli(&["FLUSHALL"]);
        let (cache, site) = node(&server, tags).await;
        let used = info(&server, "used_memory");
        get_all(&site, PAGES).await;
        cache.settled().await;
        assert!(server.cli(&["DBSIZE"]).parse::<usize>().unwrap() >= PAGES);
        let size = (info(&server, "used_memory") - used) as f64 / PAGES as f64;
        let key = server.keys().into_iter().find(|key| key.starts_with("tqc:v1:e:")).unwrap();
        let value = server.cli(&["STRLEN", &key]);
        println!("an entry with {} tags of its own: {size:.1} bytes in Redis, its value {value}", tags.len());
        sizes.push((size, value.parse::<i64>().unwrap()));
    }
    let [(_, without), (_, with)] = sizes[..] else { unreachable!() };
    println!("4 tags: {} bytes of the value", with - without);
    assert!((with - without) <= 4 * 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_catches_up_with_100_000_purged_tags_when_it_starts() {
    let _alone = ALONE.lock().await;
    let server = RedisServer::start();
    let (cache, _) = node(&server, &[]).await;
    let entry = server.cli(&["XRANGE", STREAM, "-", "+", "COUNT", "1"]);
    let epoch = entry.lines().skip_while(|line| *line != "e").nth(1).expect("an epoch").to_owned();
    write_purges(&server, &epoch, MANY);
    assert!(server.cli(&["XLEN", STREAM]).parse::<usize>().unwrap() > MANY);

    drop(cache);

    // Without optimisation all takes longer; and other work on the machine is none of the node's.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 1 });
    let mut best = Duration::MAX;
    for _ in 0..10 {
        let start = Instant::now();
        let (late, _) = node(&server, &[]).await;
        let took = start.elapsed();
        let journal = stats(&late).await["journal"].clone();
        assert!(journal["tags"].as_u64().unwrap() >= 50_000, "{journal}");
        assert_eq!((&journal["junk"], &journal["epochs"]), (&0.into(), &0.into()), "{journal}");
        println!("a new node knows {} purged tags after {took:?}", journal["tags"]);
        best = best.min(took);
        if best < limit {
            break;
        }
    }
    assert!(best < limit, "{best:?}");
}

/// Appends as many purges of a tag each, in one go.
fn write_purges(server: &RedisServer, epoch: &str, count: usize) {
    let mut commands = String::new();
    for number in 0..count {
        let (nonce, tag) = (format!("{number:016x}"), format!("{:016x}", number + (1 << 40)));
        let parts = ["XADD", STREAM, "*", "v", "1", "n", &nonce, "e", epoch, "t", &tag];
        commands.push_str(&format!("*{}\r\n", parts.len()));
        for part in parts {
            commands.push_str(&format!("${}\r\n{part}\r\n", part.len()));
        }
    }
    commands.push_str("*1\r\n$4\r\nQUIT\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let mut replies = stream.try_clone().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        replies.read_to_string(&mut text).unwrap();
        text
    });
    stream.write_all(commands.as_bytes()).unwrap();
    let text = reader.join().unwrap();
    assert!(!text.contains("-ERR") && text.ends_with("+OK\r\n"));
}
