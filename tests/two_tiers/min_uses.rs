//! A doorkeeper: responses are stored only for keys that are asked for often enough.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_query_cache::{Policy, QueryCache};

use crate::handle;
use crate::support::http::{assert_hit, cache_status, field, ok, ok_with, text};
use crate::support::site::{MINUTE, Site, stats};
use crate::support::{Hoard, RedisServer, eventually_async};

const TOO_FEW: &str = "tower-query-cache; fwd=miss; detail=min-uses";
const STORED: &str = "tower-query-cache; fwd=miss; stored";

fn memory() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

fn site(cache: &QueryCache, uses: u32) -> Site {
    Site::new(cache, Policy::ttl(MINUTE).min_uses(uses), |_| ok("page"))
}

#[tokio::test]
async fn a_response_is_stored_from_the_nth_use_on() {
    for uses in [2, 3, 255] {
        let cache = memory();
        let site = site(&cache, uses);
        for use_of_it in 1..=uses {
            let expected = if use_of_it < uses { TOO_FEW } else { STORED };
            assert_eq!(cache_status(&site.get("/").await), expected, "{use_of_it} of {uses}");
            assert_eq!(cache_status(&site.get(&format!("/other{use_of_it}")).await), TOO_FEW);
        }
        assert_hit(site.get("/").await, "page").await;
        let figures = stats(&cache).await;
        assert_eq!((&figures["stored"], &figures["memory"]["entries"]), (&1.into(), &1.into()));
        assert_eq!(figures["refusals"]["min-uses"], 2 * uses - 1);
        assert_eq!(figures["flights"]["uncacheable_keys"], 0, "it will be stored some day");
    }
}

#[test]
fn fewer_than_2_or_more_than_255_uses_are_an_error() {
    for uses in [0, 1, 256, u32::MAX] {
        let error = memory().try_layer(Policy::ttl(MINUTE).min_uses(uses)).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("`min_uses`"), "{error}");
    }
    for uses in [2, 255] {
        assert!(memory().try_layer(Policy::ttl(MINUTE).min_uses(uses)).is_ok());
    }
}

/// The answers of a crowd that comes at once, and how many calls it made. The handler answers when all wait.
async fn crowd(cache: &QueryCache, uses: u32, size: usize, vary: bool) -> (Vec<(String, String)>, usize) {
    let (gate, calls) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let inner = service_fn({
        let (gate, calls) = (Arc::clone(&gate), Arc::clone(&calls));
        move |_: Request<Empty<Bytes>>| {
            let gate = Arc::clone(&gate);
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                gate.acquire().await.expect("it is never closed").forget();
                let fields: &[_] = if vary { &[("vary", "accept-language")] } else { &[] };
                Ok::<Response<Full<Bytes>>, Infallible>(ok_with(fields, "page"))
            }
        }
    });
    let service = cache.layer(Policy::ttl(MINUTE).min_uses(uses)).layer(inner);
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        crowd.spawn(service.clone().oneshot(Request::get("/").body(Empty::new()).unwrap()));
    }
    eventually_async("all wait", || async { stats(cache).await["flights"]["waiters"] == size - 1 }).await;
    gate.add_permits(size);
    let mut answers = Vec::new();
    while let Some(answer) = crowd.join_next().await {
        let answer = answer.unwrap().unwrap();
        let status = cache_status(&answer).to_owned();
        answers.push((status, text(answer).await));
    }
    answers.sort();
    (answers, calls.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_crowd_makes_one_call_and_is_stored_if_it_is_large_enough() {
    for vary in [false, true] {
        for (size, stored) in [(2, false), (4, false), (5, true), (20, true)] {
            let cache = memory();
            let (answers, calls) = crowd(&cache, 5, size, vary).await;
            assert_eq!(calls, 1, "{size}, vary {vary}: those who wait share the answer");
            let first = if stored { STORED } else { TOO_FEW };
            let collapsed = "tower-query-cache; fwd=miss; collapsed";
            assert_eq!(answers.iter().filter(|(status, _)| status == first).count(), 1, "{answers:?}");
            assert_eq!(answers.iter().filter(|(status, _)| status == collapsed).count(), size - 1);
            assert!(answers.iter().all(|(_, body)| body == "page"));
            assert_eq!(stats(&cache).await["stored"], u64::from(stored), "{size}, vary {vary}");
        }
    }
}

#[tokio::test]
async fn what_redis_has_is_admitted_and_what_memory_still_has_is_too() {
    let redis = RedisServer::start();
    let (first, second) = (handle(&redis, 256, 1 << 20).await, handle(&redis, 256, 1 << 20).await);
    Site::new(&first, Policy::ttl(MINUTE), |_| ok("page")).get("/").await;
    first.settled().await;
    let reader = site(&second, 200);
    assert_hit(reader.get("/").await, "page").await;
    // Purged, it is asked for anew, and its place is still its own.
    second.purge_tag("none").await.unwrap();
    second.purge_all().await.unwrap();
    assert_eq!(cache_status(&reader.get("/").await), STORED);
    assert_eq!(cache_status(&reader.get("/other").await), TOO_FEW);
}

#[tokio::test]
async fn variants_count_together() {
    let cache = memory();
    let site = Site::new(&cache, Policy::ttl(MINUTE).min_uses(2), |parts| {
        ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language"))
    });
    let get = |tongue: &'static str| {
        let site = site.clone();
        async move { site.get_with("/", &[("accept-language", tongue)]).await }
    };
    assert_eq!(cache_status(&get("de").await), TOO_FEW);
    assert_eq!(cache_status(&get("fr").await), STORED);
    assert_eq!(cache_status(&get("es").await), STORED, "the resource is known");
    for tongue in ["fr", "es"] {
        assert_hit(get(tongue).await, tongue).await;
    }
}

#[tokio::test]
async fn a_scan_of_one_off_keys_pushes_out_a_hot_set_unless_it_must_be_used_twice() {
    const HOT: usize = 250;
    let mut shares = Vec::new();
    for uses in [None, Some(2)] {
        let shared = Arc::new(Hoard::open());
        let cache = QueryCache::builder().store(Arc::clone(&shared) as _).build().unwrap();
        let policy = Policy::ttl(MINUTE);
        let policy = match uses {
            Some(uses) => policy.min_uses(uses),
            None => policy,
        };
        let site = Site::new(&cache, policy, |_| ok("page"));
        for _ in 0..2 {
            for number in 0..HOT {
                site.get(&format!("/hot/{number}")).await;
            }
        }
        for number in 0..10_000 {
            site.get(&format!("/scan/{number}")).await;
            if number % 100 == 0 {
                cache.settled().await;
            }
        }
        cache.settled().await;
        let before = stats(&cache).await["hits"]["memory"].as_u64().unwrap();
        for number in 0..HOT {
            site.get(&format!("/hot/{number}")).await;
        }
        let kept = stats(&cache).await["hits"]["memory"].as_u64().unwrap() - before;
        let values = shared.len();
        println!(
            "256 places, {HOT} hot keys, 10,000 one-off keys, min_uses {uses:?}: {kept} hot entries are left in memory, \
             {values} values in the shared tier"
        );
        shares.push((kept as usize, values));
    }
    // Memory resists scans by itself, as far as it has places that it keeps for what was asked for twice.
    assert!(shares[0].0 < HOT && shares[0].1 == HOT + 10_000, "without: {shares:?}");
    assert_eq!(shares[1], (HOT, HOT), "with it");
}
