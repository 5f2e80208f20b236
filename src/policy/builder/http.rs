//! The preset of RFC 9111, and what is for it alone.

use std::time::Duration;

use super::owned;
use crate::policy::{BodyKey, Policy, PolicyConfig, Preset};

impl Policy<BodyKey> {
    /// A shared cache by [RFC 9111], for gateways, and for services that say by their responses' fields what may be stored,
    /// for whom and for how long. It makes no lifetime and no `ETag` of its own.
    ///
    /// The layer hands on requests with a [`RequestBody`](crate::RequestBody), because a request may have to be made anew:
    /// where the answer to a validation is about a response that isn't stored (§4.3.4). Bodies are read only for the methods
    /// that [`methods`](Self::methods) adds, such as QUERY, and need [`key_body`](Self::key_body).
    ///
    /// ```
    /// use http::Method;
    /// use tower_query_cache::Policy;
    ///
    /// let gateway = Policy::http();
    /// let with_query = Policy::http().methods([Method::GET, Method::HEAD, Method::QUERY]).key_body(64 << 10);
    /// ```
    ///
    /// [RFC 9111]: https://www.rfc-editor.org/rfc/rfc9111
    #[must_use]
    pub fn http() -> Self {
        Self::plain(PolicyConfig { preset: Preset::Http, ..PolicyConfig::default() })
    }
}

impl<K> Policy<K> {
    /// How long after its lifetime, or its arrival if that was later, an entry of [`Policy::http`] is kept: to be validated, and
    /// to answer where the service can't and no directive forbids it ([RFC 9111 §4.2.4]). Default: an hour. It counts for the
    /// entry's life in Redis too.
    ///
    /// [RFC 9111 §4.2.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.2.4
    #[must_use]
    pub fn keep_stale(mut self, time: Duration) -> Self {
        self.config.keep_stale = Some(time);
        self
    }

    /// The targeted fields that stand in place of `Cache-Control` and `Expires` ([RFC 9213]): the first of them that a response
    /// has, and that is valid and not empty. Default: `CDN-Cache-Control`.
    ///
    /// [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
    #[must_use]
    pub fn targeted_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.targeted_fields = owned(names);
        self
    }

    /// An unsafe method, such as PUT, DELETE or one that isn't known, whose answer is no error purges what is stored for its
    /// URI, and for the `Location` and `Content-Location` of its answer where they are of the same origin ([RFC 9111
    /// §4.4]), before the answer goes on. Default: off for [`Policy::ttl`]; [`Policy::http`] always does.
    ///
    /// It holds for methods that the policy doesn't cache, and where the purge journal can't be reached, for this process
    /// alone until it can. The layer must see those requests: it belongs around the whole route.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::Policy;
    ///
    /// let item = Policy::ttl(Duration::from_secs(300)).purge_on_unsafe();
    /// # assert!(item.config().purge_on_unsafe);
    /// ```
    ///
    /// [RFC 9111 §4.4]: https://www.rfc-editor.org/rfc/rfc9111#section-4.4
    #[must_use]
    pub fn purge_on_unsafe(mut self) -> Self {
        self.config.purge_on_unsafe = true;
        self
    }

    /// Responses that set a cookie aren't stored under [`Policy::http`] either. By default they are, as RFC 9111 §7.3 has it,
    /// unless they say otherwise.
    #[must_use]
    pub fn refuse_set_cookie(mut self) -> Self {
        self.config.refuse_set_cookie = true;
        self
    }
}
