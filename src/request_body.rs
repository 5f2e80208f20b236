//! The request body of a service behind a layer that keys bodies.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use crate::budget::{Budget, Reservation};
use crate::policy::Bypass;

/// A request body that was read for its key, as a whole or in part.
///
/// Yields what was read, then what wasn't: a trailing frame or error that came with it, and the rest of the body.
/// The bytes are those that the client sent, in their order.
pub struct RequestBody<B: Body> {
    read: Bytes,
    next: Option<Result<Frame<Bytes>, B::Error>>,
    rest: Option<Pin<Box<B>>>,
    /// Given back once what was read is handed on.
    reservation: Option<Arc<Reservation>>,
}

/// Frames without a byte that are read of one body. No limit for bytes or time ends a body that has nothing else ready.
const EMPTY_FRAMES: usize = 1024;

/// How reading went on after a frame.
enum Read<E> {
    Data(Bytes),
    End,
    Stop(Bypass, Option<Result<Frame<Bytes>, E>>),
}

impl<B: Body> RequestBody<B> {
    /// A body that nothing was read of.
    pub(crate) fn unread(body: B) -> Self {
        Self { read: Bytes::new(), next: None, rest: Some(Box::pin(body)), reservation: None }
    }

    /// A body of bytes that were read before.
    pub(crate) fn of(read: Bytes) -> Self {
        Self { read, next: None, rest: None, reservation: None }
    }

    /// Reads `body` up to `limit` bytes within `time`. Gives the body to hand on, and its bytes if that was all of it.
    pub(crate) async fn read(
        body: B,
        limit: usize,
        budget: &Arc<Budget>,
        time: Duration,
    ) -> (Self, Result<Bytes, Bypass>) {
        let mut this = Self::unread(body);
        let outcome = this.fetch(limit, budget, Instant::now() + time).await;
        let read = match outcome {
            Ok(()) => {
                this.rest = None;
                Ok(this.read.clone())
            }
            Err(reason) => Err(reason),
        };
        (this, read)
    }

    async fn fetch(&mut self, limit: usize, budget: &Arc<Budget>, deadline: Instant) -> Result<(), Bypass> {
        let Some(body) = &mut self.rest else { return Ok(()) };
        if body.is_end_stream() {
            return Ok(());
        }
        if body.size_hint().lower() > limit as u64 {
            return Err(Bypass::BodyTooLarge);
        }
        let reservation = Reservation::new(budget);
        let mut parts = Joined::default();
        let mut empty = 0;
        let stopped = loop {
            let polled = poll_fn(|cx| body.as_mut().poll_frame(cx).map(read));
            match timeout_at(deadline, polled).await {
                Ok(Read::Data(data)) => {
                    let granted = reservation.grow(data.len());
                    empty += usize::from(data.is_empty());
                    parts.push(data);
                    if parts.len() > limit || empty > EMPTY_FRAMES {
                        break Err(Bypass::BodyTooLarge);
                    }
                    if !granted {
                        break Err(Bypass::BodyBudget);
                    }
                    if body.is_end_stream() {
                        break Ok(());
                    }
                }
                Ok(Read::End) => break Ok(()),
                Ok(Read::Stop(reason, next)) => {
                    self.next = next;
                    break Err(reason);
                }
                Err(_) => break Err(Bypass::BodyTimeout),
            }
        };
        self.read = parts.into_bytes();
        self.reservation = Some(reservation);
        stopped
    }
}

fn read<D: Buf, E>(polled: Option<Result<Frame<D>, E>>) -> Read<E> {
    let frame = match polled {
        None => return Read::End,
        Some(Err(error)) => return Read::Stop(Bypass::BodyError, Some(Err(error))),
        Some(Ok(frame)) => frame.map_data(|mut data| data.copy_to_bytes(data.remaining())),
    };
    match frame.into_data() {
        Ok(data) => Read::Data(data),
        Err(trailers) => Read::Stop(Bypass::BodyTrailers, Some(Ok(trailers))),
    }
}

/// Frames joined to one piece; a single frame isn't copied.
#[derive(Default)]
struct Joined {
    only: Bytes,
    many: BytesMut,
}

impl Joined {
    fn len(&self) -> usize {
        self.only.len() + self.many.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.only = data;
            return;
        }
        self.many.extend_from_slice(&std::mem::take(&mut self.only));
        self.many.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.many.is_empty() { self.only } else { self.many.freeze() }
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if !this.read.is_empty() {
            this.reservation = None;
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.read)))));
        }
        if let Some(next) = this.next.take() {
            return Poll::Ready(Some(next));
        }
        match &mut this.rest {
            Some(body) => body.as_mut().poll_frame(cx).map(|polled| {
                let frame = polled?;
                Some(frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))))
            }),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty()
            && self.next.is_none()
            && self.rest.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.read.len() as u64;
        let Some(rest) = self.rest.as_ref().map(|body| body.size_hint()) else {
            return SizeHint::with_exact(read);
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

// The body itself is behind a pinned box; nothing else is pinned.
impl<B: Body> Unpin for RequestBody<B> {}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("read", &self.read.len()).finish_non_exhaustive()
    }
}
