//! The service behind the cache: sends a request to the upstream and gives its response.

use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{CONTENT_LENGTH, PROXY_AUTHORIZATION, TRANSFER_ENCODING, VIA};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use http_body::Body;
use hyper::body::Incoming;
use tower_service::Service;

use crate::body::UpstreamBody;
use crate::error::GatewayError;
use crate::fields::{end_to_end, without};
use crate::informational::Relay;
use crate::pool::Pool;

/// Where the upstream is.
#[derive(Clone, Debug)]
pub(crate) struct Address(Authority);

impl Address {
    /// What the upstream is called where the client doesn't say.
    pub(crate) const fn authority(&self) -> &Authority {
        &self.0
    }

    /// The name or address, and the port to connect to.
    pub(crate) fn socket(&self) -> (&str, u16) {
        let host = self.0.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        (bare.unwrap_or(host), self.0.port_u16().unwrap_or(80))
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri = text.parse::<Uri>().map_err(|error| format!("{text:?}: {error}"))?;
        match uri.authority() {
            Some(authority)
                if uri.scheme() == Some(&Scheme::HTTP)
                    && uri.path_and_query().is_none_or(|path| path == "/")
                    && !authority.as_str().contains('@') =>
            {
                Ok(Self(authority.clone()))
            }
            _ => Err("only a scheme, a host and a port are taken, as in http://127.0.0.1:8000".to_owned()),
        }
    }
}

/// The upstream as a service. Clones share its connections.
pub(crate) struct Upstream<B> {
    pool: Arc<Pool<B>>,
    patience: Duration,
}

impl<B: Send + 'static> Upstream<B> {
    /// The upstream at `address`, whose responses and their parts take `patience` at most. Nothing is connected yet.
    pub(crate) fn new(address: Address, patience: Duration) -> Self {
        Self { pool: Pool::new(address, patience), patience }
    }
}

impl<B> Clone for Upstream<B> {
    fn clone(&self) -> Self {
        Self { pool: Arc::clone(&self.pool), patience: self.patience }
    }
}

impl<B> fmt::Debug for Upstream<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for Upstream<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<UpstreamBody>;
    type Error = GatewayError;
    type Future = BoxFuture<'static, Result<Response<UpstreamBody>, GatewayError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), GatewayError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (pool, patience) = (Arc::clone(&self.pool), self.patience);
        Box::pin(async move {
            let (request, relay) = outbound(request);
            let response = pool.send(request, relay).await?;
            Ok(inbound(response).map(|body| UpstreamBody::new(body, patience)))
        })
    }
}

/// A request as it goes on the wire, and where its interim responses go.
fn outbound<B: Body>(request: Request<B>) -> (Request<B>, Option<Relay>) {
    let (mut parts, body) = request.into_parts();
    let mut headers = HeaderMap::with_capacity(parts.headers.keys_len() + 1);
    for (name, value) in &end_to_end(&parts.headers) {
        // The client's proxy consumes it (RFC 9110 §11.7.2). Those are no credentials for an origin.
        if *name != PROXY_AUTHORIZATION {
            headers.append(name, value.clone());
        }
    }
    // The version is that of the message as it was received (RFC 9110 §7.6.3).
    headers.append(
        VIA,
        HeaderValue::from_static(if parts.version < Version::HTTP_11 {
            "1.0 tower-query-cache"
        } else {
            "1.1 tower-query-cache"
        }),
    );
    // Hyper takes a GET's body of unknown length for none.
    if !body.is_end_stream() && body.size_hint().exact().is_none() && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    parts.headers = headers;
    parts.version = Version::HTTP_11;
    let relay = parts.extensions.remove::<Relay>();
    parts.extensions.clear();
    (Request::from_parts(parts, body), relay)
}

/// A response with one way to tell its length (RFC 9112 §6.3). Its hop-by-hop fields are still there: what they list may
/// hold the cache's rules.
fn inbound(response: Response<Incoming>) -> Response<Incoming> {
    let (mut parts, body) = response.into_parts();
    parts.version = Version::HTTP_11;
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        without(&mut parts.headers, &CONTENT_LENGTH);
    } else if parts.headers.contains_key(CONTENT_LENGTH) {
        match length(&parts.headers) {
            // In its place: `5, 5` is 5, and so are two lines of it.
            Some(length) => drop(parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
            // Hyper has refused all but those that have no body.
            None => without(&mut parts.headers, &CONTENT_LENGTH),
        }
    }
    Response::from_parts(parts, body)
}

/// What all members of all lines of `Content-Length` say, if they agree.
fn length(headers: &HeaderMap) -> Option<u64> {
    let mut members =
        headers.get_all(CONTENT_LENGTH).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let first = number(members.next()?)?;
    members.all(|member| number(member) == Some(first)).then_some(first)
}

/// Digits and nothing else.
fn number(bytes: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
