//! The inner service.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tower::Service;

use super::gates::{Gates, Stage};

/// The halves of its answer.
pub(crate) const HALF: &str = "one half, ";
pub(crate) const REST: &str = "and the other";

pub(crate) type OriginBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// The inner service: a gate before it is ready, before its head, and before each half of its body.
pub(crate) struct Origin {
    pub(crate) gates: Arc<Gates>,
    pub(crate) calls: Arc<AtomicUsize>,
    pub(crate) readiness: Option<BoxFuture<'static, ()>>,
}

impl Clone for Origin {
    fn clone(&self) -> Self {
        Self { gates: Arc::clone(&self.gates), calls: Arc::clone(&self.calls), readiness: None }
    }
}

impl<B> Service<Request<B>> for Origin {
    type Response = Response<OriginBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let gates = &self.gates;
        let readiness = self.readiness.get_or_insert_with(|| {
            let gates = Arc::clone(gates);
            Box::pin(async move { gates.at(Stage::NotReady).pass().await })
        });
        ready!(readiness.as_mut().poll(cx));
        self.readiness = None;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let gates = Arc::clone(&self.gates);
        Box::pin(async move {
            gates.at(Stage::Called).pass().await;
            let halves = stream::iter([(Stage::HeadSent, HALF), (Stage::HalfABody, REST)]);
            let frames = halves.then(move |(stage, half)| {
                let gates = Arc::clone(&gates);
                async move {
                    gates.at(stage).pass().await;
                    Ok(Frame::data(Bytes::from_static(half.as_bytes())))
                }
            });
            Ok(Response::new(StreamBody::new(frames.boxed())))
        })
    }
}
