//! A memory hit, in process, beside the bare handler that builds the same response and a hand-written minimal hit.
//!
//! `cargo bench --bench hit_path` prints medians of interleaved rounds, and each as a ratio to the bare handler. Quote
//! the ratios: the times are this machine's. With `--hits N` it makes so many hits and prints nothing, for tools that
//! count instructions.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{Empty, Full};
use quick_cache::sync::Cache as Quick;
use tokio::time::Instant;
use tower::{Service as _, ServiceBuilder, service_fn};
use tower_query_cache::{Policy, QueryCache};

const ROUNDS: usize = 15;
const CALLS: u32 = 40_000;

fn request() -> Request<Empty<Bytes>> {
    Request::get("/v1/items/42?fields=id,name&page=2")
        .header("host", "api.example.com")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip, br")
        .header("user-agent", "hit_path/1.0")
        .body(Empty::new())
        .unwrap()
}

/// What the handler behind the cache builds each time: five fields and 1 KiB.
fn response() -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-type", "application/json")
        .header("content-length", "1024")
        .header("etag", format!("\"{}\"", black_box(42)))
        .header("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT")
        .header("x-frame-options", "DENY")
        .body(Full::new(Bytes::from(vec![b'x'; 1024])))
        .unwrap()
}

/// The least that a cache can do: a framed key, its digest, one map, a copy of the fields, `Age`.
struct Minimal {
    cache: Quick<[u8; 32], (HeaderMap, Bytes)>,
}

impl Minimal {
    fn new() -> Self {
        let this = Self { cache: Quick::new(256) };
        let (parts, _) = response().into_parts();
        this.cache.insert(Self::key(&request()), (parts.headers, Bytes::from(vec![b'x'; 1024])));
        this
    }

    fn key(request: &Request<Empty<Bytes>>) -> [u8; 32] {
        let host = request.headers().get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or(""));
        let mut material = [0_u8; 512];
        let mut length = 0;
        for part in [request.method().as_str().as_bytes(), host, path.as_bytes(), query.as_bytes()] {
            for bytes in [&(part.len() as u32).to_le_bytes()[..], part] {
                material[length..length + bytes.len()].copy_from_slice(bytes);
                length += bytes.len();
            }
        }
        *blake3::hash(&material[..length]).as_bytes()
    }

    fn call(&self, request: Request<Empty<Bytes>>) -> Response<Full<Bytes>> {
        let (headers, body) = self.cache.get(&Self::key(&request)).unwrap();
        let mut response = Response::new(Full::new(body));
        *response.headers_mut() = headers;
        response.headers_mut().insert(header::AGE, HeaderValue::from(1_u64));
        response
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let origin = || service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(response()) });
    let mut bare = origin();
    let minimal = Minimal::new();
    let cache = QueryCache::builder().build().unwrap();
    let mut cached =
        ServiceBuilder::new().layer(cache.layer(Policy::ttl(Duration::from_secs(3600)))).service(origin());
    runtime.block_on(cached.call(request())).unwrap();

    let mut arguments = std::env::args().skip_while(|argument| argument != "--hits").skip(1);
    if let Some(count) = arguments.next() {
        hits(count.parse().unwrap(), || drop(black_box(cached.call(request()).now_or_never().unwrap())));
        return;
    }

    let names = ["building the request", "bare handler", "minimal hit", "this crate's hit"];
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(timed(|| drop(black_box(request()))));
        times[1].push(timed(|| drop(black_box(bare.call(request()).now_or_never().unwrap()))));
        times[2].push(timed(|| drop(black_box(minimal.call(request())))));
        times[3].push(timed(|| drop(black_box(cached.call(request()).now_or_never().unwrap()))));
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 2]
    });
    for (name, median) in names.iter().zip(medians) {
        let ratio = median.as_secs_f64() / medians[1].as_secs_f64();
        println!("{name:>22}: {:>6} ns  {ratio:.2} of the bare handler", median.as_nanos());
    }
    let ratio = medians[3].as_secs_f64() / medians[2].as_secs_f64();
    println!("this crate's hit takes {ratio:.2} times the minimal one");
}

/// The whole of what is counted.
#[inline(never)]
fn hits(count: u32, mut call: impl FnMut()) {
    for _ in 0..count {
        call();
    }
}

fn timed(mut call: impl FnMut()) -> Duration {
    let started = Instant::now();
    for _ in 0..CALLS {
        call();
    }
    started.elapsed() / CALLS
}
