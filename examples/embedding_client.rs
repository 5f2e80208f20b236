//! The layer on a client stack: texts that were embedded before aren't sent again.
//!
//! A pooled hyper client posts JSON to an embedding endpoint, which this program serves itself on the loopback
//! interface, so that it can count what arrives there.
//!
//! ```text
//! cargo run --release --example embedding_client
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tower::{Service, ServiceExt};
use tower_layer::Layer;
use tower_query_cache::{Policy, QueryCache, RequestBody};

/// Numbers in an embedding.
const DIMENSIONS: usize = 64;

/// How long Redis is waited for at the start.
const CONNECT: Duration = Duration::from_secs(1);

/// How often each text is asked for.
const ROUNDS: usize = 3;

const TEXTS: [&str; 6] = [
    "a cache answers the question that was asked before",
    "a pool keeps connections open for those who come next",
    "an embedding turns a text into a point in space",
    "near points are texts that mean nearly the same",
    "the second time costs nothing",
    "the first time costs a call",
];

#[derive(Serialize, Deserialize)]
struct Input {
    input: String,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct Embedding {
    embedding: Vec<f32>,
}

/// What arrived at the endpoint.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    calls: AtomicU64,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embedding_client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let cache = QueryCache::from_env()?;
    // Before that nothing goes to Redis. Without one it is at once.
    cache.ready(CONNECT).await;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let counts = Arc::new(Counts::default());
    let endpoint = tokio::spawn(serve(listener, Arc::clone(&counts)));

    // The endpoint's port changes from run to run; the fixed authority lets a Redis keep the answers.
    let policy = Policy::ttl(Duration::from_secs(24 * 3600))
        .methods([Method::POST])
        .key_body(64 << 10)
        .canonical_json()
        .authority("embeddings");
    let client: Client<HttpConnector, RequestBody<Full<Bytes>>> =
        Client::builder(TokioExecutor::new()).build_http();
    let mut client = cache.layer(policy).layer(client);

    let mut first = Vec::new();
    for round in 0..ROUNDS {
        for (at, text) in TEXTS.iter().enumerate() {
            let embedding = embed(&mut client, address, text).await?;
            if round == 0 {
                first.push(embedding);
            } else if first.get(at) != Some(&embedding) {
                return Err(format!("another answer for the same text: {text}").into());
            }
        }
    }

    let asked = (ROUNDS * TEXTS.len()) as u64;
    let calls = counts.calls.load(Ordering::Relaxed);
    println!("tiers: {}", cache.tiers());
    println!("texts embedded: {asked}");
    println!("connections opened: {}", counts.connections.load(Ordering::Relaxed));
    println!("calls made: {calls}");
    println!("repeated texts answered without a call: {}", asked.saturating_sub(calls));
    endpoint.abort();
    cache.shutdown().await;
    Ok(())
}

/// Asks for the embedding of a text, as if there were no cache.
async fn embed<S, B>(client: &mut S, address: SocketAddr, text: &str) -> Result<Embedding, Box<dyn Error>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Error + 'static,
    B: http_body::Body,
    B::Error: Error + 'static,
{
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://{address}/v1/embeddings"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(serde_json::to_vec(&Input { input: text.to_owned() })?))?;
    let response = client.ready().await?.call(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("the endpoint answered {}", response.status()).into());
    }
    let body = response.into_body().collect().await?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

async fn serve(listener: TcpListener, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| {
            counts.calls.fetch_add(1, Ordering::Relaxed);
            answer(request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    let body = Limited::new(request.into_body(), 1 << 20).collect().await;
    let input = body.ok().and_then(|body| serde_json::from_slice::<Input>(&body.to_bytes()).ok());
    match input.and_then(|Input { input }| serde_json::to_vec(&Embedding { embedding: toy(&input) }).ok()) {
        Some(body) => *response.body_mut() = Full::from(body),
        None => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

/// A toy embedding: each word's hash says which dimension it moves, and which way; then to length 1.
fn toy(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    for word in text.split_whitespace() {
        let [low, high, ..] = *blake3::hash(word.as_bytes()).as_bytes();
        if let Some(number) = vector.get_mut(usize::from(low) % DIMENSIONS) {
            *number += if high & 1 == 0 { 1.0 } else { -1.0 };
        }
    }
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter().map(|number| number / length).collect()
}
