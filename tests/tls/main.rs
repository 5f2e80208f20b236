//! Redis over TLS: hits with one's own authority and a client certificate; and whatever is wrong with a certificate, a
//! user or a handshake is told once and costs no request.
#![cfg(feature = "tls")]

#[path = "../support/mod.rs"]
mod support;

mod black_hole;
mod files;
mod hits;
mod many;
mod refusals;

use std::sync::Arc;

use http::Response;
use http_body_util::Full;
use support::certificates::{Authority, Files};
use support::http::ok;
use support::site::{MINUTE, Site};
use support::store::patient;
use tower_query_cache::{Policy, QueryCache, RedisConfig};

/// The host that all servers are reached by.
const HOST: &str = "127.0.0.1";

/// Settings for a server whose certificate is from `authority`.
fn trusting(authority: &Authority, url: String) -> RedisConfig {
    let mut config = patient(url);
    config.tls_ca = Some(authority.ca());
    config
}

/// The same, with a certificate of one's own.
fn showing(files: &Files, mut config: RedisConfig) -> RedisConfig {
    config.tls_cert = Some(files.cert.clone());
    config.tls_key = Some(files.key.clone());
    config
}

/// A handle and a service that answers each path with itself.
fn over(redis: RedisConfig) -> (QueryCache, Arc<Site>) {
    let cache = QueryCache::builder().redis(redis).build().unwrap();
    let site = Site::new(&cache, Policy::ttl(MINUTE), |parts| -> Response<Full<bytes::Bytes>> {
        ok(parts.uri.path().to_owned())
    });
    (cache, Arc::new(site))
}
