//! Clients' connections.

use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;
use tower_service::Service;

use crate::busy::Busy;
use crate::client_stream::{Broken, ClientStream};
use crate::error::GatewayError;
use crate::informational::Outlet;
use crate::response::Flushed;
use crate::upstream::Address;
use crate::{request, response};

/// Field lines of a request or response. Hyper's own limit of 100 is reached by what is allowed.
pub(crate) const MAX_FIELDS: usize = 1024;
/// Bytes of a request's or response's head, and of what is buffered.
pub(crate) const MAX_HEAD: usize = 512 << 10;
/// How long the requests that are being served at the end may take.
const GRACE: Duration = Duration::from_secs(10);

/// A server of one service.
#[derive(Debug)]
pub(crate) struct Server<S> {
    service: S,
    upstream: Address,
    /// How long a client may take for the head of its next request, and for reading something of an answer.
    patience: Duration,
    permits: Arc<Semaphore>,
    /// Whether it is ending. Each connection has a receiver.
    ending: watch::Sender<bool>,
}

impl<S, R> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<R>, Error = GatewayError>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    R: Body<Data = Bytes, Error = GatewayError> + Send + 'static,
{
    /// A server of `service`, which answers for `upstream`, to so many `clients` at a time that do something every `patience`.
    /// More of them wait to be accepted.
    pub(crate) fn new(service: S, upstream: Address, clients: usize, patience: Duration) -> Arc<Self> {
        let permits = Arc::new(Semaphore::new(clients));
        Arc::new(Self { service, upstream, patience, permits, ending: watch::Sender::new(false) })
    }

    /// Accepts connections for as long as it is polled.
    pub(crate) async fn accept(self: &Arc<Self>, listener: TcpListener) {
        while let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, say: they come back when connections end.
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (server, ending) = (Arc::clone(self), self.ending.subscribe());
            tokio::spawn(async move {
                server.serve(stream, ending).await;
                drop(permit);
            });
        }
    }

    /// Closes connections without a request in progress at once and the others after their answers, for which it waits a while.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        if tokio::time::timeout(GRACE, self.ending.closed()).await.is_err() {
            tracing::warn!("requests are cut off: they take too long");
        }
    }

    /// Serves a connection to its end.
    async fn serve(&self, stream: TcpStream, mut ending: watch::Receiver<bool>) {
        // Small answers and interim ones go at once. An error comes again with the first read.
        let _ = stream.set_nodelay(true);
        let (outlet, broken, busy) = (Outlet::default(), Broken::default(), Busy::default());
        let stream = ClientStream::new(stream, outlet.clone(), broken.clone(), busy.clone(), self.patience);
        let answers = service_fn(|request: Request<Incoming>| {
            let broken = (request.version() < Version::HTTP_11).then(|| broken.clone());
            let serving = busy.begin();
            let answer = self.answer(request, &outlet);
            async {
                let answer = answer.await.map(|body| Flushed::new(body, broken, serving));
                Ok::<_, Infallible>(if *self.ending.borrow() { response::closing(answer) } else { answer })
            }
        });
        let mut served = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.patience)
                .max_headers(MAX_FIELDS)
                .max_buf_size(MAX_HEAD)
                // A client may close its side once it has sent its request, and still wants the answer.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), answers)
        );
        tokio::select! {
            biased;
            // First: requests that have come are answered. A broken connection is its client's.
            _ = served.as_mut() => return,
            _ = ending.wait_for(|ending| *ending) => served.as_mut().graceful_shutdown(),
        }
        // A head that isn't whole is waited for no longer.
        poll_fn(|cx| match served.as_mut().poll(cx) {
            Poll::Pending if !busy.is_idle() => Poll::Pending,
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// The answer to a request.
    async fn answer(&self, request: Request<Incoming>, outlet: &Outlet) -> response::Answer<R> {
        let mut request = match request::check(request, self.upstream.authority()) {
            Ok(request) => request,
            Err(own) => return response::own(own),
        };
        // HTTP/1.0 knows no interim responses (RFC 9110 §15.2).
        if request.version() >= Version::HTTP_11 {
            request.extensions_mut().insert(outlet.open());
        }
        let answered = self.service.clone().oneshot(request).await;
        outlet.close().await;
        match answered {
            Ok(response) => response::forward(response),
            Err(error) => response::failed(&error),
        }
    }
}
