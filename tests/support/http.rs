//! Requests, responses and bodies for tests.

use std::cell::Cell;
use std::convert::Infallible;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::sync::mpsc;

/// A GET without a body.
pub fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

/// A GET with fields.
pub fn get_with(uri: &str, fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let mut request = Request::get(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Empty::new()).unwrap()
}

/// A 200 with a whole body.
pub fn ok(body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::new(Full::new(body.into()))
}

/// A 200 with fields and a whole body.
pub fn ok_with(fields: &[(&str, &str)], body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::builder();
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// The whole body as text.
pub async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `Cache-Status`, or nothing.
pub fn cache_status<B>(response: &Response<B>) -> &str {
    field(response.headers(), "cache-status")
}

/// A field's value, or nothing.
pub fn field<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Asserts a hit whose body is `body`.
pub async fn assert_hit<B>(response: Response<B>, body: &str)
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    assert!(cache_status(&response).starts_with("tower-query-cache; hit; ttl="), "{:?}", response.headers());
    assert!(response.headers().contains_key(header::AGE));
    assert_eq!(text(response).await, body);
}

/// What a scripted body does next.
pub enum Act<E = Infallible> {
    Data(&'static str),
    Trailers(HeaderMap),
    Error(E),
    Panic,
}

pin_project_lite::pin_project! {
    /// A body that does what the test says when it says so: neither `Sync` nor `Unpin`.
    pub struct Scripted<E = Infallible> {
        acts: mpsc::UnboundedReceiver<Act<E>>,
        not_sync: PhantomData<Cell<()>>,
        #[pin]
        not_unpin: PhantomPinned,
    }
}

/// A scripted body and the sender of its acts; dropping the sender ends the body.
pub fn scripted<E>() -> (mpsc::UnboundedSender<Act<E>>, Scripted<E>) {
    let (sender, acts) = mpsc::unbounded_channel();
    (sender, Scripted { acts, not_sync: PhantomData, not_unpin: PhantomPinned })
}

impl<E> Body for Scripted<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        self.project().acts.poll_recv(cx).map(|act| match act? {
            Act::Data(data) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
            Act::Trailers(trailers) => Some(Ok(Frame::trailers(trailers))),
            Act::Error(error) => Some(Err(error)),
            Act::Panic => panic!("the body panics"),
        })
    }
}
