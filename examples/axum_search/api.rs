//! The routes, each with its own policy.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest as _, Path, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower_query_cache::{Authorize, BearerToken, Denied, Policy, QueryCache};

use crate::corpus::MAX_FILE;
use crate::index::{Hit, Index};

/// Hits at most, in one answer.
const MAX_LIMIT: usize = 50;

/// The longest query, bytes.
const MAX_QUERY: usize = 256;

/// What all answers of a search are tagged with: each ranks every document.
const SEARCHES: &str = "searches";

/// What those may do who have the token.
pub(crate) struct Admin {
    pub(crate) token: BearerToken,
    /// Change documents, beside purging.
    pub(crate) may_change: bool,
}

#[derive(Clone)]
struct Search {
    index: Arc<Index>,
    cache: QueryCache,
    admin: Option<Arc<Admin>>,
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
    hits: Vec<Hit>,
    took_ms: u64,
}

#[derive(Deserialize)]
struct Change {
    text: String,
}

fn ten() -> usize {
    10
}

/// The whole API.
pub(crate) fn router(cache: &QueryCache, index: Index, admin: Option<Admin>) -> Router {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // What the cache takes as the host: replicas behind different ports share their answers, if they search the same corpus.
    let authority = format!("search-{}", index.digest());
    let purge = admin.as_ref().map(|admin| cache.purge_handler(admin.token.clone()));
    let search = Search {
        index: Arc::new(index),
        cache: cache.clone(),
        admin: admin.map(Arc::new),
        cores: Arc::new(Semaphore::new(cores)),
    };

    let answers = Policy::ttl(Duration::from_secs(60)).authority(&authority).label("search").tags([SEARCHES]);
    let posted =
        answers.clone().label("search by body").methods([Method::POST]).key_body(64 << 10).canonical_json();
    let documents = Policy::ttl(Duration::from_secs(300))
        .authority(&authority)
        .label("documents")
        .tags(["document:{id}"]);

    let mut router = Router::new()
        .route(
            "/v1/search",
            get(by_query).layer(cache.layer(answers)).merge(post(by_body).layer(cache.layer(posted))),
        )
        .route("/v1/documents/{id}", get(document).layer(cache.layer(documents)))
        .route_service("/v1/cache/stats", cache.stats_handler());
    if let Some(purge) = purge {
        router = router.route("/v1/documents/{id}", put(change)).route_service("/v1/cache/purge", purge);
    }
    router.with_state(search)
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
    let found = tokio::task::spawn_blocking(move || search.index.document(&id)).await;
    match found {
        Ok(Some(found)) => Json(&*found).into_response(),
        Ok(None) => no_such_document(),
        Err(_) => unavailable(),
    }
}

/// Writes a document's new text, and then purges what was answered from the old one.
async fn change(
    State(Search { index, cache, admin, .. }): State<Search>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let Some(admin) = admin else { return no_such_document() };
    let (parts, body) = request.into_parts();
    match admin.token.authorize(&parts) {
        Ok(_) if admin.may_change => {}
        Err(Denied::Unauthorized(challenge)) => {
            let error = Json(json!({"error": "a token is needed"}));
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], error)
                .into_response();
        }
        _ => {
            let error = json!({"error": "only documents of a directory that was named can be changed"});
            return (StatusCode::FORBIDDEN, Json(error)).into_response();
        }
    }
    // Not a byte is read for those who may not.
    let text = match Json::from_request(Request::from_parts(parts, body), &()).await {
        Ok(Json(Change { text })) if is_document(&text) => text,
        _ => return bad_request(r#"expected JSON such as {"text": "words"}, 256 KiB at most"#),
    };
    let tags = [format!("document:{id}"), SEARCHES.to_owned()];
    match tokio::task::spawn_blocking(move || index.change(&id, &text)).await {
        Ok(Some(Ok(()))) => {}
        Ok(None) => return no_such_document(),
        Ok(Some(Err(_))) | Err(_) => return unavailable(),
    }
    // NOTE: after the change: a response whose fill began before has the old text.
    match cache.purge_tags(tags).await {
        Ok(purged) => Json(json!({"purged": purged.id.to_string()})).into_response(),
        Err(error) => {
            let error = json!({"error": format!("changed, but not purged everywhere: {error}")});
            (StatusCode::SERVICE_UNAVAILABLE, Json(error)).into_response()
        }
    }
}

/// Whether it could be read back.
fn is_document(text: &str) -> bool {
    !text.is_empty() && text.len() as u64 <= MAX_FILE && !text.contains('\0')
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

fn no_such_document() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"error": "no such document"}))).into_response()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": "the search has ended"}))).into_response()
}
