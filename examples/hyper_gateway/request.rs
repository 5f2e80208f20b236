//! What a request must be before anything is done for it.
//!
//! From here on the target is a path (or `*`) and `Host` tells the authority, however the client wrote them
//! ([RFC 9112 §3.2]): the same resource has the same key, and the upstream sees the same request.
//!
//! Hyper has done the rest already: a request with `Transfer-Encoding` has lost its `Content-Length`, and its connection
//! is closed after the answer.
//!
//! [RFC 9112 §3.2]: https://www.rfc-editor.org/rfc/rfc9112#section-3.2

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, COOKIE, HOST, MAX_FORWARDS, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version};

use crate::fields::without;

/// An answer that needs neither the cache nor the upstream.
#[derive(Debug)]
pub(crate) enum Own {
    /// The request can't be served, and why.
    Refuse(StatusCode, &'static str),
    /// `CONNECT`.
    Tunnel,
    /// `OPTIONS` that goes no further.
    Options,
    /// `TRACE` that goes no further: the request as it came.
    Trace(Bytes),
}

const fn bad(reason: &'static str) -> Own {
    Own::Refuse(StatusCode::BAD_REQUEST, reason)
}

/// Checks a request and makes its target and its `Host` agree.
///
/// # Errors
///
/// [`Own`], what to answer where the request goes no further.
pub(crate) fn check<B>(mut request: Request<B>, upstream: &Authority) -> Result<Request<B>, Own> {
    if request.method() == Method::CONNECT {
        return Err(Own::Tunnel);
    }
    check_coding(request.headers())?;
    let host = host(&request, upstream)?;
    let (host, target) = target(&request, host)?;
    forwards(&mut request)?;
    *request.uri_mut() = target;
    set_host(request.headers_mut(), host);
    // Ignored here (RFC 9110 §7.8), where the cache would let it pass for that it may mean another protocol.
    without(request.headers_mut(), &UPGRADE);
    Ok(request)
}

/// A transfer coding other than `chunked` can't be undone here, and mustn't be dropped unseen (RFC 9112 §6.1).
fn check_coding(headers: &HeaderMap) -> Result<(), Own> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Own::Refuse(StatusCode::NOT_IMPLEMENTED, "a transfer coding other than chunked")),
    }
}

/// The one `Host` of a request. HTTP/1.0 may have none: it is the upstream's then.
fn host<B>(request: &Request<B>, upstream: &Authority) -> Result<HeaderValue, Own> {
    let mut lines = request.headers().get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => Err(bad("more than one Host")),
        (Some(host), None) if is_authority(host.as_bytes()) => Ok(host.clone()),
        (Some(_), None) => Err(bad("a malformed Host")),
        (None, _) if request.version() < Version::HTTP_11 => {
            HeaderValue::from_str(upstream.as_str()).map_err(|_| bad("no Host"))
        }
        (None, _) => Err(bad("no Host")),
    }
}

/// `uri-host [ ":" port ]`, with a host.
fn is_authority(bytes: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(bytes) else { return false };
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return false;
    }
    match authority.as_str().strip_prefix(authority.host()) {
        Some("" | ":") => true,
        Some(port) => {
            authority.port_u16().is_some() && port.bytes().skip(1).all(|byte| byte.is_ascii_digit())
        }
        None => false,
    }
}

/// The `Host` that counts and the target without an authority.
fn target<B>(request: &Request<B>, host: HeaderValue) -> Result<(HeaderValue, Uri), Own> {
    let (uri, options) = (request.uri(), request.method() == Method::OPTIONS);
    match (uri.scheme(), uri.authority()) {
        (None, None) if uri.path().starts_with('/') || (uri.path() == "*" && options) => {
            Ok((host, uri.clone()))
        }
        (Some(scheme), Some(authority)) => {
            if *scheme != Scheme::HTTP {
                return Err(Own::Refuse(StatusCode::MISDIRECTED_REQUEST, "a scheme other than http"));
            }
            if !is_authority(authority.as_str().as_bytes()) {
                return Err(bad("a malformed authority"));
            }
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad("a malformed authority"))?;
            // An absolute `OPTIONS` without a path would be `*`, but its path is `/` once it is parsed.
            let path = uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
            Ok((host, Uri::from(path)))
        }
        _ => Err(bad("a malformed request target")),
    }
}

/// `Max-Forwards` of `TRACE` and `OPTIONS` (RFC 9110 §7.6.2): at 0 the request goes no further.
fn forwards<B>(request: &mut Request<B>) -> Result<(), Own> {
    if *request.method() != Method::TRACE && *request.method() != Method::OPTIONS {
        return Ok(());
    }
    let Some(value) = request.headers().get(MAX_FORWARDS) else { return Ok(()) };
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    // What is beyond 64 bits is as good as any number that is.
    let left = value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let Some(left) = left.checked_sub(1) else {
        return Err(if *request.method() == Method::TRACE {
            Own::Trace(trace(request))
        } else {
            Own::Options
        });
    };
    // In its place: only what is removed moves others.
    request.headers_mut().insert(MAX_FORWARDS, HeaderValue::from(left));
    Ok(())
}

/// A request as it came, but for what a trace mustn't show (RFC 9110 §9.3.8).
fn trace<B>(request: &Request<B>) -> Bytes {
    let mut text = format!("TRACE {} {:?}\r\n", request.uri(), request.version()).into_bytes();
    for (name, value) in request.headers() {
        if *name != AUTHORIZATION && *name != PROXY_AUTHORIZATION && *name != COOKIE {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
    }
    text.extend_from_slice(b"\r\n");
    Bytes::from(text)
}

/// Sets `Host` in its place; where there is none, in front, where it belongs.
fn set_host(headers: &mut HeaderMap, host: HeaderValue) {
    if headers.contains_key(HOST) {
        headers.insert(HOST, host);
        return;
    }
    let mut all = HeaderMap::with_capacity(headers.keys_len() + 1);
    all.insert(HOST, host);
    for (name, value) in &*headers {
        all.append(name, value.clone());
    }
    *headers = all;
}
