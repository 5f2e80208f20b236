//! The request side: which requests the cache may answer, and for whom.

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, COOKIE, HeaderMap, PRAGMA, RANGE, UPGRADE};
use http::{Method, request::Parts};

use super::directives::Directives;
use super::fields::remove_where;
use super::{Bypass, Rules, cookies};

/// Fields that `Connection` may list, because no answer depends on what services see of them: those of one connection, and the
/// directives, which the cache reads itself.
const OF_NO_CONSEQUENCE: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "http2-settings",
    "te",
    "transfer-encoding",
    "cache-control",
    "pragma",
];

/// Fields that the cache puts into requests by itself.
const ITS_OWN: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];

impl Rules {
    /// Whether the request is of a kind that the cache may answer.
    ///
    /// # Errors
    ///
    /// The reason to bypass.
    pub(crate) fn gate(&self, parts: &Parts) -> Result<(), Bypass> {
        let headers = &parts.headers;
        if parts.method == Method::CONNECT || headers.contains_key(UPGRADE) {
            Err(Bypass::Upgrade)
        } else if !self.is_for(&parts.method) {
            Err(Bypass::Method)
        } else if self.http.is_none() && headers.contains_key(RANGE) {
            Err(Bypass::Range)
        } else if headers.get_all(CONTENT_TYPE).iter().any(|value| is_grpc(value.as_bytes())) {
            Err(Bypass::Grpc)
        } else if self.http.is_none() && lists_own_field(headers) {
            Err(Bypass::Connection)
        } else if self.honor_request_directives && declines_cache(headers) {
            Err(Bypass::RequestDirective)
        } else {
            Ok(())
        }
    }

    /// Whether the policy is for requests with this method.
    pub(crate) fn is_for(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    /// For whom the answer is: `None` for everybody, else the principal that is part of the key.
    ///
    /// # Errors
    ///
    /// The reason to bypass: credentials without a rule for them, or no principal where there must be one.
    pub(crate) fn principal<'a>(&'a self, parts: &'a Parts) -> Result<Option<Cow<'a, [u8]>>, Bypass> {
        if let Some(principal) = &self.hooks.partition_by {
            return principal(parts).map(Some).ok_or(Bypass::NoPrincipal);
        }
        if self.strip_credentials || self.http.is_some() {
            return Ok(None);
        }
        if parts.headers.keys().any(|name| self.credentials.contains(name)) {
            return Err(Bypass::Credentials);
        }
        let cookie = match &self.session_cookies {
            None => parts.headers.contains_key(COOKIE),
            Some(session) => cookies::any_session(&parts.headers, session),
        };
        if cookie { Err(Bypass::Cookie) } else { Ok(None) }
    }

    /// Takes from the request what the handler mustn't see when its answer may be given to others: stripped
    /// credentials and the cookies that don't count.
    pub(crate) fn disguise(&self, headers: &mut HeaderMap) {
        if self.strip_credentials {
            remove_where(headers, |name| *name == COOKIE || self.credentials.contains(name));
        } else if let Some(session) = &self.session_cookies {
            cookies::hide_others(headers, session);
        }
    }

    /// Whether [`disguise`](Self::disguise) may hide anything.
    pub(crate) const fn hides(&self) -> bool {
        self.strip_credentials || self.session_cookies.is_some()
    }

    /// `cache_if`.
    ///
    /// # Errors
    ///
    /// [`Bypass::CacheIf`].
    pub(crate) fn admits_body(&self, parts: &Parts, body: &[u8]) -> Result<(), Bypass> {
        match &self.hooks.cache_if {
            Some(admits) if !admits(parts, body) => Err(Bypass::CacheIf),
            _ => Ok(()),
        }
    }
}

/// Whether `Connection` lists a field that the request has, or that the cache may add. A service that forwards requests takes
/// it off ([RFC 9110 §7.6.1]), another one doesn't, so it isn't known what they answer to.
///
/// [RFC 9110 §7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
pub(crate) fn lists_own_field(headers: &HeaderMap) -> bool {
    let is_in = |names: &[&str], option: &str| names.iter().any(|name| option.eq_ignore_ascii_case(name));
    let lines = headers.get_all(CONNECTION).iter();
    let options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    options.filter_map(|option| std::str::from_utf8(option.trim_ascii()).ok()).any(|option| {
        is_in(&ITS_OWN, option) || (headers.contains_key(option) && !is_in(&OF_NO_CONSEQUENCE, option))
    })
}

/// Whether a media type is one of gRPC's: `application/grpc`, `application/grpc+proto`,
/// `application/grpc-web`.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    starts_with(content_type, b"application/grpc")
}

/// Whether a value starts so, whatever the case.
pub(super) fn starts_with(value: &[u8], start: &[u8]) -> bool {
    value.get(..start.len()).is_some_and(|value| value.eq_ignore_ascii_case(start))
}

/// Whether the client asks not to be answered from a cache ([RFC 9111 §5.2.1], and §5.4 for `Pragma`).
///
/// [RFC 9111 §5.2.1]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1
fn declines_cache(headers: &HeaderMap) -> bool {
    if headers.contains_key(CACHE_CONTROL) {
        let directives = Directives::of(headers, &CACHE_CONTROL);
        directives.no_store || directives.any_no_cache() || directives.max_age == Some(0)
    } else {
        Directives::of(headers, &PRAGMA).any_no_cache()
    }
}

#[cfg(test)]
mod tests;
