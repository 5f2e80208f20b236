//! A client's connection, as hyper reads and writes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use crate::busy::Busy;
use crate::informational::Outlet;

/// A stream that writes interim responses between hyper's bytes.
///
/// It writes them when it is flushed, and only then: hyper flushes its stream when its own buffer is empty, which is when
/// all of the earlier response is written. The response to the request that they belong to isn't in that buffer,
/// because hyper gets it after [`Outlet::close`] alone. Hyper flushes whenever its connection is polled.
#[derive(Debug)]
pub(crate) struct ClientStream {
    stream: TcpStream,
    outlet: Outlet,
    /// What is left to write of an interim response that was begun.
    begun: Bytes,
    /// How long the client may read nothing.
    patience: Duration,
    /// Runs while nothing can be written.
    stall: Option<Pin<Box<Sleep>>>,
    broken: Broken,
    busy: Busy,
}

/// Whether a body broke off that ends with its connection, as all of unknown length do for HTTP/1.0.
///
/// A connection that is closed in order would make such a body look whole, so it is reset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broken(Arc<AtomicBool>);

impl Broken {
    /// Has the connection reset at its end.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.broken.0.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl ClientStream {
    /// A stream that also writes what comes out of `outlet`, to a client that reads something every `patience`.
    /// `busy` is told when all of an answer is written.
    pub(crate) const fn new(
        stream: TcpStream,
        outlet: Outlet,
        broken: Broken,
        busy: Busy,
        patience: Duration,
    ) -> Self {
        Self { stream, outlet, begun: Bytes::new(), patience, stall: None, broken, busy }
    }

    /// What a write gives, unless the client has read nothing for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        stall.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes the rest of an interim response that was begun.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.begun.is_empty() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &self.begun);
            match ready!(self.in_time(cx, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.begun.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_begun(cx))?;
            match self.outlet.next(cx) {
                Some(next) => self.begun = next,
                None => {
                    self.busy.written();
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
