//! What a client gets.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::ext::ReasonPhrase;
use pin_project_lite::pin_project;

use crate::busy::Serving;
use crate::client_stream::Broken;
use crate::error::GatewayError;
use crate::fields::end_to_end;
use crate::request::Own;

/// What a client gets: a few words, or what comes from the cache or the upstream.
pub(crate) type Answer<R> = Response<Either<Full<Bytes>, R>>;

/// A response of the cache or of the upstream, without the fields of the upstream's connection.
pub(crate) fn forward<R>(response: Response<R>) -> Answer<R> {
    let (mut parts, body) = response.into_parts();
    parts.headers = end_to_end(&parts.headers);
    parts.version = Version::HTTP_11;
    if parts.status.canonical_reason().is_none() && parts.extensions.get::<ReasonPhrase>().is_none() {
        // A reason that nobody gave isn't made up.
        parts.extensions.insert(ReasonPhrase::from_static(b""));
    }
    Response::from_parts(parts, Either::Right(body))
}

/// An error in a few words, which name no address.
pub(crate) fn failed<R>(error: &GatewayError) -> Answer<R> {
    let answer = text(error.status(), &error.to_string());
    match error {
        // Where the next request begins isn't known.
        GatewayError::RequestTimeout | GatewayError::RequestBody(_) => closing(answer),
        _ => answer,
    }
}

/// The last answer on its connection.
pub(crate) fn closing<B>(mut answer: Response<B>) -> Response<B> {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// An answer that the gateway gives by itself.
pub(crate) fn own<R>(own: Own) -> Answer<R> {
    match own {
        Own::Refuse(status, reason) => text(status, reason),
        // The client may have begun to use the tunnel: what comes next is no request.
        Own::Tunnel => closing(text(StatusCode::NOT_IMPLEMENTED, "there are no tunnels here")),
        Own::Options => {
            let mut answer = Response::new(Either::Left(Full::default()));
            let methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
            answer
        }
        Own::Trace(request) => {
            let mut answer = Response::new(Either::Left(Full::new(request)));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
            answer
        }
    }
}

fn text<R>(status: StatusCode, reason: &str) -> Answer<R> {
    let mut answer = Response::new(Either::Left(Full::from(format!("{reason}\n"))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

pin_project! {
    /// A body whose error comes a poll later than it could.
    ///
    /// Hyper breaks the connection at an error, which is how the client learns that the body isn't whole, and what it hadn't
    /// written by then is lost. With nothing to send for one poll, it writes what it has.
    #[derive(Debug)]
    pub(crate) struct Flushed<R: Body> {
        #[pin]
        body: R,
        error: Option<R::Error>,
        broken: Option<Broken>,
        serving: Serving,
    }
}

impl<R: Body> Flushed<R> {
    /// The body of the answer that `serving` is for. If it breaks off, `broken` is told.
    pub(crate) const fn new(body: R, broken: Option<Broken>, serving: Serving) -> Self {
        Self { body, error: None, broken, serving }
    }
}

impl<R: Body<Data = Bytes>> Body for Flushed<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = self.project();
        if let Some(error) = this.error.take() {
            if let Some(broken) = this.broken {
                broken.set();
            }
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(this.body.poll_frame(cx)) {
            Some(Err(error)) => {
                *this.error = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.error.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
