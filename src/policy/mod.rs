//! What is cached, under which key, for how long.

mod builder;
mod config;
mod cookies;
mod directives;
pub(crate) mod etag;
mod fields;
pub(crate) mod gate;
pub(crate) mod http;
mod judge;
mod lifetime;
mod reason;
mod routes;
mod rules;
mod stale;
mod table;
mod tag_fields;
mod targeted;
mod template;
#[cfg(test)]
pub(crate) mod testing;

pub use self::config::{Etag, PolicyConfig, Preset};
pub(crate) use self::judge::Verdict;
pub use self::reason::{Bypass, Refusal, Stale};
pub use self::routes::{RouteConfig, Routes, RoutesConfig};
pub(crate) use self::rules::Rules;
pub(crate) use self::table::Table;
pub(crate) use self::template::{Templates, Unmade};

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ::http::request::Parts;

/// Marks a policy that keys the head of the request alone; the request is handed on untouched.
#[derive(Clone, Copy, Debug)]
pub enum HeadKey {}

/// Marks a policy that keys the request's body too; the request is handed on with a
/// [`RequestBody`](crate::RequestBody).
#[derive(Clone, Copy, Debug)]
pub enum BodyKey {}

/// How a policy treats request bodies: [`HeadKey`] or [`BodyKey`].
pub trait Keying: sealed::Sealed {}

impl Keying for HeadKey {}
impl Keying for BodyKey {}

mod sealed {
    pub trait Sealed: 'static {
        /// Whether request bodies may be read.
        const READS_BODY: bool;
    }

    impl Sealed for super::HeadKey {
        const READS_BODY: bool = false;
    }

    impl Sealed for super::BodyKey {
        const READS_BODY: bool = true;
    }
}

type PartitionFn = dyn for<'a> Fn(&'a Parts) -> Option<Cow<'a, [u8]>> + Send + Sync;
type CacheIfFn = dyn Fn(&Parts, &[u8]) -> bool + Send + Sync;
type StoreIfFn = dyn Fn(&::http::response::Parts, &[u8]) -> bool + Send + Sync;

/// The closures of a policy, shared by its clones.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) partition_by: Option<Arc<PartitionFn>>,
    pub(crate) cache_if: Option<Arc<CacheIfFn>>,
    pub(crate) store_if: Option<Arc<StoreIfFn>>,
}

/// What is cached, under which key, for how long.
///
/// [`Policy::ttl`] starts from safe defaults: GET and HEAD, status 200, and nothing that names a user, sets a
/// cookie or asks not to be stored. Everything else is opt-in, by the methods below or as data by
/// [`PolicyConfig`]. A value that can't be used is reported, by its field's name, when a layer is made from
/// the policy.
///
/// ```
/// use std::time::Duration;
/// use http::{Method, StatusCode};
/// use tower_query_cache::Policy;
///
/// let items = Policy::ttl(Duration::from_secs(300))
///     .negative_ttl(StatusCode::NOT_FOUND, Duration::from_secs(5))
///     .deny_query(["utm_*", "fbclid"]);
/// let search = Policy::ttl(Duration::from_secs(60)).methods([Method::POST]).key_body(64 << 10).canonical_json();
/// # assert_eq!(items.config().methods, ["GET", "HEAD"]);
/// # assert_eq!(search.config().key_body, Some(65_536));
/// ```
pub struct Policy<K = HeadKey> {
    config: PolicyConfig,
    hooks: Hooks,
    mode: PhantomData<fn() -> K>,
}

impl<K> fmt::Debug for Policy<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("config", &self.config).finish_non_exhaustive()
    }
}

/// A lifetime that a handler gives its own response, put into the response's extensions.
///
/// It goes before every lifetime that the response's fields name, but doesn't make a response storable that
/// isn't, such as one with `no-store`. Zero means that the response isn't stored.
///
/// ```
/// use std::time::Duration;
/// use axum::{Extension, response::IntoResponse};
/// use tower_query_cache::CacheTtl;
///
/// async fn forecast() -> impl IntoResponse {
///     (Extension(CacheTtl(Duration::from_secs(600))), "sunny")
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTtl(pub Duration);

/// A handler's word that its response must not be stored, put into the response's extensions as [`CacheTtl`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoStore;
