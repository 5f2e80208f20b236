//! The layer on both ends of real sockets: a plain hyper server, a pooled hyper client, and HTTP/1.1 as it goes over the
//! wire.

mod support;

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use support::http::{Act, Scripted, cache_status, scripted, text};
use support::net::{HyperServer, Wire, client, fetch};
use support::site::MINUTE;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{CacheBody, Policy, QueryCache, RequestBody};

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// Answers with the body it was sent, in capitals; counts its calls.
async fn shout<B>(request: Request<B>, calls: Arc<AtomicUsize>) -> Result<Response<Full<Bytes>>, Infallible>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    calls.fetch_add(1, Ordering::SeqCst);
    let target = request.uri().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    Ok(Response::new(Full::from([target.as_bytes(), b" ", &body.to_ascii_uppercase()].concat())))
}

#[tokio::test]
async fn a_hyper_server_answers_gets_from_the_cache() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |request: Request<Incoming>| shout(request, Arc::clone(&counted)));
    let service = ServiceBuilder::new().layer(cache().layer(Policy::ttl(MINUTE))).service(inner);
    let server = HyperServer::start(service).await;
    let miss = fetch(server.address, Method::GET, "/a?b=1", "").await;
    assert_eq!(miss.field("cache-status"), "tower-query-cache; fwd=miss; stored");
    let hit = fetch(server.address, Method::GET, "/a?b=1", "").await;
    assert!(hit.is_hit(), "{hit:?}");
    assert_eq!(hit.text(), "/a?b=1 ");
    assert_eq!(hit.field("content-length"), "7");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let posted = fetch(server.address, Method::POST, "/a?b=1", "body").await;
    assert_eq!(posted.field("cache-status"), "tower-query-cache; fwd=bypass; detail=method");
    assert_eq!(posted.text(), "/a?b=1 BODY");
}

#[tokio::test]
async fn a_hyper_server_keys_posted_bodies() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner =
        service_fn(move |request: Request<RequestBody<Incoming>>| shout(request, Arc::clone(&counted)));
    let policy = Policy::ttl(MINUTE).methods([Method::POST]).key_body(1 << 10);
    let service = ServiceBuilder::new().layer(cache().layer(policy)).service(inner);
    let server = HyperServer::start(service).await;
    for body in ["one", "two", ""] {
        let miss = fetch(server.address, Method::POST, "/", body).await;
        assert_eq!(miss.field("cache-status"), "tower-query-cache; fwd=miss; stored");
        let hit = fetch(server.address, Method::POST, "/", body).await;
        assert!(hit.is_hit());
        assert_eq!(hit.text(), format!("/ {}", body.to_uppercase()));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let long = "long ".repeat(100_000);
    let past = fetch(server.address, Method::POST, "/", &long).await;
    assert_eq!(past.field("cache-status"), "tower-query-cache; fwd=bypass; detail=body-too-large");
    assert_eq!(past.text(), format!("/ {}", long.to_uppercase()));
}

#[tokio::test]
async fn a_client_stack_makes_no_call_for_a_repeated_post() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let origin = service_fn(move |request: Request<Incoming>| shout(request, Arc::clone(&counted)));
    let servers = [HyperServer::start(origin.clone()).await, HyperServer::start(origin).await];
    let policy = Policy::ttl(MINUTE).methods([Method::POST]).key_body(1 << 10);
    let client = ServiceBuilder::new().layer(cache().layer(policy)).service(client());
    let post = |uri: String, body: &'static str| {
        let request = Request::post(uri).body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
        let client = client.clone();
        async move { client.oneshot(request).await.unwrap() }
    };
    // The two servers differ by their port alone.
    for (number, server) in servers.iter().enumerate() {
        let uri = format!("http://{}/embed", server.address);
        for body in ["a", "b", "c"] {
            let first: Response<CacheBody<Incoming>> = post(uri.clone(), body).await;
            assert_eq!(cache_status(&first), "tower-query-cache; fwd=miss; stored");
            assert_eq!(text(first).await, format!("/embed {}", body.to_uppercase()));
            for _ in 0..3 {
                let again = post(uri.clone(), body).await;
                assert!(cache_status(&again).contains("; hit; ttl="));
                assert_eq!(text(again).await, format!("/embed {}", body.to_uppercase()));
            }
        }
        assert_eq!(calls.load(Ordering::SeqCst), 3 * (number + 1));
        assert_eq!(server.connections(), 1, "calls share a connection");
    }
    println!("24 posts, {} calls, 1 connection to each server", calls.load(Ordering::SeqCst));
}

