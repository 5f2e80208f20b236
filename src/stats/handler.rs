//! The companion handler: the cache's figures as JSON, a plain tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use super::snapshot::{Snapshot, Source};

/// Answers GET and HEAD with the cache's figures as JSON; other methods get 405.
///
/// It takes a request with any body, and never fails: a Redis that is down is part of the answer (`"connected":false`
/// with an `"error"`), still with status 200. The server's own figures are read at most once a second, inside a limit
/// of a quarter of a second. The answer is `no-store` itself. It shows no keys and no credentials, but does show how the service is
/// used: mount it where only operators get to it.
///
/// The top keys are fixed: `enabled`, `type`, `connected`, `keys`, `memory_used`, `uptime_seconds`, `connection_pool`;
/// then the counts over all routes, the parts (`memory`, `queue`, `flights`, `breaker`, `journal`, `leases`, `errors`), and the
/// same counts per route. `breaker` is the shared tier's circuit breaker and `journal` that of purges, both missing where there
/// is no shared tier; `leases` is there once there are any.
#[derive(Clone)]
pub struct StatsHandler {
    source: Arc<dyn Source>,
}

impl StatsHandler {
    pub(crate) fn new(source: Arc<dyn Source>) -> Self {
        Self { source }
    }
}

impl fmt::Debug for StatsHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsHandler").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for StatsHandler {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = StatsFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> StatsFuture {
        // The request may be `!Send`; only its method goes on.
        let (source, method) = (Arc::clone(&self.source), request.method().clone());
        StatsFuture(Box::pin(async move { answer(&*source, &method).await }))
    }
}

/// Response future of [`StatsHandler`].
pub struct StatsFuture(Pin<Box<dyn Future<Output = Response<Full<Bytes>>> + Send>>);

impl Future for StatsFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for StatsFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsFuture").finish_non_exhaustive()
    }
}

