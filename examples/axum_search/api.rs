//! The routes, each with its own policy.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower_query_cache::{Policy, QueryCache};

use crate::index::{Hit, Index};

/// Hits at most, in one answer.
const MAX_LIMIT: usize = 50;

/// The longest query, bytes.
const MAX_QUERY: usize = 256;

#[derive(Clone)]
struct Search {
    index: Arc<Index>,
    /// Rankings at once: one a core. It stands behind the cache, where it can't delay a hit.
    cores: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct Question {
    q: String,
    #[serde(default = "ten")]
    limit: usize,
}

#[derive(Serialize)]
struct Answer<'a> {
    query: &'a str,
    hits: Vec<Hit<'a>>,
    took_ms: u64,
}

fn ten() -> usize {
    10
}

/// The whole API.
pub(crate) fn router(cache: &QueryCache, index: Index) -> Router {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // What the cache takes as the host: replicas behind different ports share their answers, if they search the same corpus.
    let authority = format!("search-{}", index.digest());
    let search = Search { index: Arc::new(index), cores: Arc::new(Semaphore::new(cores)) };

    let answers = Policy::ttl(Duration::from_secs(60)).authority(&authority).label("search");
    let posted =
        answers.clone().label("search by body").methods([Method::POST]).key_body(64 << 10).canonical_json();
    let documents = Policy::ttl(Duration::from_secs(300)).authority(&authority).label("documents");

    Router::new()
        .route(
            "/v1/search",
            get(by_query).layer(cache.layer(answers)).merge(post(by_body).layer(cache.layer(posted))),
        )
        .route("/v1/documents/{id}", get(document).layer(cache.layer(documents)))
        .route_service("/v1/cache/stats", cache.stats_handler())
        .with_state(search)
}

async fn by_query(
    State(search): State<Search>,
    question: Result<Query<Question>, QueryRejection>,
) -> Response {
    match question {
        Ok(Query(question)) => search.answer(question).await,
        Err(_) => bad_request("expected ?q=<words>&limit=<1 to 50>"),
    }
}

async fn by_body(State(search): State<Search>, question: Result<Json<Question>, JsonRejection>) -> Response {
    match question {
        Ok(Json(question)) => search.answer(question).await,
        Err(_) => bad_request(r#"expected JSON such as {"q": "words", "limit": 5}"#),
    }
}

async fn document(State(search): State<Search>, Path(id): Path<String>) -> Response {
    match search.index.document(&id) {
        Some(found) => Json(found).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "no such document"}))).into_response(),
    }
}

impl Search {
    async fn answer(self, Question { q, limit }: Question) -> Response {
        if !q.contains(char::is_alphanumeric) || q.len() > MAX_QUERY {
            return bad_request("q: expected words, 256 bytes at most");
        }
        if !(1..=MAX_LIMIT).contains(&limit) {
            return bad_request("limit: expected 1 to 50");
        }
        let Ok(core) = self.cores.acquire_owned().await else { return unavailable() };
        let ranking = tokio::task::spawn_blocking(move || {
            let _core = core;
            let started = Instant::now();
            let hits = self.index.search(&q, limit);
            let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            Json(Answer { query: &q, hits, took_ms }).into_response()
        });
        ranking.await.unwrap_or_else(|_| unavailable())
    }
}

fn bad_request(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": "the search has ended"}))).into_response()
}
