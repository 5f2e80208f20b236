//! A client's connection, as hyper reads and writes it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

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
}

impl ClientStream {
    /// A stream that also writes what comes out of `outlet`.
    pub(crate) const fn new(stream: TcpStream, outlet: Outlet) -> Self {
        Self { stream, outlet, begun: Bytes::new() }
    }

    /// Writes the rest of an interim response that was begun.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.begun.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.begun))? {
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
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_begun(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_begun(cx))?;
            match self.outlet.next(cx) {
                Some(next) => self.begun = next,
                None => return Pin::new(&mut self.stream).poll_flush(cx),
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
