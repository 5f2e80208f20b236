//! The methods that write a policy.

mod http;
mod stale;
mod tags;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ::http::request::Parts;
use ::http::{Method, StatusCode, response};

use super::{BodyKey, Etag, HeadKey, Hooks, Keying, Policy, PolicyConfig, Preset};
use crate::error::PolicyError;

impl Policy<HeadKey> {
    /// A policy with this lifetime for responses that name none of their own. [`Policy::default`] takes the
    /// handle's `CACHE_TTL` instead.
    #[must_use]
    pub fn ttl(ttl: Duration) -> Self {
        Self::plain(PolicyConfig { ttl: Some(ttl), ..PolicyConfig::default() })
    }
}

impl Default for Policy<HeadKey> {
    /// The preset with the handle's own lifetime.
    fn default() -> Self {
        Self::plain(PolicyConfig::default())
    }
}

impl From<Policy<HeadKey>> for Policy<BodyKey> {
    /// The same policy for a table that reads bodies on other routes. It reads none itself: requests with a
    /// body bypass.
    fn from(policy: Policy<HeadKey>) -> Self {
        policy.retyped()
    }
}

impl<K> Clone for Policy<K> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), hooks: self.hooks.clone(), mode: PhantomData }
    }
}

impl<K: Keying> Policy<K> {
    /// A policy from its data.
    ///
    /// ```
    /// use tower_query_cache::{HeadKey, Policy, PolicyConfig};
    ///
    /// let config: PolicyConfig = serde_json::from_str(r#"{"ttl": 60, "negative_ttl": {"404": 5}}"#)?;
    /// let policy = Policy::<HeadKey>::from_config(config)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyError::Field`] if the data has a `key_body` and the type is `Policy<HeadKey>`.
    pub fn from_config(config: PolicyConfig) -> Result<Self, PolicyError> {
        if config.key_body.is_some() && !K::READS_BODY {
            return Err(PolicyError::Field {
                field: "key_body",
                problem: "needs `BodyKey` as the type's parameter, because the request's body type changes"
                    .to_owned(),
            });
        }
        if config.preset == Preset::Http && !K::READS_BODY {
            return Err(PolicyError::Field {
                field: "preset",
                problem: "\"http\" needs `BodyKey` as the type's parameter".to_owned(),
            });
        }
        Ok(Self::plain(config))
    }
}

impl<K> Policy<K> {
    fn plain(config: PolicyConfig) -> Self {
        Self { config, hooks: Hooks::default(), mode: PhantomData }
    }

    fn retyped<L>(self) -> Policy<L> {
        Policy { config: self.config, hooks: self.hooks, mode: PhantomData }
    }

    /// The policy as data.
    #[must_use]
    pub fn config(&self) -> &PolicyConfig {
        &self.config
    }