async fn answer(source: &dyn Source, method: &Method) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = json(StatusCode::METHOD_NOT_ALLOWED, r#"{"error":"use GET or HEAD"}"#.into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let server = match source.server() {
        Some(server) => Some(server.latest().await),
        None => None,
    };
    let snapshot = Snapshot::new(source.local(), server);
    let mut response = match serde_json::to_vec(&snapshot) {
        Ok(body) => json(StatusCode::OK, body),
        Err(_) => json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"error":"figures can't be written"}"#.into()),
    };
    if *method == Method::HEAD {
        *response.body_mut() = Full::default();
    }
    response
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, length);
    response
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::policy::{Bypass, Refusal};
    use crate::stats::testing::{Answer, Scripted};
    use crate::stats::{FlightFigures, LocalFigures, MemoryFigures, ServerFigures, Stats, Tier};
    use crate::store::{Breaker, BreakerStatus, PoolStatus, Store, StoreError, WriterStatus};

    struct Handle {
        stats: Stats,
        server: Option<ServerFigures>,
    }

    impl Source for Handle {
        fn local(&self) -> LocalFigures<'_> {
            let pool = PoolStatus {
                max_connections: 10,
                connections_created: 5,
                available_connections: 3,
                in_use_connections: 2,
            };
            LocalFigures {
                enabled: true,
                tier: if self.server.is_some() { Tier::Redis } else { Tier::Memory },
                memory: MemoryFigures { entries: 42, bytes: 3 << 19, max_entries: 256, max_bytes: 64 << 20 },
                uptime: Duration::from_millis(12_345),
                pool: if self.server.is_some() { pool } else { PoolStatus::default() },
                queue: WriterStatus {
                    queued_entries: 1,
                    queued_bytes: 2,
                    written: 3,
                    failed: 4,
                    dropped: 5,
                    superseded: 6,
                },
                flights: FlightFigures {
                    fills: 1,
                    waiters: 2,
                    orphan_fills: 3,
                    recording_bytes: 4,
                    uncacheable_keys: 5,
                },
                journal: None,
                breaker: self.server.is_some().then_some(BreakerStatus {
                    state: "half-open",
                    opened: 1,
                    rejected: 2,
                    probes: 3,
                }),
                stats: &self.stats,
            }
        }

        fn server(&self) -> Option<&ServerFigures> {
            self.server.as_ref()
        }
    }

    fn handler(answer: Option<Answer>) -> StatsHandler {
        let server = answer.map(|answer| {
            let store: Arc<dyn Store> = Scripted::new(answer);
            ServerFigures::new(Arc::clone(&store), Breaker::new(store, Duration::from_secs(1)))
        });
        let stats = Stats::new();
        let route = stats.route("search");
        route.hit_memory();
        route.hit_memory();
        route.miss_memory();
        route.forwarded();
        route.bypass(Bypass::Cookie);
        route.refused(Refusal::Private);
        route.fill(Duration::from_millis(3));
        stats.route("items").hit_memory();
        stats.shared_error(&StoreError::Timeout);
        stats.corrupt();
        StatsHandler::new(Arc::new(Handle { stats, server }))
    }

    async fn call(handler: StatsHandler, method: Method) -> (http::response::Parts, String) {
        let request = Request::builder().method(method).uri("/v1/cache/stats").body(()).unwrap();
        let (parts, body) = handler.oneshot(request).await.unwrap().into_parts();
        (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    async fn get(handler: StatsHandler) -> (String, Value) {
        let (parts, body) = call(handler, Method::GET).await;
        assert_eq!(parts.status, StatusCode::OK);
        assert_eq!(parts.headers[CONTENT_TYPE], "application/json");
        assert_eq!(parts.headers[CACHE_CONTROL], "no-store");
        let value = serde_json::from_str(&body).unwrap();
        (body, value)
    }

    #[tokio::test(start_paused = true)]
    async fn the_top_keys_are_fixed_and_in_order() {
        let (body, _) = get(handler(Some(Answer::Keys(42)))).await;
        let start = r#"{"enabled":true,"type":"redis","connected":true,"keys":42,"memory_used":"1.50M","uptime_seconds":99,"connection_pool":{"max_connections":10,"connections_created":5,"available_connections":3,"in_use_connections":2},"hits":{"memory":3,"shared":0},"misses":{"memory":1,"shared":0},"forwarded":1,"#;
        assert!(body.starts_with(start), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn counts_stand_in_the_totals_and_in_their_route() {
        let (_, value) = get(handler(Some(Answer::Keys(42)))).await;
        assert_eq!(value["bypasses"], json!({"cookie": 1}));
        assert_eq!(value["refusals"], json!({"private": 1}));
        assert_eq!(value["routes"]["search"]["hits"]["memory"], 2);
        assert_eq!(value["routes"]["items"]["hits"]["memory"], 1);
        let fill_time = json!({"count": 1, "total_us": 3000, "below_us": {"4096": 1}});
        assert_eq!(value["routes"]["search"]["fill_time"], fill_time);
        assert_eq!(value["fill_time"], fill_time);
        let memory = json!({"entries": 42, "bytes": 3 << 19, "max_entries": 256, "max_bytes": 64 << 20});
        assert_eq!(value["memory"], memory);
        let queue = json!({"queued_entries": 1, "queued_bytes": 2, "written": 3, "failed": 4, "dropped": 5,
                           "superseded": 6});
        assert_eq!(value["queue"], queue);
        let flights = json!(
            {"fills": 1, "waiters": 2, "orphan_fills": 3, "recording_bytes": 4, "uncacheable_keys": 5});
        assert_eq!(value["flights"], flights);
        assert_eq!(value["breaker"], json!({"state": "half-open", "opened": 1, "rejected": 2, "probes": 3}));
        let errors = json!(
            {"unavailable": 0, "timeout": 1, "connection": 0, "server": 0, "corrupt": 1, "foreign": 0});
        assert_eq!(value["errors"], errors);
        assert!(value.get("error").is_none());
    }

    #[tokio::test]
    async fn without_redis_the_figures_are_the_memory_tiers() {
        let (body, _) = get(handler(None)).await;
        let start = r#"{"enabled":true,"type":"memory","connected":true,"keys":42,"memory_used":"1.50M","uptime_seconds":12,"connection_pool":{"max_connections":0,"connections_created":0,"available_connections":0,"in_use_connections":0},"hits""#;
        assert!(body.starts_with(start), "{body}");
        assert!(!body.contains("breaker"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_redis_that_is_down_is_part_of_the_answer() {
        let down = StoreError::Connection("redis://u:s3cret@h: Connection refused".to_owned());
        let (body, value) = get(handler(Some(Answer::Fails(down)))).await;
        assert_eq!((&value["connected"], &value["error"]), (&json!(false), &json!("connection")));
        for key in ["keys", "memory_used", "uptime_seconds"] {
            assert_eq!(value.get(key), Some(&Value::Null), "{key}");
        }
        assert_eq!(value["connection_pool"]["max_connections"], 10);
        assert!(!body.contains("s3cret"));
    }

    #[tokio::test]
    async fn head_has_the_fields_of_get_and_no_body() {
        let (get, body) = call(handler(None), Method::GET).await;
        let (head, nothing) = call(handler(None), Method::HEAD).await;
        assert_eq!(head.headers, get.headers);
        assert_eq!(head.headers[CONTENT_LENGTH], body.len().to_string());
        assert!(nothing.is_empty());
    }

    #[tokio::test]
    async fn other_methods_are_not_allowed() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let (parts, _) = call(handler(None), method).await;
            assert_eq!(parts.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(parts.headers[ALLOW], "GET, HEAD");
            assert_eq!(parts.headers[CACHE_CONTROL], "no-store");
        }
    }

    #[tokio::test]
    async fn any_body_goes_in_and_the_future_is_send() {
        fn send<T: Clone + Send + Sync>(service: T) -> T {
            service
        }
        let mut handler = send(handler(None));
        let future: Box<dyn Future<Output = _> + Send> = Box::new(handler.call(Request::new(Rc::new(()))));
        assert_eq!(Box::into_pin(future).await.unwrap().status(), StatusCode::OK);
    }
}
