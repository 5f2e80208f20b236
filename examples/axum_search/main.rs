//! A search API whose answers are worth caching: every query ranks a whole corpus anew.
//!
//! ```text
//! cargo run --release --example axum_search [directory]
//! curl -i 'http://127.0.0.1:3000/v1/search?q=connection+pool&limit=3'
//! curl -i http://127.0.0.1:3000/v1/search -H 'content-type: application/json' -d '{"q": "connection pool", "limit": 3}'
//! curl http://127.0.0.1:3000/v1/cache/stats
//! ```
//!
//! It listens on `ADDR` (default `127.0.0.1:3000`). With `REDIS_URL`, several of them share their answers.
//!
//! With `ADMIN_TOKEN`, whoever has it may purge, and change the documents of a directory that was named:
//!
//! ```text
//! ADMIN_TOKEN=... cargo run --release --example axum_search directory
//! curl -X PUT http://127.0.0.1:3000/v1/documents/<id> -H "authorization: Bearer $ADMIN_TOKEN" \
//!     -H 'content-type: application/json' -d '{"text": "other words"}'
//! curl http://127.0.0.1:3000/v1/cache/purge -H "authorization: Bearer $ADMIN_TOKEN" \
//!     -H 'content-type: application/json' -d '{"tag": "document:<id>"}'
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its user")]

mod api;
mod corpus;
mod index;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_query_cache::{BearerToken, QueryCache};

use crate::api::Admin;
use crate::index::Index;

/// How long Redis has to be reached before the first request is taken. Until then the cache isn't used.
const HEAD_START: Duration = Duration::from_secs(1);

/// How long open requests have to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum_search: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let token = admin_token()?;
    let cache = QueryCache::from_env()?;
    let directory = std::env::args_os().nth(1).map(PathBuf::from);
    let index = Index::new(match &directory {
        Some(directory) => corpus::of_directory(directory)?,
        None => corpus::default()?,
    });
    // Sources in Cargo's registry are nobody's to change.
    let admin = token.map(|token| Admin { token, may_change: directory.is_some() });
    let address = std::env::var("ADDR").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(&address)
        .await
        .map_err(|error| format!("ADDR: can't listen on {address}: {error}"))?;

    cache.ready(HEAD_START).await;
    let mut end = Box::pin(asked_to_end());
    // Polled once: whoever reads the address may send the signal at once.
    tokio::select! {
        biased;
        () = &mut end => return Ok(()),
        () = std::future::ready(()) => {}
    }
    let address = listener.local_addr()?;
    println!("listening on http://{address}, {} documents, tiers: {}", index.len(), cache.tiers());
    println!("try: curl -i 'http://{address}/v1/search?q=connection+pool&limit=3'");

    let (interrupt, interrupted) = oneshot::channel();
    let server = axum::serve(listener, api::router(&cache, index, admin)).with_graceful_shutdown(async {
        end.await;
        let _ = interrupt.send(());
    });
    tokio::select! {
        ended = async { server.await } => ended?,
        // A client that doesn't end its request doesn't keep the program alive.
        () = async { let _ = interrupted.await; tokio::time::sleep(GRACE).await } => {}
    }
    cache.shutdown().await;
    Ok(())
}

/// The token of those who may purge. None is set: nobody may.
fn admin_token() -> Result<Option<BearerToken>, String> {
    match std::env::var("ADMIN_TOKEN") {
        Ok(token) => BearerToken::new(token).map(Some).map_err(|error| format!("ADMIN_TOKEN: {error}")),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err("ADMIN_TOKEN: the token isn't UTF-8".to_owned()),
    }
}

/// Resolves at Ctrl-C, and at the signal by which service managers end a program.
async fn asked_to_end() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = interrupt => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = interrupt.await;
}