    /// The closures.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// The methods that are cached. Default: GET and HEAD. Others need [`key_body`](Self::key_body); CONNECT
    /// and TRACE are refused.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.config.methods = methods.into_iter().map(|method| method.as_str().to_owned()).collect();
        self
    }

    /// Largest response body that is stored, bytes. Default: 1 MiB. A larger one reaches the client all the
    /// same.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.config.max_body = bytes;
        self
    }

    /// The request's body is part of the key, up to this many bytes; longer ones bypass.
    ///
    /// The layer then hands on requests with a [`RequestBody`](crate::RequestBody), hence the change of type.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use http::Method;
    /// use tower_query_cache::{BodyKey, Policy};
    ///
    /// let search: Policy<BodyKey> =
    ///     Policy::ttl(Duration::from_secs(60)).methods([Method::POST]).key_body(64 << 10);
    /// ```
    #[must_use]
    pub fn key_body(mut self, bytes: usize) -> Policy<BodyKey> {
        self.config.key_body = Some(bytes);
        self.retyped()
    }

    /// JSON request bodies with equal content share a key whatever their layout ([RFC 8785]). Needs
    /// [`key_body`](Self::key_body).
    ///
    /// [RFC 8785]: https://www.rfc-editor.org/rfc/rfc8785
    #[must_use]
    pub fn canonical_json(mut self) -> Self {
        self.config.canonical_json = true;
        self
    }

    /// Request fields that are part of the key. Default: none. What the response's `Vary` names is compared
    /// anyway.
    ///
    /// Cross-origin answers which depend on `Origin` need `Vary: Origin`, or `key_headers(["origin"])` here.
    #[must_use]
    pub fn key_headers(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.key_headers = owned(names);
        self
    }

    /// A name in place of the request's authority, so that replicas behind different names or ports share
    /// entries.
    ///
    /// It fixes scheme and authority of the key. A request whose answer may be stored reaches the handler
    /// with this name as its `Host`, if it has that field, so that nobody's `Host` shapes what others get. On
    /// client stacks the authority of the URI that is called isn't part of the key: give each service that is
    /// called a policy of its own.
    #[must_use]
    pub fn authority(mut self, name: impl Into<String>) -> Self {
        self.config.authority = Some(name.into());
        self
    }

    /// A name that stands in the key for the path prefix that a router strips without saying so.
    #[must_use]
    pub fn route(mut self, id: impl Into<String>) -> Self {
        self.config.route = Some(id.into());
        self
    }

    /// The name of the policy's row in the stats: 1 to 64 printable ASCII characters. Policies with one label
    /// share a row. It isn't part of the key. Default: the policy's [`route`](Self::route), else the pattern
    /// of the table, else `default`.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>) -> Self {
        self.config.label = Some(name.into());
        self
    }

    /// The order of differently named query parameters doesn't matter; that of equally named ones does.
    #[must_use]
    pub fn sort_query(mut self) -> Self {
        self.config.sort_query = true;
        self
    }

    /// The only query parameters that are part of the key, and the only ones that the handler sees.
    #[must_use]
    pub fn allow_query(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.allow_query = Some(owned(names));
        self
    }

    /// Query parameters that are neither part of the key nor seen by the handler; `utm_*` means every name
    /// with that start.
    #[must_use]
    pub fn deny_query(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.deny_query = owned(names);
        self
    }

    /// The lifetime of responses with this status that name none. Without one, only 200 is stored.
    ///
    /// Not for 1xx, 200, 206 and 304.
    #[must_use]
    pub fn negative_ttl(mut self, status: StatusCode, ttl: Duration) -> Self {
        self.config.negative_ttl.insert(status.as_u16(), ttl);
        self
    }

    /// The policy's lifetime goes before every other, [`CacheTtl`](crate::CacheTtl) included, and `no-cache`
    /// doesn't stand against it.
    ///
    /// `no-store`, `private`, [`NoStore`](crate::NoStore) and `Set-Cookie` still do.
    #[must_use]
    pub fn override_ttl(mut self) -> Self {
        self.config.override_ttl = true;
        self
    }

    /// One cache for every principal: what the closure returns is part of the key. `None` bypasses.
    ///
    /// The closure must tell apart whoever may see different answers, and should trust only what an
    /// authentication layer outside the cache has verified. Not together with
    /// [`strip_credentials`](Self::strip_credentials).
    ///
    /// ```
    /// # use std::{borrow::Cow, time::Duration};
    /// use tower_query_cache::Policy;
    ///
    /// #[derive(Clone)]
    /// struct UserId(String);
    ///
    /// let mine = Policy::ttl(Duration::from_secs(30))
    ///     .partition_by(|parts| parts.extensions.get().map(|UserId(id)| Cow::Borrowed(id.as_bytes())));
    /// ```
    #[must_use]
    pub fn partition_by<F>(mut self, principal: F) -> Self
    where
        F: for<'a> Fn(&'a Parts) -> Option<Cow<'a, [u8]>> + Send + Sync + 'static,
    {
        self.hooks.partition_by = Some(Arc::new(principal));
        self
    }

    /// Credentials are removed before the handler sees the request, so that everybody gets the same answer.
    ///
    /// For public routes whose clients send credentials out of habit. All of `Cookie` is removed too.
    ///
    /// It hides request *fields*, and only on requests that the cache may answer: on those that bypass, such
    /// as `Range` requests, the handler sees them. Identity that an outer layer has put into the request's
    /// extensions isn't hidden: use [`partition_by`](Self::partition_by) where answers depend on it.
    #[must_use]
    pub fn strip_credentials(mut self) -> Self {
        self.config.strip_credentials = true;
        self
    }

    /// The cookies that count as credentials. The others, such as those of analytics, are hidden from the
    /// handler and no obstacle. Names are compared exactly. Default: every cookie counts.
    ///
    /// Cookies are hidden only on requests that the cache may answer: on those that bypass, such as `Range`
    /// requests, the handler sees them all. Identity that an outer layer has put into the request's
    /// extensions isn't hidden: use [`partition_by`](Self::partition_by) where answers depend on it.
    #[must_use]
    pub fn session_cookies(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.session_cookies = Some(owned(names));
        self
    }

    /// The request fields that carry credentials, in place of the default list; a `*` at the end matches any
    /// rest.
    #[must_use]
    pub fn credential_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.credential_fields = Some(owned(names));
        self
    }

    /// The response fields that are never stored, in place of the default list; a `*` at the end matches any
    /// rest.
    #[must_use]
    pub fn per_request_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.per_request_fields = Some(owned(names));
        self
    }

    /// A request bypasses the cache if the closure returns false for it. The closure gets the request's head,
    /// and its body if that is part of the key, else nothing.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use http::Method;
    /// # use tower_query_cache::Policy;
    /// // GraphQL: mutations change things.
    /// let graphql = Policy::ttl(Duration::from_secs(10))
    ///     .methods([Method::POST])
    ///     .key_body(64 << 10)
    ///     .cache_if(|_, body| !body.windows(8).any(|word| word == b"mutation"))
    ///     .store_if(|_, body| !body.windows(9).any(|word| word == b"\"errors\":"));
    /// ```
    #[must_use]
    pub fn cache_if(mut self, admits: impl Fn(&Parts, &[u8]) -> bool + Send + Sync + 'static) -> Self {
        self.hooks.cache_if = Some(Arc::new(admits));
        self
    }

    /// A response isn't stored if the closure returns false for it. The closure gets the response's head and
    /// its whole body.
    #[must_use]
    pub fn store_if(
        mut self,
        keeps: impl Fn(&response::Parts, &[u8]) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.hooks.store_if = Some(Arc::new(keeps));
        self
    }

    /// Requests with `no-store`, `no-cache`, `max-age=0` or `Pragma: no-cache` bypass. By default any
    /// client's wish to do without the cache is ignored, because it would let any client load the service
    /// behind it. An error under [`Policy::http`], which honours what requests ask for.
    #[must_use]
    pub fn honor_request_directives(mut self) -> Self {
        self.config.honor_request_directives = true;
        self
    }

    /// How an absent `ETag` is made. Default: [`Etag::Weak`]; [`Etag::Off`] under [`Policy::http`].
    #[must_use]
    pub fn etag(mut self, kind: Etag) -> Self {
        self.config.etag = Some(kind);
        self
    }

    /// A response is stored only from the `uses`th use of its key on, 2 to 255, so that keys that are asked for once push out
    /// none that are asked for often. Until then it isn't stored, with `detail=min-uses`. Default: the first is stored.
    ///
    /// A use is a request that neither memory nor Redis has an entry for; variants of a resource count together. Requests
    /// that come at once wait for one fill all the same, and share its answer; each of them is a use. Each process counts for
    /// itself, 65,536 keys at most, and begins anew for a key that nobody asked for in 10 minutes. What is in Redis counts as
    /// admitted whoever put it there, and so does what this process's memory still has, though it is stale.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::Policy;
    ///
    /// let search = Policy::ttl(Duration::from_secs(60)).min_uses(2);
    /// # assert_eq!(search.config().min_uses, Some(2));
    /// ```
    #[must_use]
    pub fn min_uses(mut self, uses: u32) -> Self {
        self.config.min_uses = Some(uses);
        self
    }

    /// One fill per key over all processes that share the store: the first takes a lease of the key for `time`, the
    /// others wait for its entry. Default: none, each process fills for itself.
    ///
    /// `time` is how long a holder that died can cost the others, so it should be a little over the longest fill: 1
    /// millisecond to 1 hour. Nobody waits longer than `coalesce_timeout` (5 s) either. A lease saves work and is never
    /// needed for a right answer: whoever can't have it in time, or can't ask for it, fills without. Without a shared
    /// tier that has [leases](crate::Leases), it does nothing.
    ///
    /// For handlers that cost far more than the round trip to the shared tier, of which it takes two more for each
    /// fill.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::Policy;
    ///
    /// let report = Policy::ttl(Duration::from_secs(600)).lease(Duration::from_secs(4));
    /// # assert_eq!(report.config().lease, Some(Duration::from_secs(4)));
    /// ```
    #[must_use]
    pub fn lease(mut self, time: Duration) -> Self {
        self.config.lease = Some(time);
        self
    }

    /// Every answer from the cache is one that the purge journal was asked about after the request began: a purge that has
    /// returned is seen at once, on all nodes. Where the journal can't be asked, the request goes to the service. Default: off,
    /// and then other nodes see a purge once they have heard of it, a few milliseconds later.
    ///
    /// It costs one tiny command beside each lookup, in the same round trip, and hits in memory wait for it too.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::Policy;
    ///
    /// let stock = Policy::ttl(Duration::from_secs(300)).tags(["stock:{id}"]).strict();
    /// # assert!(stock.config().strict);
    /// ```
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.config.strict = true;
        self
    }
}

fn owned(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

#[cfg(test)]
mod tests;
