//! Recording a body while it goes to the client.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::body::Piece;
use crate::budget::{Budget, Reservation};
use crate::policy::Refusal;

/// What a frame costs beside its bytes, so that a body of empty frames isn't free.
const FRAME: usize = 64;

/// What frames may cost whatever the limit for the body is.
const FRAMES_FREE: usize = 64 << 10;

/// What one step of a recording gave.
pub(crate) enum Step {
    /// A data frame that isn't the last one was recorded and handed on.
    More,
    /// The body ended cleanly. Its last frame, if that told so, is still held back.
    End(Option<Frame<Bytes>>),
    /// The body can't be stored; the client has everything that came.
    Refused(Refusal),
    /// The body panicked.
    Panicked(Box<dyn Any + Send>),
}

/// A body that is being recorded. Dropped before its end, it hands the rest to the client.
pub(crate) struct Recording<R: Body<Data = Bytes>> {
    body: Option<Pin<Box<R>>>,
    chunks: Vec<Bytes>,
    bytes: usize,
    limit: usize,
    declared: Option<u64>,
    /// Whether a body that ends with trailers is whole without them.
    ends_with_trailers: bool,
    /// The trailers that ended it, held back as the last frame is.
    trailers: Option<Frame<Bytes>>,
    client: UnboundedSender<Piece<R>>,
    reservation: Arc<Reservation>,
}

impl<R: Body<Data = Bytes>> Recording<R> {
    /// Starts to record `body`, whose declared Content-Length is `declared`, up to `limit` bytes.
    pub(crate) fn new(
        body: R,
        declared: Option<u64>,
        limit: usize,
        budget: &Arc<Budget>,
    ) -> (Self, UnboundedReceiver<Piece<R>>) {
        let (client, pieces) = unbounded_channel();
        let recording = Self {
            body: Some(Box::pin(body)),
            chunks: Vec::new(),
            bytes: 0,
            limit,
            declared,
            ends_with_trailers: false,
            trailers: None,
            client,
            reservation: Reservation::new(budget),
        };
        (recording, pieces)
    }

    /// A body that ends with trailers is whole without them ([RFC 9111 §3.1]): they go to the client alone.
    ///
    /// [RFC 9111 §3.1]: https://www.rfc-editor.org/rfc/rfc9111#section-3.1
    pub(crate) const fn without_trailers(mut self, discard: bool) -> Self {
        self.ends_with_trailers = discard;
        self
    }

    /// Whether the body has ended with trailers, which the client hasn't had yet.
    pub(crate) const fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Whether the body may have more for the client, though all that is stored has come.
    pub(crate) const fn is_open(&self) -> bool {
        self.body.is_some()
    }

    pub(crate) fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Kept by the client too, whose queue holds the recorded frames.
    pub(crate) fn reservation(&self) -> Arc<Reservation> {
        Arc::clone(&self.reservation)
    }

    /// Bytes still to come for a client that has had none, where they are known.
    pub(crate) fn length(&self) -> Option<u64> {
        let body = self.body.as_ref()?;
        let rest = body.size_hint().exact()?;
        rest.checked_add(self.bytes as u64)
    }

    /// Takes the next step.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(Step::End(None));
        };
        if self.bytes == 0 && body.is_end_stream() {
            return Poll::Ready(self.end(None));
        }
        let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
        Poll::Ready(match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(None)) => self.end(None),
            Ok(Poll::Ready(Some(Ok(frame)))) => self.frame(frame, cx),
            Ok(Poll::Ready(Some(Err(error)))) => {
                self.send(Piece::Frame(Err(error)));
                self.refuse(Refusal::BodyError)
            }
            Err(payload) => {
                self.body = None;
                Step::Panicked(payload)
            }
        })
    }

    fn frame(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Step {
        let Some(data) = frame.data_ref() else {
            if self.ends_with_trailers && frame.is_trailers() {
                self.trailers = Some(frame);
                return self.end(None);
            }
            self.send(Piece::Frame(Ok(frame)));
            return self.refuse(Refusal::Trailers);
        };
        self.bytes = self.bytes.saturating_add(data.len());
        let frames = (self.chunks.len() + 1).saturating_mul(FRAME);
        if self.bytes > self.limit || frames > self.limit.max(FRAMES_FREE) {
            self.send(Piece::Frame(Ok(frame)));
            return self.refuse(Refusal::TooLarge);
        }
        if !self.reservation.grow(data.len() + FRAME) {
            self.send(Piece::Frame(Ok(frame)));
            return self.refuse(Refusal::RecordingBudget);
        }
        self.chunks.push(data.clone());
        if self.body.as_ref().is_some_and(|body| body.is_end_stream()) {
            return self.end(Some(frame));
        }
        if self.declared == Some(self.bytes as u64) {
            return self.declared_end(frame, cx);
        }
        self.send(Piece::Frame(Ok(frame)));
        Step::More
    }

    /// All declared bytes are there, but the body doesn't say that it ended. It is asked once, without waiting:
    /// servers stop at the declared length and may never poll on.
    fn declared_end(&mut self, frame: Frame<Bytes>, cx: &mut Context<'_>) -> Step {
        let Some(body) = &mut self.body else {
            return self.end(Some(frame));
        };
        match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx))) {
            Ok(Poll::Ready(None)) => self.end(Some(frame)),
            // What may still come, such as trailers, is the client's; the body stays open for it.
            Ok(Poll::Pending) => Step::End(Some(frame)),
            Ok(Poll::Ready(Some(Ok(next)))) if self.ends_with_trailers && next.is_trailers() => {
                self.trailers = Some(next);
                self.end(Some(frame))
            }
            Ok(Poll::Ready(Some(next))) => {
                let refusal = match &next {
                    Ok(next) if next.is_trailers() => Refusal::Trailers,
                    Ok(_) => Refusal::LengthMismatch,
                    Err(_) => Refusal::BodyError,
                };
                self.send(Piece::Frame(Ok(frame)));
                self.send(Piece::Frame(next));
                self.refuse(refusal)
            }
            Err(payload) => {
                self.send(Piece::Frame(Ok(frame)));
                self.body = None;
                Step::Panicked(payload)
            }
        }
    }

    fn end(&mut self, last: Option<Frame<Bytes>>) -> Step {
        self.body = None;
        if self.declared.is_some_and(|declared| declared != self.bytes as u64) {
            self.send_last(last);
            return Step::Refused(Refusal::LengthMismatch);
        }
        Step::End(last)
    }

    /// Stops recording; the client takes the rest of the body at its own pace.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> Step {
        self.hand_over();
        Step::Refused(refusal)
    }

    /// Sends a piece to the client; a client that is gone changes nothing.
    pub(crate) fn send(&self, piece: Piece<R>) {
        self.client.send(piece).ok();
    }

    /// Sends what was held back until the response was committed.
    pub(crate) fn send_last(&mut self, last: Option<Frame<Bytes>>) {
        for frame in last.into_iter().chain(self.trailers.take()) {
            self.send(Piece::Frame(Ok(frame)));
        }
    }

    fn hand_over(&mut self) {
        if let Some(body) = self.body.take() {
            self.send(Piece::Rest(body));
        }
    }
}

impl<R: Body<Data = Bytes>> Drop for Recording<R> {
    fn drop(&mut self) {
        self.hand_over();
    }
}
