//! What entries are tagged with, and what purges by tag, URL, route and key reach.

#[path = "../support/mod.rs"]
mod support;

mod given;
mod fields;
mod purges;

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use support::http::{Act, assert_hit, cache_status, field, get, ok, ok_with, scripted, text};
use support::log::Log;
use support::site::{Answer, MINUTE, Site, request};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{Bypass, CacheTags, Policy, PurgeError, QueryCache, Routes, TagError};

const STORED: &str = "tower-query-cache; fwd=miss; stored";
const UNTAGGED: &str = "tower-query-cache; fwd=miss; detail=tags";

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// A site that answers with its path.
fn mirror(cache: &QueryCache, policy: impl Into<Routes>) -> Site {
    Site::new(cache, policy, |parts| ok(parts.uri.path().to_owned()))
}

fn tagged(tags: &[&str]) -> Response<Full<Bytes>> {
    let mut response = ok("tagged");
    response.extensions_mut().insert(CacheTags::new(tags.iter().copied()));
    response
}

/// Fills these, so that each is a hit.
async fn fill(site: &Site, uris: &[&str]) {
    for uri in uris {
        assert_eq!(cache_status(&site.get(uri).await), STORED, "{uri}");
        assert!(is_hit(&site.get(uri).await), "{uri}");
    }
}

fn is_hit(answer: &Answer) -> bool {
    cache_status(answer).starts_with("tower-query-cache; hit; ttl=")
}

/// Asserts which of these are still hits.
#[track_caller]
fn assert_same(kept: &[bool], expected: &[bool]) {
    assert_eq!(kept, expected);
}

async fn kept(site: &Site, uris: &[&str]) -> Vec<bool> {
    let mut kept = Vec::new();
    for uri in uris {
        kept.push(is_hit(&site.get(uri).await));
    }
    kept
}

// Tags of the policy.
