//! A policy made ready for requests: its rules, its keys, its counters.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Uri, response};

use crate::conditional;
use crate::key::{self, Key, KeyRules};
use crate::policy::{Bypass, Refusal, Rules, Templates, Unmade};
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
    tags: Templates,
    /// Whether the log has a reason why a response's tags can't be made.
    untagged: AtomicBool,
    /// Whether the log has the remedy for cookies.
    warned: AtomicBool,
}

/// The pattern that axum's router has matched.
#[cfg_attr(not(feature = "axum"), expect(unused_variables, reason = "no other router says so"))]
fn matched_pattern(parts: &Parts) -> Option<&str> {
    #[cfg(feature = "axum")]
    return parts.extensions.get().map(axum::extract::MatchedPath::as_str);
    #[cfg(not(feature = "axum"))]
    return None;
}

/// Method and fields of a request as the handler sees them; what a fill judges its response by, and `Vary` goes by.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// Whether all tags that its policy gives it could be made. If not, its response can't be stored.
    pub(crate) tagged: bool,
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
        (scope, tags): (TagScope, Templates),
        stats: Arc<RouteStats>,
    ) -> Self {
        Self {
            rules,
            keys,
            stats,
            label: label.to_owned(),
            scope,
            tags,
            untagged: AtomicBool::new(false),
            warned: AtomicBool::new(false),
        }
    }

    /// The name of its row in the stats.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// What a request with this key is about, as far as is known before it has a response; and whether that is all of it.
    pub(crate) fn request_tags(&self, parts: &Parts, named: &Key) -> (Vec<Tag>, bool) {
        let uri = key::original_uri(parts);
        let mut tags = vec![self.key_tag(named), self.url_tag(uri), self.scope.route(&self.label)];
        match self.tags.texts(uri.path(), || matched_pattern(parts)) {
            Ok(texts) => texts.iter().map(|text| self.scope.own(text)).for_each(|tag| {
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }),
            Err(why) => {
                self.unmade(&why);
                return (tags, false);
            }
        }
        (tags, true)
    }

    /// What all entries of a key have.
    pub(crate) fn key_tag(&self, named: &Key) -> Tag {
        self.scope.key(named)
    }

    /// What all entries of a URI have that this policy doesn't tell from others.
    pub(crate) fn url_tag(&self, uri: &Uri) -> Tag {
        self.scope.url(uri.path(), self.keys.common_query(uri).as_deref())
    }

    /// What a response says it is about, beside what is known of its request.
    ///
    /// # Errors
    ///
    /// [`Refusal::Tags`]: there are too many in all, one isn't a tag, or those of the request aren't known.
    pub(crate) fn response_tags(
        &self,
        request: &RequestHead,
        known: &[Tag],
        response: &response::Parts,
    ) -> Result<Vec<Tag>, Refusal> {
        if !request.tagged {
            return Err(Refusal::Tags);
        }
        self.own_tags(known, response).map_err(|why| {
            self.unmade(&why);
            Refusal::Tags
        })
    }

    fn own_tags(&self, known: &[Tag], response: &response::Parts) -> Result<Vec<Tag>, Unmade> {
        let by_fields = self.rules.tag_fields.texts(&response.headers)?;
        let by_handler = response.extensions.get::<CacheTags>().into_iter().flat_map(CacheTags::iter);
        let mut own = Vec::new();
        for text in by_handler.chain(by_fields.iter().map(String::as_str)) {
            purge::check_tag(text)?;
            let tag = self.scope.own(text);
            if known.contains(&tag) || own.contains(&tag) {
                continue;
            }
            own.push(tag);
            if known.len() + own.len() > purge::MAX_TAGS + purge::GIVEN_TAGS {
                return Err(Unmade::TooMany);
            }
        }
        Ok(own)
    }

    /// Says once why responses of this route aren't stored.
    fn unmade(&self, why: &Unmade) {
        if !self.untagged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                route = self.label,
                "a response isn't stored, and others may not be, for its tags: {why}"
            );
        }
    }

    /// The key that a request has by what the client sent. Below a router that strips a prefix, another URI goes on, which
    /// is part of the primary key; purges don't know it.
    pub(crate) fn named_key(&self, parts: &Parts, body: Option<&[u8]>, primary: &Key) -> Key {
        let original = key::original_uri(parts);
        if parts.uri == *original {
            return *primary;
        }
        let mut named = parts.clone();
        named.uri = original.clone();
        self.sent_key(&named, body).unwrap_or(*primary)
    }

    /// The key of a request that nothing was stripped from.
    pub(crate) fn sent_key(&self, parts: &Parts, body: Option<&[u8]>) -> Result<Key, Bypass> {
        let principal = self.rules.principal(parts)?;
        self.key(parts, principal.as_deref(), body)
    }

    fn key(&self, parts: &Parts, principal: Option<&[u8]>, body: Option<&[u8]>) -> Result<Key, Bypass> {
        // By the RFC a GET without content is its URI alone, whatever fields it has about content.
        let is_uri_alone = self.rules.http.is_some() && matches!(parts.method, Method::GET | Method::HEAD);
        let body = body.filter(|body| !(is_uri_alone && body.is_empty()));
        key::primary(&self.keys, parts, principal, body)
    }

    /// The primary key of a request whose body, if it is keyed, is `body`.
    pub(crate) fn primary_key(&self, parts: &Parts, body: Option<&[u8]>) -> Result<Key, Bypass> {
        let principal = self.rules.principal(parts)?;
        self.rules.admits_body(parts, body.unwrap_or_default())?;
        self.key(parts, principal.as_deref(), body)
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
