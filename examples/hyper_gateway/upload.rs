//! The body of a request on its way to the upstream.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::watch;

pin_project! {
    /// A body that tells of each of its frames: the time that a response may take doesn't run while its request still moves.
    #[derive(Debug)]
    pub(crate) struct Upload<B> {
        #[pin]
        body: B,
        moved: watch::Sender<Awaited>,
    }
}

/// Who is to do something for a request to move on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Awaited {
    /// The client, to send more of the body.
    Client,
    /// The upstream, to read more of it or to answer.
    Upstream,
}

/// Tells of the interim responses to a request.
#[derive(Debug)]
pub(crate) struct Interim(watch::Sender<Awaited>);

impl Interim {
    /// One has come.
    pub(crate) fn moved(&self) {
        self.0.send_modify(|_| {});
    }
}

impl<B> Upload<B> {
    /// A body, what changes with each frame of it, and by what else that changes. It is closed when hyper is done with both.
    pub(crate) fn new(body: B) -> (Self, watch::Receiver<Awaited>, Interim) {
        let (moved, receiver) = watch::channel(Awaited::Upstream);
        (Self { body, moved: moved.clone() }, receiver, Interim(moved))
    }
}

impl<B: Body> Body for Upload<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(cx);
        let awaited = if polled.is_ready() { Awaited::Upstream } else { Awaited::Client };
        this.moved.send_if_modified(|before| {
            *before = awaited;
            polled.is_ready()
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
