//! The handler: a plain tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use serde::Serialize;
use tower_service::Service;

use super::audit;
use super::authorize::{Authorize, Denied};
use super::order::Order;
use super::problem::{Answer, json, problem};
use crate::cache::QueryCache;
use crate::policy::Bypass;
use crate::purge::{PurgeError, Purged};
use crate::request_body::RequestBody;

/// Longest body that is read, bytes.
const MAX_BODY: usize = 64 << 10;

/// Purges by `POST` with JSON, for those that its authorizer lets; made by
/// [`QueryCache::purge_handler`](crate::QueryCache::purge_handler).
///
/// The body is an object with exactly one of these, and perhaps `"soft": true`:
///
/// | | as |
/// |---|---|
/// | `"tag": "document:7"`, `"tags": ["a", "b"]` | [`purge_tags`](crate::QueryCache::purge_tags) |
/// | `"url": "/v1/items/7?lang=en"` | [`purge_url`](crate::QueryCache::purge_url) |
/// | `"route": "search"` | [`purge_route`](crate::QueryCache::purge_route) |
/// | `"all": true` | [`purge_all`](crate::QueryCache::purge_all) |
///
/// The answer is 200 with `{"id": "1700000000000-0", "everything": false}`, the fields of [`Purged`](crate::Purged); else a
/// problem ([RFC 9457], `application/problem+json`):
///
/// | status | |
/// |---|---|
/// | 400 | the body isn't JSON, has an unknown field, not exactly one target, or one that can't be purged |
/// | 401 | no credentials, or wrong ones; `WWW-Authenticate` is the authorizer's |
/// | 403 | the authorizer knows who asks and says no |
/// | 405 | not `POST` |
/// | 408, 413 | the body took longer than `key_body_timeout` (10 s), or is over 64 KiB |
/// | 415 | the body isn't declared as `application/json`, or is compressed |
/// | 501 | the store keeps no journal: the purge holds in this process alone, and asking again changes nothing |
/// | 503 | the journal can't be reached: the purge holds in this process, and is kept for the others until it can be, unless the process ends before. Or too many bodies are being read |
///
/// Who asks is found out before any of the body is read. All answers are `no-store`. Each purge, and each request that is turned
/// away, is one `tracing` event of the target `tower_query_cache::audit`: `principal`, `kind`, `about` (a tag, label or path, cut
/// to 128 characters; never a query), `soft`, `outcome`, `id`.
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
#[derive(Clone)]
pub struct PurgeHandler {
    cache: QueryCache,
    authorizer: Arc<dyn Authorize>,
}

impl QueryCache {
    /// A handler that purges for those that `authorizer` lets, such as those who have a [`BearerToken`](crate::BearerToken).
    #[must_use]
    pub fn purge_handler(&self, authorizer: impl Authorize) -> PurgeHandler {
        PurgeHandler { cache: self.clone(), authorizer: Arc::new(authorizer) }
    }
}

impl fmt::Debug for PurgeHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PurgeHandler").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for PurgeHandler
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = PurgeAnswer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> PurgeAnswer {
        let this = self.clone();
        PurgeAnswer(Box::pin(async move { this.answer(request).await.unwrap_or_else(|refused| refused) }))
    }
}

/// Response future of [`PurgeHandler`].
pub struct PurgeAnswer(Pin<Box<dyn Future<Output = Answer> + Send>>);

impl Future for PurgeAnswer {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for PurgeAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PurgeAnswer").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Done {
    id: String,
    everything: bool,
}

impl PurgeHandler {
    async fn answer<B: Body>(&self, request: Request<B>) -> Result<Answer, Answer> {
        let (parts, body) = request.into_parts();
        if parts.method != Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Err(with(problem(status, "use POST"), ALLOW, HeaderValue::from_static("POST")));
        }
        let principal = self.authorizer.authorize(&parts).map_err(turned_away)?;
        if let Some(refused) = other_type(&parts.headers) {
            return Err(refused);
        }
        let order = self.read(body).await?;
        let result = order.purge(&self.cache).await;
        audit::purged(&principal, &order, &result);
        match result {
            Ok(Purged { id, everything }) => {
                Ok(json(StatusCode::OK, "application/json", &Done { id: id.to_string(), everything }))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Reads what is asked for, in bounded time and memory.
    async fn read<B: Body>(&self, body: B) -> Result<Order, Answer> {
        let shared = &self.cache.shared;
        let time = shared.limits.key_body_timeout;
        let (body, read) = RequestBody::read(body, MAX_BODY, &shared.key_bodies, time).await;
        let order = match read {
            Ok(read) => Order::read(&read).map_err(|detail| problem(StatusCode::BAD_REQUEST, &detail)),
            Err(Bypass::BodyTooLarge) => {
                Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "the body is over 64 KiB"))
            }
            Err(Bypass::BodyTimeout) => {
                Err(problem(StatusCode::REQUEST_TIMEOUT, "the body didn't come in time"))
            }
            Err(Bypass::BodyBudget) => {
                Err(problem(StatusCode::SERVICE_UNAVAILABLE, "too many bodies are being read"))
            }
            Err(_) => Err(problem(StatusCode::BAD_REQUEST, "the body didn't end well")),
        };
        // What it holds of the budget goes with it.
        drop(body);
        order
    }
}

/// A declared type is asked for, so that no page in a browser can make such a request unasked.
fn other_type(headers: &HeaderMap) -> Option<Answer> {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let mut types = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let media_type =
        types.next().and_then(|value| value.split(|byte| *byte == b';').next()).unwrap_or_default();
    if !media_type.trim_ascii().eq_ignore_ascii_case(b"application/json") || types.next().is_some() {
        let answer = problem(status, "send `Content-Type: application/json`");
        return Some(with(answer, ACCEPT, HeaderValue::from_static("application/json")));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let answer = problem(status, "send the body as it is, without `Content-Encoding`");
        return Some(with(answer, ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    None
}

fn turned_away(denied: Denied) -> Answer {
    match denied {
        Denied::Unauthorized(challenge) => {
            audit::denied("unauthorized");
            let answer = problem(StatusCode::UNAUTHORIZED, "credentials are needed, and right ones");
            with(answer, WWW_AUTHENTICATE, challenge)
        }
        Denied::Forbidden => {
            audit::denied("forbidden");
            problem(StatusCode::FORBIDDEN, "you may not purge")
        }
    }
}

fn failed(error: &PurgeError) -> Answer {
    match error {
        PurgeError::Tag(_) | PurgeError::Uncached(_) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
        // What the server said may be more than a client should know.
        PurgeError::Unreached(_) => problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the journal can't be reached: purged in this process, and kept for the others until it can be",
        ),
        // None of the orders erases.
        PurgeError::Unerased(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "purged, but not erased"),
        PurgeError::NoJournal => problem(StatusCode::NOT_IMPLEMENTED, &error.to_string()),
    }
}

fn with(mut answer: Answer, name: HeaderName, value: HeaderValue) -> Answer {
    answer.headers_mut().insert(name, value);
    answer
}
