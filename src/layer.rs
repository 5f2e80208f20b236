//! The layer: a handle and the policies of its requests.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use tower_layer::Layer;

use crate::cache::Shared;
use crate::error::PolicyError;
use crate::key::KeyRules;
use crate::policy::{HeadKey, Routes, Rules, Table, Templates};
use crate::route::Route;
use crate::service::Cache;

/// Puts a [`Cache`] in front of a service; made by [`QueryCache::layer`](crate::QueryCache::layer).
pub struct CacheLayer<K = HeadKey> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) table: Arc<Table<Arc<Route>>>,
    mode: PhantomData<fn() -> K>,
}

impl<K> CacheLayer<K> {
    pub(crate) fn new(shared: Arc<Shared>, routes: Routes<K>) -> Result<Self, PolicyError> {
        let table = routes.resolve(|pattern, config, hooks| {
            let label = config.label.as_deref().or(config.route.as_deref()).or(pattern).unwrap_or("default");
            let rules = Rules::new(config, hooks, shared.default_ttl)?;
            let limits = &shared.limits;
            within("max_body", rules.max_body, "recording_bytes", limits.recording_bytes)?;
            if let Some(shared) = &shared.tiers.shared {
                within("max_body", rules.max_body, "redis.queue_bytes", shared.writer.max_bytes())?;
            }
            within("key_body", rules.key_body.unwrap_or(0), "key_body_bytes", limits.key_body_bytes)?;
            rules.stale.check_within(limits)?;
            if let Some(retention) = shared.purges.retention() {
                rules.check_remembered(retention)?;
            }
            let keys = KeyRules::new(config, hooks.partition_by.is_some(), &shared.identity)?;
            let scope = shared.purges.scope();
            let tags = Templates::parse(&config.tags, pattern)?;
            Ok(Arc::new(Route::new(label, rules, keys, (scope, tags), shared.stats.route(label))))
        })?;
        let table = Arc::new(table);
        shared.tables.add(&table);
        Ok(Self { shared, table, mode: PhantomData })
    }
}

/// A body that the handle's own bound never lets through would silently never be cached.
fn within(field: &'static str, bytes: usize, bound: &str, most: usize) -> Result<(), PolicyError> {
    if bytes <= most {
        return Ok(());
    }
    Err(PolicyError::Field {
        field,
        problem: format!("{bytes} bytes are over the handle's `{bound}`, {most}"),
    })
}

impl<S: Clone, K> Layer<S> for CacheLayer<K> {
    type Service = Cache<S, K>;

    fn layer(&self, inner: S) -> Cache<S, K> {
        Cache::new(inner, self.clone())
    }
}

impl<K> Clone for CacheLayer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), table: Arc::clone(&self.table), mode: PhantomData }
    }
}

impl<K> fmt::Debug for CacheLayer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").finish_non_exhaustive()
    }
}