#[tokio::test]
async fn the_error_of_a_client_is_the_clients_own() {
    let policy = Policy::ttl(MINUTE);
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = ServiceBuilder::new().layer(cache().layer(policy)).service(client());
    let request = Request::get(format!("http://{unused}/")).body(Full::<Bytes>::default()).unwrap();
    let error: hyper_util::client::legacy::Error = client.oneshot(request).await.unwrap_err();
    assert!(error.is_connect());
}

/// A server whose only response has the body that the test scripts.
async fn scripted_server(
    length: Option<&'static str>,
) -> (HyperServer, tokio::sync::mpsc::UnboundedSender<Act>) {
    let (acts, body) = scripted();
    let body = Arc::new(Mutex::new(Some(body)));
    let inner = service_fn(move |_: Request<Incoming>| {
        let body: Scripted = body.lock().unwrap().take().expect("called once");
        let mut response = Response::new(body);
        if let Some(length) = length {
            response.headers_mut().insert("content-length", length.parse().unwrap());
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let service = ServiceBuilder::new().layer(cache().layer(Policy::ttl(MINUTE))).service(inner);
    (HyperServer::start(service).await, acts)
}

#[tokio::test]
async fn a_streamed_answer_is_chunked_and_its_hit_has_a_length() {
    let (server, acts) = scripted_server(None).await;
    let mut wire = Wire::connect(server.address).await;
    wire.ask("GET", "/").await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(
        head.contains("\r\ntransfer-encoding: chunked\r\n") && !head.contains("content-length"),
        "{head}"
    );
    assert!(head.contains("\r\ncache-status: tower-query-cache; fwd=miss; stored\r\n"), "{head}");
    for piece in ["one ", "two ", "three"] {
        acts.send(Act::Data(piece)).unwrap();
        assert_eq!(wire.chunk().await, piece, "each frame comes when it is sent");
    }
    drop(acts);
    assert_eq!(wire.chunk().await, "");

    // On the same connection: it is still in step.
    wire.ask("HEAD", "/").await;
    wire.ask("GET", "/").await;
    for body in ["", "one two three"] {
        let head = wire.head().await;
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-length: 13\r\n") && !head.contains("transfer-encoding"), "{head}");
        assert!(head.contains("\r\ncache-status: tower-query-cache; hit; ttl="), "{head}");
        assert!(head.contains("\r\nage: 0\r\n") || head.contains("\r\nage: 1\r\n"), "{head}");
        assert_eq!(wire.bytes(body.len()).await, body);
    }
}

#[tokio::test]
async fn a_streamed_answer_with_a_declared_length_keeps_it() {
    let (server, acts) = scripted_server(Some("8")).await;
    let mut wire = Wire::connect(server.address).await;
    wire.ask("GET", "/").await;
    let head = wire.head().await;
    assert!(head.contains("\r\ncontent-length: 8\r\n") && !head.contains("transfer-encoding"), "{head}");
    acts.send(Act::Data("one ")).unwrap();
    assert_eq!(wire.bytes(4).await, "one ");
    acts.send(Act::Data("two ")).unwrap();
    assert_eq!(wire.bytes(4).await, "two ");
    drop(acts);
    wire.ask("GET", "/").await;
    let head = wire.head().await;
    assert!(head.contains("; hit; ttl=") && head.contains("\r\ncontent-length: 8\r\n"), "{head}");
    assert_eq!(wire.bytes(8).await, "one two ");
}

#[tokio::test]
async fn a_304_from_the_cache_has_no_body_on_the_wire() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let inner = service_fn(move |request: Request<Incoming>| shout(request, Arc::clone(&counted)));
    let service = ServiceBuilder::new().layer(cache().layer(Policy::ttl(MINUTE))).service(inner);
    let server = HyperServer::start(service).await;
    let mut wire = Wire::connect(server.address).await;
    wire.ask("GET", "/").await;
    assert!(wire.head().await.contains("\r\netag: w/"));
    assert_eq!(wire.bytes(2).await, "/ ");
    wire.ask_with("GET", "/", "if-none-match: *\r\n").await;
    assert!(wire.head().await.starts_with("http/1.1 304 not modified\r\n"));
    wire.ask("GET", "/").await;
    assert!(wire.head().await.contains("\r\ncontent-length: 2\r\n"), "the connection is in step");
    assert_eq!(wire.bytes(2).await, "/ ");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}
