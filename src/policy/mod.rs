//! What is cached, under which key, for how long.

mod config;
mod reason;

pub use self::config::{Etag, PolicyConfig};
pub use self::reason::{Bypass, Refusal};

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

/// Marks a policy that keys the head of the request alone; the request is handed on untouched.
#[derive(Clone, Copy, Debug)]
pub enum HeadKey {}

/// Marks a policy that keys the request's body too; the request is handed on with a [`RequestBody`](crate::RequestBody).
#[derive(Clone, Copy, Debug)]
pub enum BodyKey {}

type PartitionFn = dyn for<'a> Fn(&'a Parts) -> Option<Cow<'a, [u8]>> + Send + Sync;
type CacheIfFn = dyn Fn(&Parts, &[u8]) -> bool + Send + Sync;
type StoreIfFn = dyn Fn(&http::response::Parts, &[u8]) -> bool + Send + Sync;

/// The closures of a policy, shared by its clones.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    pub(crate) partition_by: Option<Arc<PartitionFn>>,
    pub(crate) cache_if: Option<Arc<CacheIfFn>>,
    pub(crate) store_if: Option<Arc<StoreIfFn>>,
}

/// What is cached, under which key, for how long.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheTtl(pub Duration);

/// A handler's word that its response must not be stored, put into the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoStore;
