//! What strict reads cost: hits in memory and in Redis under [`Policy::strict`], beside the same hits without.
//!
//! `cargo bench --bench strict_reads` prints medians of interleaved rounds; quote the ratios: server and client share the
//! machine's cores.

#[path = "load/mod.rs"]
mod load;
#[path = "../tests/support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tower::{Service as _, ServiceBuilder, service_fn};
use tower_query_cache::{MemoryConfig, Policy, QueryCache, RedisConfig};

use self::load::{measure, median};
use self::support::RedisServer;

const PAGES: usize = 100;
const ROUNDS: usize = 9;
const LEVELS: [usize; 4] = [1, 10, 64, 256];
const HOUR: Duration = Duration::from_secs(3600);

fn main() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(compare(&server));
}

/// A handle whose memory holds so many entries.
async fn handle(server: &RedisServer, entries: usize) -> QueryCache {
    let mut redis = RedisConfig::default();
    redis.url = server.url();
    // A busy machine shall not end the run.
    redis.lookup_timeout = Duration::from_secs(5);
    let mut memory = MemoryConfig::default();
    memory.max_entries = entries;
    let cache = QueryCache::builder().app("bench").memory(memory).redis(redis).build().expect("a handle");
    assert!(cache.ready(Duration::from_secs(10)).await, "Redis");
    cache
}

/// Hits under a policy. Each must be one.
fn hits(
    cache: &QueryCache,
    policy: Policy,
) -> impl Fn(usize) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send>> + Clone + Send + 'static {
    let origin = service_fn(|_: Request<Empty<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; 1024]))))
    });
    let service = ServiceBuilder::new().layer(cache.layer(policy)).service(origin);
    move |number| {
        let mut service = service.clone();
        Box::pin(async move {
            let request = Request::get(format!("/{}", number % PAGES)).body(Empty::new()).expect("a request");
            let Ok(response) = service.call(request).await;
            let status = response.headers().get("cache-status").and_then(|status| status.to_str().ok());
            status.is_some_and(|status| status.contains("; hit; "))
        })
    }
}

async fn compare(server: &RedisServer) {
    for (tier, entries) in [("memory", 1024), ("Redis", 1)] {
        let cache = handle(server, entries).await;
        let (loose, strict) = (Policy::ttl(HOUR), Policy::ttl(HOUR).strict());
        let sides = [hits(&cache, loose), hits(&cache, strict)];
        for page in 0..PAGES {
            sides[0](page).await;
        }
        cache.settled().await;

        println!("hits in {tier}, 1 KiB, median of {ROUNDS} interleaved rounds");
        println!("in flight     hits/s    strict/s  ratio");
        for level in LEVELS {
            let mut figures = [Vec::new(), Vec::new()];
            for round in 0..=ROUNDS {
                for (side, figures) in sides.iter().zip(&mut figures) {
                    let (per_second, _) = measure(level, side).await;
                    // The first round warms up.
                    if round > 0 {
                        figures.push(per_second);
                    }
                }
            }
            let [loose, strict] = figures.map(|mut figures| median(&mut figures));
            println!("{level:9}  {loose:9.0}  {strict:10.0}  {:5.2}", strict / loose);
        }
    }
}
