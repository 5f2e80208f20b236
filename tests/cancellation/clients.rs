//! The clients: those who call the service, and those who come over a socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use tokio::task::JoinHandle;
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt as _};
use tower_query_cache::Cache;

use super::origin::Origin;
use super::support::http::get_with;
use super::support::net::{HyperServer, Wire};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The cached service as a client meets it. The first client reads half a body and no more, and is counted while it is
/// there.
#[derive(Clone)]
pub(crate) struct Entrance {
    pub(crate) cached: Cache<Origin>,
    pub(crate) first: Option<Arc<AtomicUsize>>,
}

impl<B: Body + Send + 'static> Service<Request<B>> for Entrance {
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let present = self.first.as_ref().map(Present::new);
        let answer = self.cached.call(request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| match present {
                Some(present) => {
                    Stalling { body: body.boxed_unsync(), stalled: false, _present: present }.boxed_unsync()
                }
                None => body.boxed_unsync(),
            }))
        })
    }
}

/// Counts as one until it is dropped.
pub(crate) struct Present(Arc<AtomicUsize>);

impl Present {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body that nobody reads on after its first frame, as of a client whose window is full.
pub(crate) struct Stalling {
    body: UnsyncBoxBody<Bytes, Infallible>,
    stalled: bool,
    _present: Present,
}

impl Body for Stalling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.stalled {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.stalled = true;
        Poll::Ready(frame)
    }
}

/// How a client reaches the service, and so how it hangs up.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Way {
    Future,
    Socket,
}

pub(crate) enum Door {
    Call(BoxCloneService<Request<Empty<Bytes>>, Answer, Infallible>),
    Connect(HyperServer),
}

impl Door {
    pub(crate) async fn new(way: Way, entrance: Entrance) -> Self {
        match way {
            Way::Future => Self::Call(BoxCloneService::new(entrance)),
            Way::Socket => Self::Connect(HyperServer::start(entrance).await),
        }
    }

    /// Sends a client in.
    pub(crate) fn enter(&self) -> Client {
        let seen = Arc::new(AtomicUsize::new(0));
        let task = match self {
            Self::Call(service) => tokio::spawn(call(service.clone(), Arc::clone(&seen))),
            Self::Connect(server) => tokio::spawn(connect(server.address, Arc::clone(&seen))),
        };
        Client { task, seen }
    }
}

/// A client, and what it has: 1 for the head, and the bytes of the body. Aborted, it drops what it holds.
pub(crate) struct Client {
    pub(crate) task: JoinHandle<String>,
    pub(crate) seen: Arc<AtomicUsize>,
}

pub(crate) async fn call(
    service: BoxCloneService<Request<Empty<Bytes>>, Answer, Infallible>,
    seen: Arc<AtomicUsize>,
) -> String {
    let answer = service.oneshot(get_with("/x", &[("host", "site")])).await.unwrap();
    seen.fetch_add(1, Ordering::SeqCst);
    let (mut body, mut text) = (pin!(answer.into_body()), String::new());
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
        seen.fetch_add(data.len(), Ordering::SeqCst);
    }
    text
}

pub(crate) async fn connect(address: SocketAddr, seen: Arc<AtomicUsize>) -> String {
    let mut wire = Wire::connect(address).await;
    wire.ask("GET", "/x").await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    seen.fetch_add(1, Ordering::SeqCst);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        return wire.bytes(length.parse().unwrap()).await;
    }
    let mut text = String::new();
    loop {
        let chunk = wire.chunk().await;
        if chunk.is_empty() {
            return text;
        }
        seen.fetch_add(chunk.len(), Ordering::SeqCst);
        text.push_str(&chunk);
    }
}
