//! Erasing: a purge whose bytes go too.

use http::request::Parts;
use http::{Request, Uri};

use super::targets::sent;
use super::{PurgeError, Purged};
use crate::cache::{QueryCache, Shared};
use crate::key::Key;
use crate::policy::Bypass;
use crate::route::Route;

impl QueryCache {
    /// Purges what such a request is answered from, as [`purge_key`](Self::purge_key) does, and removes its bytes from this
    /// process's memory and from the shared tier: the entry, or the list of variants and all that it names. Whatever stands
    /// under their names goes, whoever wrote it. When it returns `Ok`, the server was told, and said that it is done.
    ///
    /// What can't be found by name isn't served any more, and its bytes leave Redis by themselves when their life ends:
    /// variants that the list has lost, entries of earlier generations or other `seal` names, and what another process, or a
    /// write that got no answer in time, had on its way. Other processes' memory lets go of theirs when room is needed.
    ///
    /// Below a router that strips a prefix from the path, the entry's name has the stripped URI in it: give the request that
    /// the handler got, with axum's `OriginalUri` in its extensions.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{Empty, Full};
    /// # use tower::{Layer, ServiceExt, service_fn};
    /// # use tower_query_cache::{Policy, QueryCache};
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = QueryCache::builder().build()?;
    /// # let inner = service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("Ada")))) });
    /// # let service = cache.layer(Policy::ttl(Duration::from_secs(60))).layer(inner);
    /// # service.clone().oneshot(Request::get("/people/7").body(Empty::new())?).await?;
    /// cache.erase_key(&Request::get("/people/7").body("")?).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`PurgeError::Uncached`]: no policy caches such a request, and nothing was done. [`PurgeError::Unerased`]: purged, but
    /// the bytes, or some of them, are still there; try again. Any other: the purge failed, and the bytes were removed as far
    /// as they could be.
    pub fn erase_key<B: AsRef<[u8]>>(
        &self,
        request: &Request<B>,
    ) -> impl Future<Output = Result<Purged, PurgeError>> + Send + use<B> {
        let (purge, keys) = (self.purge_key(request), self.shared.primary_keys(request));
        let shared = self.shared.clone();
        async move {
            // Before the purge: what is filled behind it begins a list of its own.
            let mut listed = Vec::new();
            for key in &keys {
                listed.push(shared.tiers.listed(key).await);
            }
            let purged = purge.await;
            if let Err(PurgeError::Uncached(_) | PurgeError::Tag(_)) = purged {
                return purged;
            }
            let mut erased = Ok(());
            for (key, listed) in keys.iter().zip(listed) {
                erased = erased.and(shared.tiers.erase(key, listed).await);
            }
            let purged = purged?;
            erased.map_err(PurgeError::Unerased)?;
            Ok(purged)
        }
    }
}

impl Shared {
    /// The primary keys that such a request has under the policies of this handle's layers: as it is, and as it was sent.
    pub(crate) fn primary_keys<B: AsRef<[u8]>>(&self, request: &Request<B>) -> Vec<Key> {
        let (sent, body) = (sent(request), request.body().as_ref());
        let mut keys = Vec::new();
        for table in self.tables.all() {
            let Ok(route) = table.find(sent.uri.path(), &sent.method) else { continue };
            let found = [primary(route, &sent, &sent.uri, body), primary(route, &sent, request.uri(), body)];
            for key in found.into_iter().flatten() {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        keys
    }
}

fn primary(route: &Route, sent: &Parts, uri: &Uri, body: &[u8]) -> Result<Key, Bypass> {
    let mut parts = sent.clone();
    parts.uri = uri.clone();
    route.sent_key(&parts, route.rules.key_body.map(|_| body))
}
