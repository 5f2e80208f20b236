//! The body of an upstream's response.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::error::GatewayError;

/// A body as the upstream sends it. One that is cut short or that stalls ends with an error.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    inner: Incoming,
    /// How long the upstream may send nothing.
    patience: Duration,
    /// Runs while nothing comes.
    stall: Option<Pin<Box<Sleep>>>,
}

impl UpstreamBody {
    /// The body of a response, of which something must come every `patience`.
    pub(crate) const fn new(inner: Incoming, patience: Duration) -> Self {
        Self { inner, patience, stall: None }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = GatewayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GatewayError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.stall = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(GatewayError::Response)));
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        stall.as_mut().poll(cx).map(|()| Some(Err(GatewayError::Timeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
