//! The tags that a URL, or a request, stands for: by the policies of a handle's layers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use http::request::Parts;
use http::{Method, Request, Uri};

use super::Tag;
use crate::cache::Shared;
use crate::key;
use crate::policy::{Bypass, Table};
use crate::route::Route;

/// The tables of a handle's layers, for as long as a layer or service has them.
#[derive(Default)]
pub(crate) struct Tables(Mutex<Vec<Weak<Table<Arc<Route>>>>>);

impl Tables {
    /// Adds a layer's; those that nobody has any more go.
    pub(crate) fn add(&self, table: &Arc<Table<Arc<Route>>>) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.retain(|known| known.strong_count() > 0);
        tables.push(Arc::downgrade(table));
    }

    pub(super) fn all(&self) -> Vec<Arc<Table<Arc<Route>>>> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.iter().filter_map(Weak::upgrade).collect()
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

impl Shared {
    /// What stands for a path and query in the tags of entries: the query as it is, and as the policies for that path see it.
    pub(crate) fn urls(&self, uri: &Uri) -> Vec<Tag> {
        let mut tags = vec![self.purges.scope().uri(uri)];
        for table in self.tables.all() {
            tags.extend(table.all(uri.path()).map(|route| route.url_tag(uri)));
        }
        unique(tags)
    }

    /// What stands for the keys that such a request has under the policies of this handle's layers.
    ///
    /// # Errors
    ///
    /// Why no policy has a key for it.
    pub(crate) fn keys<B: AsRef<[u8]>>(&self, request: &Request<B>) -> Result<Vec<Tag>, Bypass> {
        let (parts, body) = (sent(request), request.body().as_ref());
        let mut tags = Vec::new();
        let mut why = Bypass::NoRoute;
        for table in self.tables.all() {
            let tag = table.find(parts.uri.path(), &parts.method).and_then(|route| tag(route, &parts, body));
            match tag {
                Ok(tag) => tags.push(tag),
                // A policy that is for the path says more than one that isn't.
                Err(reason)
                    if matches!(why, Bypass::NoRoute | Bypass::Method) && reason != Bypass::NoRoute =>
                {
                    why = reason;
                }
                Err(_) => {}
            }
        }
        if tags.is_empty() { Err(why) } else { Ok(unique(tags)) }
    }
}

/// What all entries have that a policy would answer such a request from.
fn tag(route: &Route, parts: &Parts, body: &[u8]) -> Result<Tag, Bypass> {
    if !route.rules.is_for(&parts.method) {
        return Err(Bypass::Method);
    }
    let read = match route.rules.key_body {
        Some(limit) if body.len() > limit => return Err(Bypass::BodyTooLarge),
        Some(_) => Some(body),
        None if body.is_empty() => None,
        None => return Err(Bypass::Body),
    };
    Ok(route.key_tag(&route.sent_key(parts, read)?))
}

/// The head of a request as its client sent it.
pub(super) fn sent<B>(request: &Request<B>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    // A HEAD request is answered by what GET stored.
    let head = *request.method() == Method::HEAD;
    parts.method = if head { Method::GET } else { request.method().clone() };
    parts.uri = request.uri().clone();
    parts.version = request.version();
    parts.headers = request.headers().clone();
    parts.extensions = request.extensions().clone();
    parts.uri = key::original_uri(&parts).clone();
    parts
}

fn unique(mut tags: Vec<Tag>) -> Vec<Tag> {
    tags.sort_unstable();
    tags.dedup();
    tags
}

#[cfg(test)]
mod tests {
    use crate::{Policy, QueryCache};

    #[test]
    fn layers_that_are_gone_are_not_kept() {
        let cache = QueryCache::builder().build().unwrap();
        let kept = cache.layer(Policy::default());
        for _ in 0..100 {
            drop(cache.layer(Policy::default()).clone());
        }
        let clone = kept.clone();
        drop(kept);
        let tables = &cache.shared.tables;
        assert_eq!(tables.all().len(), 1);
        assert!(tables.0.lock().unwrap().len() <= 2);
        drop(clone);
        assert!(tables.all().is_empty());
    }
}
