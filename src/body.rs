//! The response body that a [`Cache`](crate::Cache) answers with.

use std::any::Any;
use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::budget::Reservation;
use crate::flight::Waiter;

pin_project! {
    /// Body of the responses of a [`Cache`](crate::Cache).
    ///
    /// A stored body is one frame. The inner service's body comes through frame by frame as it was sent, trailers
    /// and errors included, whether it is being recorded or not. `Error` is the inner body's.
    pub struct CacheBody<R: Body> { #[pin] kind: Kind<R> }
}

pin_project! {
    #[project = KindProj]
    enum Kind<R: Body> {
        Whole { data: Bytes },
        Origin { #[pin] body: R },
        Streamed { stream: Streamed<R> },
    }
}

/// What a fill sends to the client that waits for its body.
pub(crate) enum Piece<R: Body> {
    /// The next frame, or the error that ends the body.
    Frame(Result<Frame<Bytes>, R::Error>),
    /// The fill no longer records: the client takes the rest at its own pace.
    Rest(Pin<Box<R>>),
    /// The body panicked.
    Panic(Box<dyn Any + Send>),
}

/// A body that a fill is recording; bounded by what the fill may record.
pub(crate) struct Streamed<R: Body> {
    pieces: UnboundedReceiver<Piece<R>>,
    rest: Option<Pin<Box<R>>>,
    /// Bytes still to come, where the inner body tells.
    remaining: Option<u64>,
    /// The client, as one who waits for the fill.
    waiter: Option<Waiter>,
    /// What the queue may hold, kept for as long as the queue is.
    _reservation: Arc<Reservation>,
}

impl<R: Body> CacheBody<R> {
    /// A body that is there already.
    pub(crate) const fn whole(data: Bytes) -> Self {
        Self { kind: Kind::Whole { data } }
    }

    /// The inner service's body, untouched.
    pub(crate) const fn origin(body: R) -> Self {
        Self { kind: Kind::Origin { body } }
    }

    /// A body that comes through a fill.
    pub(crate) const fn streamed(
        pieces: UnboundedReceiver<Piece<R>>,
        remaining: Option<u64>,
        reservation: Arc<Reservation>,
    ) -> Self {
        let stream = Streamed { pieces, rest: None, remaining, waiter: None, _reservation: reservation };
        Self { kind: Kind::Streamed { stream } }
    }

    /// The client counts as a waiter of the fill until the body is whole or dropped.
    pub(crate) fn hold(&mut self, waiter: Waiter) {
        if let Kind::Streamed { stream } = &mut self.kind {
            stream.waiter = Some(waiter);
        }
    }
}

impl<R: Body<Data = Bytes>> Body for CacheBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match self.project().kind.project() {
            KindProj::Whole { data } if data.is_empty() => Poll::Ready(None),
            KindProj::Whole { data } => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            KindProj::Origin { body } => body.poll_frame(cx),
            KindProj::Streamed { stream } => stream.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole { data } => data.is_empty(),
            Kind::Origin { body } => body.is_end_stream(),
            Kind::Streamed { stream } => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { data } => SizeHint::with_exact(data.len() as u64),
            Kind::Origin { body } => body.size_hint(),
            Kind::Streamed { stream } => stream.size_hint(),
        }
    }
}

impl<R: Body<Data = Bytes>> Streamed<R> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        loop {
            if let Some(rest) = &mut self.rest {
                return rest.as_mut().poll_frame(cx);
            }
            match ready!(self.pieces.poll_recv(cx)) {
                Some(Piece::Frame(frame)) => {
                    if let (Some(remaining), Ok(frame)) = (&mut self.remaining, &frame) {
                        let sent = frame.data_ref().map_or(0, |data| data.len() as u64);
                        *remaining = remaining.saturating_sub(sent);
                    }
                    return Poll::Ready(Some(frame));
                }
                Some(Piece::Rest(body)) => {
                    self.waiter = None;
                    self.rest = Some(body);
                }
                Some(Piece::Panic(payload)) => resume_unwind(payload),
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.rest {
            Some(rest) => rest.is_end_stream(),
            None => self.pieces.is_closed() && self.pieces.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.rest, self.remaining) {
            (Some(rest), _) => rest.size_hint(),
            (None, Some(remaining)) => SizeHint::with_exact(remaining),
            (None, None) => SizeHint::default(),
        }
    }
}

impl<R: Body> fmt::Debug for CacheBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.kind {
            Kind::Whole { .. } => "CacheBody::Whole",
            Kind::Origin { .. } => "CacheBody::Origin",
            Kind::Streamed { .. } => "CacheBody::Streamed",
        })
    }
}
