//! The examples, run as their users run them.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod others;
mod purge;
mod search;

use std::net::SocketAddr;

use http::Method;
use serde_json::Value;
use support::net::{Reply, fetch};
use support::program::{Corpus, Program};

const QUERY: &str = "/v1/search?q=connection+pool&limit=2";

fn corpus(name: &str) -> Corpus {
    Corpus::new(
        name,
        &[
            ("pool.txt", "A connection pool keeps every connection open for those who come next."),
            ("cache.txt", "A cache answers what was asked before, without a connection."),
            ("ranking.txt", "Ranking reads every document anew, which is what makes it slow."),
            ("binary.bin", "\0not text"),
        ],
    )
}

fn search(name: &str, variables: &[(&str, &str)]) -> (Corpus, Program) {
    let corpus = corpus(name);
    let program = Program::serve("axum_search", Some(corpus.path()), variables);
    (corpus, program)
}

async fn get(address: SocketAddr, target: &str) -> Reply {
    fetch(address, Method::GET, target, "").await
}

async fn post(address: SocketAddr, body: &str) -> Reply {
    fetch(address, Method::POST, "/v1/search", body).await
}

async fn stats(address: SocketAddr) -> Value {
    get(address, "/v1/cache/stats").await.json()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Asserts the documented shape of a search's answer.
fn assert_search(answer: &Value, query: &str, hits: usize) {
    assert_eq!(keys(answer), ["hits", "query", "took_ms"]);
    assert_eq!(answer["query"], query);
    assert!(answer["took_ms"].is_u64());
    let found = answer["hits"].as_array().unwrap();
    assert_eq!(found.len(), hits, "{answer}");
    for hit in found {
        assert_eq!(keys(hit), ["id", "score", "snippet"]);
        assert!(hit["score"].as_f64() > Some(0.0) && hit["id"].is_string() && hit["snippet"].is_string());
    }
    let scores: Vec<_> = found.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "best first");
}
