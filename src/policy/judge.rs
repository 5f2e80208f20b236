//! The response side: whether a response is stored, and for how long.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, CONTENT_TYPE,
    HeaderMap, ORIGIN, SET_COOKIE, VARY,
};
use http::{Method, StatusCode, response};

use super::gate::{is_grpc, starts_with};
use super::http::age::age_value;
use super::targeted::Selected;
use super::{NoStore, Refusal, Rules};
use crate::clock::Millis;
use crate::entry::Windows;

/// How long a response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Freshness lifetime, milliseconds, counted from age 0: the response is fresh while its age is less.
    pub(crate) lifetime: Millis,
    /// Its age when it was received, milliseconds.
    pub(crate) initial_age: Millis,
    /// What it is good for after its lifetime.
    pub(crate) windows: Windows,
}

impl Rules {
    /// Whether the response to a request may be stored. Pure: the caller says what time it is.
    ///
    /// The request is the client's own, before [`disguise`](Self::disguise). `Vary` is judged with the keys.
    ///
    /// # Errors
    ///
    /// The reason not to store it.
    pub(crate) fn judge(
        &self,
        request_method: &Method,
        request_headers: &HeaderMap,
        response: &response::Parts,
        now: Millis,
    ) -> Result<Verdict, Refusal> {
        let headers = &response.headers;
        if request_method == Method::HEAD {
            return Err(Refusal::Head);
        }
        if response.extensions.get::<NoStore>().is_some() {
            return Err(Refusal::HandlerNoStore);
        }
        if response.status == StatusCode::SWITCHING_PROTOCOLS || is_endless(headers) {
            return Err(Refusal::Streaming);
        }
        let own = self.status_ttl(response.status)?;
        let selected = self.admitted_directives(headers)?;
        if headers.contains_key(SET_COOKIE) {
            return Err(Refusal::SetCookie);
        }
        if !self.keys_origin && echoes_origin(request_headers, headers) {
            return Err(Refusal::OriginEcho);
        }
        if has_nonce(headers) {
            return Err(Refusal::CspNonce);
        }
        let windows = self.stale.windows(response.status, &selected.directives, self.override_ttl);
        let initial_age = age_value(headers);
        let lifetime = self.lifetime(response, &selected, own, initial_age, now);
        if lifetime > initial_age {
            Ok(Verdict { lifetime, initial_age, windows })
        } else {
            Err(Refusal::ZeroLifetime)
        }
    }

    /// `store_if`, for a body that comes in chunks.
    ///
    /// # Errors
    ///
    /// [`Refusal::StoreIf`].
    pub(crate) fn keeps(&self, response: &response::Parts, body: &[Bytes]) -> Result<(), Refusal> {
        let Some(keeps) = &self.hooks.store_if else { return Ok(()) };
        let kept = match body {
            [whole] => keeps(response, whole),
            chunks => keeps(response, &chunks.concat()),
        };
        if kept { Ok(()) } else { Err(Refusal::StoreIf) }
    }

    /// The policy's own TTL for a status. 1xx, 206 and 304 never have one.
    fn status_ttl(&self, status: StatusCode) -> Result<Millis, Refusal> {
        match self.negative_ttl.get(&status) {
            _ if status == StatusCode::OK => Ok(self.ttl),
            Some(ttl) => Ok(*ttl),
            None if status.is_server_error() => Err(Refusal::ServerError),
            None => Err(Refusal::Status),
        }
    }

    /// The directives that apply, unless one of them forbids storing.
    fn admitted_directives(&self, headers: &HeaderMap) -> Result<Selected, Refusal> {
        let selected = Selected::of(headers, &self.targets);
        let directives = &selected.directives;
        if directives.no_store {
            Err(Refusal::NoStore)
        } else if directives.any_private() {
            Err(Refusal::Private)
        } else if directives.any_no_cache() && !self.override_ttl {
            Err(Refusal::NoCache)
        } else {
            Ok(selected)
        }
    }
}

/// Whether the media type is one whose bodies aren't meant to end.
fn is_endless(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().map(|value| value.as_bytes()).any(|value| {
        is_grpc(value)
            || starts_with(value, b"text/event-stream")
            || starts_with(value, b"multipart/x-mixed-replace")
    })
}

/// Whether the response is for the request's `Origin` alone and doesn't say so by `Vary`.
fn echoes_origin(request: &HeaderMap, response: &HeaderMap) -> bool {
    let Some(origin) = request.get(ORIGIN) else { return false };
    let echoes = response
        .get_all(ACCESS_CONTROL_ALLOW_ORIGIN)
        .iter()
        .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
    let varies = || {
        response
            .get_all(VARY)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
            .any(|field| field.trim_ascii().eq_ignore_ascii_case(b"origin"))
    };
    echoes && !varies()
}

/// Whether a Content-Security-Policy, enforced or not, has a nonce: one that is used twice protects nobody.
fn has_nonce(headers: &HeaderMap) -> bool {
    const NONCE: &[u8] = b"'nonce-";
    [CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY].iter().any(|field| {
        headers.get_all(field).iter().any(|policy| {
            policy.as_bytes().windows(NONCE.len()).any(|window| window.eq_ignore_ascii_case(NONCE))
        })
    })
}

#[cfg(test)]
mod tests;
