//! The methods that say what entries are about.

use super::owned;
use crate::policy::Policy;

impl<K> Policy<K> {
    /// Tags of all that is stored, by which [`QueryCache::purge_tag`](crate::QueryCache::purge_tag) lets go of it. Default:
    /// none.
    ///
    /// `{name}` in a tag stands for a parameter of the route's pattern, percent-decoded, as axum's `Path` gives it; `{{` is a
    /// `{`, `}}` a `}`. The pattern is that of the [`Routes`](crate::Routes) table; for a policy without one, what axum's router
    /// has matched (feature `axum`), prefixes of `Router::nest` included. A layer around a whole axum `Router`, or around no
    /// router at all, needs `Routes` for it.
    ///
    /// A tag is 1 to 128 bytes without control characters, and a response has 32 at most, with those of
    /// [`CacheTags`](crate::CacheTags) and [`tag_fields`](Self::tag_fields). If one of them can't be made, the response isn't
    /// stored (`detail=tags`), and the log says why, once a layer and route. Entries that were stored before the policy's tags
    /// changed aren't used any more.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::{Policy, Routes};
    ///
    /// let items = Policy::ttl(Duration::from_secs(300)).tags(["items", "item:{id}"]);
    /// let routes = Routes::new().route("/v1/items/{id}", items);
    /// # tower_query_cache::QueryCache::builder().build()?.try_layer(routes)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.tags = owned(tags);
        self
    }

    /// Response fields that bring tags beside those of [`tags`](Self::tags). Default: none.
    ///
    /// | field | its tags |
    /// |---|---|
    /// | `Cache-Tag` | with commas between them |
    /// | `Surrogate-Key` | with blanks between them |
    /// | `Cache-Groups` ([RFC 9875]) | a List of Strings: `"scripts", "v2"` |
    ///
    /// Named here, the first two are for this cache alone: neither clients nor entries have them. `Cache-Groups` is for every
    /// cache on the way and stays. A group is a tag like any other here: where one handle serves several origins, a purge of
    /// it reaches the groups of that name of all of them, while to RFC 9875 they are different ones.
    ///
    /// A field that can't be read means a response that isn't stored (`detail=tags`).
    ///
    /// ```
    /// # use std::time::Duration;
    /// use tower_query_cache::Policy;
    ///
    /// let pages = Policy::ttl(Duration::from_secs(300)).tag_fields(["Cache-Tag"]);
    /// # assert_eq!(pages.config().tag_fields, ["Cache-Tag"]);
    /// ```
    ///
    /// [RFC 9875]: https://www.rfc-editor.org/rfc/rfc9875
    #[must_use]
    pub fn tag_fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.tag_fields = owned(names);
        self
    }
}
