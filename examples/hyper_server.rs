//! The layer on plain hyper: any tower service that takes `Request<Incoming>`.
//!
//! ```text
//! cargo run --release --example hyper_server
//! curl -i http://127.0.0.1:3000/primes/3000000
//! curl http://127.0.0.1:3000/stats
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use tower_query_cache::{Policy, QueryCache};

/// How long Redis is waited for at the start.
const CONNECT: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hyper_server: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let cache = QueryCache::from_env()?;
    // Before that nothing goes to Redis. Without one it is at once.
    cache.ready(CONNECT).await;
    let address = std::env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("ADDR: can't listen on {address}: {error}"))?;
    // Until Redis is reached the cache isn't used: it may have purges to tell of.
    cache.ready(Duration::from_secs(1)).await;
    let mut end = pin!(tokio::signal::ctrl_c());
    // Polled once: whoever reads the address may send the signal at once.
    tokio::select! {
        biased;
        _ = &mut end => return Ok(()),
        () = std::future::ready(()) => {}
    }
    println!("listening on http://{}, tiers: {}", listener.local_addr()?, cache.tiers());

    let primes =
        cache.layer(Policy::ttl(Duration::from_secs(60)).authority("primes")).layer(service_fn(primes));
    let stats = cache.stats_handler();
    let service = service_fn(move |request: Request<Incoming>| {
        let (primes, stats) = (primes.clone(), stats.clone());
        async move {
            if request.uri().path() == "/stats" {
                Ok::<_, Infallible>(stats.oneshot(request).await?.map(Either::Left))
            } else {
                Ok(primes.oneshot(request).await?.map(Either::Right))
            }
        }
    });
    let service = TowerToHyperService::new(service);

    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut end => break,
        };
        let (stream, _) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, say: they come back when connections end.
                eprintln!("hyper_server: accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = service.clone();
        tokio::spawn(async move {
            // The timer brings hyper's limit on the time to read a request's head. A broken connection is its client's.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
    cache.shutdown().await;
    Ok(())
}

/// `GET /primes/{n}`: how many primes there are up to `n`.
async fn primes(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let limit = request.uri().path().strip_prefix("/primes/").and_then(|limit| limit.parse::<u32>().ok());
    let Some(limit) = limit.filter(|limit| *limit <= 10_000_000) else {
        return Ok(answer(StatusCode::NOT_FOUND, "try /primes/3000000\n".to_owned()));
    };
    let counted = tokio::task::spawn_blocking(move || (2..=limit).filter(|n| is_prime(*n)).count()).await;
    Ok(match counted {
        Ok(count) => answer(StatusCode::OK, format!("{count} primes up to {limit}\n")),
        Err(_) => answer(StatusCode::INTERNAL_SERVER_ERROR, "the count was ended\n".to_owned()),
    })
}

/// By trial division, the slow way.
fn is_prime(n: u32) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= n).all(|divisor| !n.is_multiple_of(divisor))
}

fn answer(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
