//! What a memory hit allocates, counted.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Method, Request, Response};
use http_body_util::{Empty, Full};
use tower::{Service as _, ServiceBuilder, service_fn};
use tower_query_cache::{Policy, QueryCache, RequestBody};

/// The most that a memory hit may allocate beyond building the request: two for the copy of the fields, one each for `Age`
/// and `Cache-Status`.
const MOST: u64 = 4;

fn request() -> Request<Empty<Bytes>> {
    Request::get("/v1/items/42?fields=id,name&page=2")
        .header("host", "api.example.com")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, br")
        .header("user-agent", "allocations/1.0")
        .body(Empty::new())
        .unwrap()
}

fn response() -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-type", "application/json")
        .header("content-length", "1024")
        .header("etag", "\"abc\"")
        .header("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT")
        .header("x-frame-options", "DENY")
        .body(Full::new(Bytes::from(vec![b'x'; 1024])))
        .unwrap()
}

/// What a keyed body adds: reading it, and a box for the reading.
const MOST_KEYED: u64 = MOST + 3;

#[test]
fn a_memory_hit_is_ready_at_once_and_allocates_little() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cache = QueryCache::builder().build().unwrap();
    let mut service = ServiceBuilder::new()
        .layer(cache.layer(Policy::ttl(Duration::from_secs(60))))
        .service(service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(response()) }));
    runtime.block_on(service.call(request())).unwrap();

    let building = allocation_counter::measure(|| drop(black_box(request())));
    // No runtime is entered here: a hit spawns nothing, and its future is ready when it is first polled.
    let hit = allocation_counter::measure(|| {
        let answered = service.call(request()).now_or_never().expect("a hit is ready").unwrap();
        assert!(answered.headers()["cache-status"].as_bytes().starts_with(b"tower-query-cache; hit"));
        drop(black_box(answered));
    });
    let beyond = hit.count_total - building.count_total;
    println!("a memory hit allocates {beyond} times beyond the request's {}", building.count_total);
    assert!(beyond <= MOST, "{beyond} allocations, at most {MOST}");
}

#[test]
fn a_memory_hit_of_a_keyed_body_allocates_little() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let cache = QueryCache::builder().build().unwrap();
    let policy = Policy::ttl(Duration::from_secs(60)).methods([Method::POST]).key_body(1 << 10);
    let handler =
        service_fn(|_: Request<RequestBody<Full<Bytes>>>| async { Ok::<_, Infallible>(response()) });
    let mut service = ServiceBuilder::new().layer(cache.layer(policy)).service(handler);
    let post = || Request::post("/v1/search").body(Full::new(Bytes::from_static(b"what is it?"))).unwrap();
    runtime.block_on(service.call(post())).unwrap();

    let building = allocation_counter::measure(|| drop(black_box(post())));
    let hit = allocation_counter::measure(|| {
        let answered = service.call(post()).now_or_never().expect("the body is there").unwrap();
        assert!(answered.headers()["cache-status"].as_bytes().starts_with(b"tower-query-cache; hit"));
        drop(black_box(answered));
    });
    let beyond = hit.count_total - building.count_total;
    println!(
        "a memory hit of a keyed body allocates {beyond} times beyond the request's {}",
        building.count_total
    );
    assert!(beyond <= MOST_KEYED, "{beyond} allocations, at most {MOST_KEYED}");
}
