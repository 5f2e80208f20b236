//! What a purge is asked for by, and what comes of it.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Uri};

use super::JournalId;
use super::tag::{self, Tag, TagError};
use crate::cache::{QueryCache, Shared};
use crate::policy::Bypass;
use crate::store::StoreError;

/// What came of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Purged {
    /// Its place in the journal, which all processes with the same Redis share; without Redis, a count of this handle's.
    pub id: JournalId,
    /// Whether everything went: the journal had lost its order, as after a flush or a failover, and begins anew.
    pub everything: bool,
}

/// Why a purge failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// A tag isn't one. Nothing was purged.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// No policy of this handle's layers caches such a request, and this is why. Nothing was purged.
    #[error("no policy of this cache's layers is for such a request: {0}")]
    Uncached(Bypass),
    /// The journal couldn't take it now. This process acts on it already, and it goes to the journal as soon as that can be
    /// reached, unless the process ends before.
    #[error("the purge isn't in the journal yet: {0}")]
    Unreached(#[source] StoreError),
    /// The store keeps no journal. This process acts on it; others don't hear of it.
    #[error("the store keeps no journal: the purge holds in this process alone")]
    NoJournal,
    /// Purged, but the shared tier couldn't be told to remove the bytes, or didn't say that it has.
    #[error("purged, but not erased: {0}")]
    Unerased(#[source] StoreError),
}

/// A purge that is about to be made; `.await` makes it.
///
/// *After it returned `Ok`, no response whose fill began before the purge is served*: at once by this handle, and by others on
/// the same Redis once they have heard of it, which takes about as long as a message over Redis does; with
/// [`Policy::strict`](crate::Policy::strict) at once everywhere. See the crate's docs for the promise in full.
///
/// It may be made inside a handler. Not polled, nothing happens; dropped while it runs, it may have been made or not.
#[must_use = "a purge is made by `.await`"]
pub struct Purge {
    shared: Arc<Shared>,
    tags: Result<Vec<Tag>, PurgeError>,
    soft: bool,
}

impl Purge {
    /// Marks what it is about as stale, instead of letting go of it: it may still answer where a stale entry may, while it is
    /// revalidated or in place of an error.
    pub fn soft(mut self) -> Self {
        self.soft = true;
        self
    }
}

impl IntoFuture for Purge {
    type Output = Result<Purged, PurgeError>;
    type IntoFuture = PurgeFuture;

    fn into_future(self) -> PurgeFuture {
        let Self { shared, tags, soft } = self;
        PurgeFuture(Box::pin(async move { shared.purges.purge(&tags?, soft).await }))
    }
}

/// The future of a [`Purge`].
pub struct PurgeFuture(Pin<Box<dyn Future<Output = Result<Purged, PurgeError>> + Send>>);

impl Future for PurgeFuture {
    type Output = Result<Purged, PurgeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purge").field("soft", &self.soft).finish_non_exhaustive()
    }
}

impl fmt::Debug for PurgeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PurgeFuture").finish_non_exhaustive()
    }
}

impl QueryCache {
    /// Purges all that has this tag.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = tower_query_cache::QueryCache::builder().build()?;
    /// cache.purge_tag("product:42").await?;
    /// cache.purge_tag("prices").soft().await?;
    /// # Ok(()) }
    /// ```
    pub fn purge_tag(&self, tag: impl AsRef<str>) -> Purge {
        self.purge_tags([tag])
    }

    /// Purges all that has any of these tags. More than 128 go to the journal in several steps.
    pub fn purge_tags<T: AsRef<str>>(&self, tags: impl IntoIterator<Item = T>) -> Purge {
        let scope = self.shared.purges.scope();
        let tags = tags.into_iter().map(|tag| {
            tag::check(tag.as_ref())?;
            Ok(scope.own(tag.as_ref()))
        });
        self.purge(tags.collect())
    }

    /// Purges all that was stored for this path and query: by whatever method, authority, body, chosen fields and requester.
    /// The URI is the one that clients send, before any router strips a prefix; its scheme and authority don't count.
    ///
    /// The query counts as it is written, and as each policy of this handle's layers for that path sees it: under
    /// [`Policy::sort_query`](crate::Policy::sort_query) and its like, all spellings of one key are purged by any of them. So it
    /// is to be called where those layers are made, or with the spelling that the policy keeps.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = tower_query_cache::QueryCache::builder().build()?;
    /// cache.purge_url(&"/v1/items/7?lang=en".parse()?).await?;
    /// # Ok(()) }
    /// ```
    pub fn purge_url(&self, uri: &Uri) -> Purge {
        self.purge(Ok(self.shared.urls(uri)))
    }

    /// Purges what such a request is answered from, with all its variants.
    ///
    /// It goes by the policies of this handle's layers: for each that is for the request's path and method, what it makes the
    /// key of counts, be it the URI with its authority or `Host`, chosen fields, the body, or what
    /// [`Policy::partition_by`](crate::Policy::partition_by) finds in fields and extensions. The request is to be as clients send
    /// it, before any router strips a prefix. HEAD counts as GET. What else would make such a request bypass the cache, such as
    /// `Range` or `cache_if`, doesn't matter.
    ///
    /// It fails with [`PurgeError::Uncached`] if no policy makes a key of the request, for instance because it has credentials
    /// and the policy doesn't partition by them.
    ///
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    /// use http::{Method, Request};
    /// use tower_query_cache::{Policy, QueryCache};
    ///
    /// let cache = QueryCache::builder().build()?;
    /// let search = Policy::ttl(Duration::from_secs(60)).methods([Method::POST]).key_body(64 << 10).canonical_json();
    /// let layer = cache.layer(search);
    ///
    /// let asked = Request::post("/v1/search")
    ///     .header("host", "example.org")
    ///     .header("content-type", "application/json")
    ///     .body(r#"{"q": "connection pool"}"#)?;
    /// cache.purge_key(&asked).await?;
    /// # drop(layer);
    /// # Ok(()) }
    /// ```
    pub fn purge_key<B: AsRef<[u8]>>(&self, request: &Request<B>) -> Purge {
        self.purge(self.shared.keys(request).map_err(PurgeError::Uncached))
    }

    /// Purges all that was stored under the policies with this label: [`Policy::label`](crate::Policy::label), else
    /// [`Policy::route`](crate::Policy::route), else the pattern of the table, else `default`.
    pub fn purge_route(&self, label: &str) -> Purge {
        self.purge(Ok(vec![self.shared.purges.scope().route(label)]))
    }

    /// Purges everything that this application has stored.
    pub fn purge_all(&self) -> Purge {
        self.purge(Ok(vec![self.shared.purges.scope().all()]))
    }

    fn purge(&self, tags: Result<Vec<Tag>, PurgeError>) -> Purge {
        Purge { shared: Arc::clone(&self.shared), tags, soft: false }
    }
}
