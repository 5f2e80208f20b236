//! One layer, many policies.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{HeadKey, Hooks, Keying, Policy, PolicyConfig, Table, rules};
use crate::error::PolicyError;

/// Policies by path pattern and method, for a layer around a whole router.
///
/// Patterns are axum's (`matchit`): `/v1/items/{id}`, `/files/{*rest}`. They are matched with the path of the
/// original URI, before any router strips a prefix. A pattern may have several policies with different
/// methods. A request that no policy is for bypasses.
///
/// ```
/// use std::time::Duration;
/// use tower_query_cache::{Policy, Routes};
///
/// let routes = Routes::new()
///     .route("/v1/items/{id}", Policy::ttl(Duration::from_secs(300)))
///     .route("/v1/search", Policy::ttl(Duration::from_secs(60)).sort_query());
/// ```
///
/// A table whose policies don't all key the body takes the others by `into()`:
///
/// ```
/// # use std::time::Duration;
/// # use http::Method;
/// # use tower_query_cache::{Policy, Routes};
/// let routes = Routes::new()
///     .route("/v1/search", Policy::ttl(Duration::from_secs(60)).methods([Method::POST]).key_body(64 << 10))
///     .route("/v1/items/{id}", Policy::ttl(Duration::from_secs(300)).into());
/// ```
pub struct Routes<K = HeadKey> {
    routes: Vec<(String, Policy<K>)>,
    /// For paths that no pattern matches.
    rest: Option<Policy<K>>,
}

impl<K> Routes<K> {
    /// A table without routes. A layer needs at least one.
    ///
    /// A table made from a policy, by `Routes::from(policy)`, has that policy wherever no pattern matches.
    #[must_use]
    pub fn new() -> Self {
        Self { routes: Vec::new(), rest: None }
    }

    /// Adds a policy for the paths that match.
    #[must_use]
    pub fn route(mut self, pattern: impl Into<String>, policy: Policy<K>) -> Self {
        self.routes.push((pattern.into(), policy));
        self
    }

    /// The table for run time. `make` turns a policy into what the table gives; its first argument is the
    /// policy's pattern, `None` where no pattern matches.
    ///
    /// # Errors
    ///
    /// Those of `make`, with the pattern they belong to, and those of [`Table::build`].
    pub(crate) fn resolve<T>(
        &self,
        mut make: impl FnMut(Option<&str>, &PolicyConfig, &Hooks) -> Result<T, PolicyError>,
    ) -> Result<Table<T>, PolicyError> {
        let mut resolved = Vec::with_capacity(self.routes.len());
        for (pattern, policy) in &self.routes {
            let value =
                make(Some(pattern), policy.config(), policy.hooks()).map_err(|wrong| at(pattern, wrong))?;
            let methods = rules::methods(policy.config()).map_err(|wrong| at(pattern, wrong))?;
            resolved.push((pattern.clone(), methods, value));
        }
        let rest =
            self.rest.as_ref().map(|policy| make(None, policy.config(), policy.hooks())).transpose()?;
        Table::build(resolved, rest)
    }
}

impl<K: Keying> Routes<K> {
    /// A table from its data, such as a file's.
    ///
    /// ```json
    /// {"routes": [
    ///     {"path": "/v1/items/{id}", "policy": {"ttl": 300, "negative_ttl": {"404": 5}}},
    ///     {"path": "/v1/search", "policy": {"ttl": 60, "deny_query": ["utm_*"]}}
    /// ]}
    /// ```
    ///
    /// ```no_run
    /// use tower_query_cache::{HeadKey, Routes, RoutesConfig};
    ///
    /// let config = serde_json::from_str::<RoutesConfig>(&std::fs::read_to_string("routes.json")?)?;
    /// let routes = Routes::<HeadKey>::from_config(config)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PolicyError::Route`] if a policy has a `key_body` and the type is `Routes<HeadKey>`. Other values
    /// are checked when a layer is made.
    pub fn from_config(config: RoutesConfig) -> Result<Self, PolicyError> {
        let route = |RouteConfig { path, policy }: RouteConfig| match Policy::from_config(policy) {
            Ok(policy) => Ok((path, policy)),
            Err(wrong) => Err(at(&path, wrong)),
        };
        let routes = config.routes.into_iter().map(route).collect::<Result<Vec<_>, PolicyError>>()?;
        Ok(Self { routes, rest: None })
    }
}

/// Says which route an error is about.
fn at(pattern: &str, wrong: PolicyError) -> PolicyError {
    PolicyError::Route { pattern: pattern.to_owned(), problem: wrong.to_string() }
}

impl<K> Default for Routes<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Clone for Routes<K> {
    fn clone(&self) -> Self {
        Self { routes: self.routes.clone(), rest: self.rest.clone() }
    }
}

impl<K> From<Policy<K>> for Routes<K> {
    /// One policy for everything.
    fn from(policy: Policy<K>) -> Self {
        Self { routes: Vec::new(), rest: Some(policy) }
    }
}

impl<K> fmt::Debug for Routes<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("routes", &self.routes).field("rest", &self.rest).finish()
    }
}

/// A [`Routes`] table as data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RoutesConfig {
    /// The routes; the order doesn't matter.
    pub routes: Vec<RouteConfig>,
}

/// A route of a [`RoutesConfig`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RouteConfig {
    /// The pattern, such as `/v1/items/{id}`.
    pub path: String,
    /// What is cached there. Default: the preset with the handle's TTL.
    #[serde(default)]
    pub policy: PolicyConfig,
}

#[cfg(test)]
mod tests;
