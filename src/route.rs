//! A policy made ready for requests: its rules, its keys, its counters.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, response};

use crate::conditional;
use crate::key::{self, Key, KeyRules};
use crate::policy::{Bypass, Refusal, Rules};
use crate::purge::{self, CacheTags, Tag, TagScope};
use crate::stats::RouteStats;

/// A policy made ready for requests.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) rules: Rules,
    pub(crate) keys: KeyRules,
    pub(crate) stats: Arc<RouteStats>,
    label: String,
    scope: TagScope,
    /// Whether the log has the remedy for cookies.
    warned: AtomicBool,
}

/// Method and fields of a request as the handler sees them; what a fill judges its response by, and `Vary` goes by.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

/// Whether a fill of such a request would do for everybody. A HEAD's wouldn't, nor one that only the origin can judge.
pub(crate) fn may_refresh(method: &Method, headers: &HeaderMap) -> bool {
    *method != Method::HEAD && !conditional::is_for_origin(headers)
}

impl RequestHead {
    pub(crate) fn may_refresh(&self) -> bool {
        may_refresh(&self.method, &self.headers)
    }
}

impl Route {
    pub(crate) fn new(
        label: &str,
        rules: Rules,
        keys: KeyRules,
        scope: TagScope,
        stats: Arc<RouteStats>,
    ) -> Self {
        Self { rules, keys, stats, label: label.to_owned(), scope, warned: AtomicBool::new(false) }
    }

    /// What a request with this primary key is about, as far as is known before it has a response.
    pub(crate) fn request_tags(&self, parts: &Parts, primary: &Key) -> Vec<Tag> {
        let uri = key::original_uri(parts);
        vec![self.scope.key(primary), self.scope.uri(uri), self.scope.route(&self.label)]
    }

    /// What a response says it is about.
    ///
    /// # Errors
    ///
    /// [`Refusal::Tags`]: there are too many, or one isn't a tag.
    pub(crate) fn response_tags(&self, response: &response::Parts) -> Result<Vec<Tag>, Refusal> {
        let Some(tags) = response.extensions.get::<CacheTags>() else { return Ok(Vec::new()) };
        let own = tags.iter().map(|tag| match purge::check_tag(tag) {
            Ok(()) => Ok(self.scope.own(tag)),
            Err(_) => Err(Refusal::Tags),
        });
        let own = own.collect::<Result<Vec<_>, _>>()?;
        if own.len() > purge::MAX_TAGS { Err(Refusal::Tags) } else { Ok(own) }
    }

    /// The primary key of a request whose body, if it is keyed, is `body`.
    pub(crate) fn primary_key(&self, parts: &Parts, body: Option<&[u8]>) -> Result<Key, Bypass> {
        let principal = self.rules.principal(parts)?;
        self.rules.admits_body(parts, body.unwrap_or_default())?;
        key::primary(&self.keys, parts, principal.as_deref(), body)
    }

    /// The request's fields without those that the handler doesn't see.
    pub(crate) fn visible<'a>(&self, headers: &'a HeaderMap) -> Cow<'a, HeaderMap> {
        if !self.rules.hides() {
            return Cow::Borrowed(headers);
        }
        let mut headers = headers.clone();
        self.rules.disguise(&mut headers);
        Cow::Owned(headers)
    }

    /// Takes from the request what isn't part of its key, so that the handler can't answer by it.
    pub(crate) fn disguise(&self, parts: &mut Parts) {
        self.rules.disguise(&mut parts.headers);
        self.keys.disguise(parts);
    }

    /// Counts a bypass. A route that bypasses nearly all its requests for their cookies says so once, with the remedy.
    pub(crate) fn bypassed(&self, reason: Bypass) {
        /// Requests between two looks at the shares.
        const LOOK: u64 = 128;
        let bypasses = self.stats.bypass(reason);
        if reason != Bypass::Cookie || !bypasses.is_multiple_of(LOOK) {
            return;
        }
        let nearly_all = bypasses.saturating_mul(10) > self.stats.requests().saturating_mul(9);
        if nearly_all && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                route = self.label,
                "over 90% of the requests bypass the cache for their cookies; name those that count as credentials \
                 by `Policy::session_cookies`, and the others are no obstacle"
            );
        }
    }

    /// Counts an answer from an entry.
    pub(crate) fn count<B>(&self, response: &Response<B>) {
        if response.status() == StatusCode::NOT_MODIFIED {
            self.stats.not_modified();
        }
    }
}
