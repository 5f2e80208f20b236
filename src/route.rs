//! A policy made ready for requests: its rules, its keys, its counters.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::key::{self, Key, KeyRules};
use crate::policy::{Bypass, Rules};
use crate::stats::RouteStats;

/// A policy made ready for requests.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) rules: Rules,
    pub(crate) keys: KeyRules,
    pub(crate) stats: Arc<RouteStats>,
}

/// Method and fields of a request as the client sent them; what a fill judges its response by.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

impl RequestHead {
    pub(crate) fn of(parts: &Parts) -> Self {
        Self { method: parts.method.clone(), headers: parts.headers.clone() }
    }
}

impl Route {
    /// The primary key of a request whose body, if it is keyed, is `body`.
    pub(crate) fn primary_key(&self, parts: &Parts, body: Option<&[u8]>) -> Result<Key, Bypass> {
        let principal = self.rules.principal(parts)?;
        self.rules.admits_body(parts, body.unwrap_or_default())?;
        key::primary(&self.keys, parts, principal.as_deref(), body)
    }

    /// Takes from the request what isn't part of its key, so that the handler can't answer by it.
    pub(crate) fn disguise(&self, parts: &mut Parts) {
        self.rules.disguise(&mut parts.headers);
        self.keys.disguise(parts);
    }

    /// Counts an answer from an entry.
    pub(crate) fn count<B>(&self, response: &Response<B>) {
        if response.status() == StatusCode::NOT_MODIFIED {
            self.stats.not_modified();
        }
    }
}
