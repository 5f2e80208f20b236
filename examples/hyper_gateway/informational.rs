//! 1xx responses on their way from the upstream to the client.
//!
//! Hyper's server sends one response to a request, and a 1xx isn't it. So a client's connection has an [`Outlet`]: while
//! a request waits for its response, its [`Relay`] puts what the upstream sends into the outlet, and the connection's
//! stream writes it at a time when hyper has nothing half written.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};

use crate::fields::end_to_end;

/// 1xx responses to one request that are relayed. The others are dropped.
const MAX_RESPONSES: usize = 64;
/// Their bytes in all.
const MAX_BYTES: usize = 1 << 16;

/// What a client's connection has to write before the response that is waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outlet(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The number of the request that is being served; a relay of an earlier one is void.
    request: u64,
    open: bool,
    queue: VecDeque<Bytes>,
    /// Whether the stream has taken a response and not yet written all of it.
    writing: bool,
    responses: usize,
    bytes: usize,
    /// The task of the connection, which polls the stream and the request's future alike.
    connection: Option<Waker>,
}

impl Outlet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request.
    pub(crate) fn open(&self) -> Relay {
        let mut state = self.state();
        state.request += 1;
        state.open = true;
        (state.responses, state.bytes) = (0, 0);
        state.queue.clear();
        Relay { outlet: self.clone(), request: state.request }
    }

    /// Ends a request, before hyper gets its response: takes no more, and waits until all that was taken is written.
    pub(crate) async fn close(&self) {
        self.state().open = false;
        poll_fn(|cx| {
            let mut state = self.state();
            if state.queue.is_empty() && !state.writing {
                return Poll::Ready(());
            }
            state.connection = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The next response to write, for the stream, once all of the last one is written.
    pub(crate) fn next(&self, cx: &Context<'_>) -> Option<Bytes> {
        let mut state = self.state();
        let next = state.queue.pop_front();
        let written = std::mem::replace(&mut state.writing, next.is_some());
        if next.is_none() {
            if written && !state.open {
                // The request's future waits for this, and was polled before the stream was.
                cx.waker().wake_by_ref();
            }
            state.connection = Some(cx.waker().clone());
        }
        next
    }
}

/// A request's way to its client while it waits for its response. Its clones, and those of a refresh that outlives it, do
/// nothing after that.
#[derive(Clone, Debug)]
pub(crate) struct Relay {
    outlet: Outlet,
    request: u64,
}

impl Relay {
    /// Passes an interim response on. 100 is hyper's own, and 101 is none.
    pub(crate) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut state = self.outlet.state();
        if !state.open || state.request != self.request || state.responses >= MAX_RESPONSES {
            return;
        }
        let response = encode(status, headers);
        if state.bytes + response.len() > MAX_BYTES {
            return;
        }
        state.responses += 1;
        state.bytes += response.len();
        state.queue.push_back(response);
        if let Some(connection) = state.connection.take() {
            connection.wake();
        }
    }
}

/// An interim response on the wire: it has no content, and no field that tells a length (RFC 9110 §8.6, RFC 9112 §6.1).
fn encode(status: StatusCode, headers: &HeaderMap) -> Bytes {
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in &end_to_end(headers) {
        if *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
    }
    text.extend_from_slice(b"\r\n");
    Bytes::from(text)
}
