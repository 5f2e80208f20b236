//! What the journal remembers, and for how long: lives are within it, and its trimming takes away no epoch.

use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use tower_query_cache::{Policy, QueryCache};

use crate::support::site::{Site, stats};
use crate::support::{RedisServer, eventually_async};
use crate::team::{Node, Truth, config};

const STREAM: &str = "{tqc:v1:j}";
const HOUR: Duration = Duration::from_secs(3600);

fn cache(server: &RedisServer, retention: Duration) -> QueryCache {
    let mut redis = config(server.url());
    redis.journal_retention = retention;
    QueryCache::builder().redis(redis).build().unwrap()
}

#[tokio::test]
async fn a_policy_whose_entries_would_outlive_the_memory_of_purges_is_an_error() {
    let server = RedisServer::start();
    let cache = cache(&server, HOUR);
    let longer = HOUR + Duration::from_millis(1);
    let minute = || Policy::ttl(Duration::from_secs(60));
    let http = |stale| cache.try_layer(Policy::http().keep_stale(stale));
    let mut errors = vec![("keep_stale", http(longer).unwrap_err().to_string())];
    for (field, policy) in [
        ("ttl", Policy::ttl(longer)),
        ("negative_ttl", minute().negative_ttl(StatusCode::NOT_FOUND, longer)),
        ("stale_while_revalidate", minute().stale_while_revalidate(HOUR)),
        ("stale_if_error", minute().stale_if_error(HOUR)),
    ] {
        errors.push((field, cache.try_layer(policy).unwrap_err().to_string()));
    }
    for (field, error) in errors {
        let (named, problem) = error.split_once(": ").unwrap();
        assert_eq!(named, format!("policy field `{field}`"));
        assert!(problem.contains("`redis.journal_retention`"), "{error}");
    }
    for policy in [
        Policy::ttl(HOUR),
        minute().negative_ttl(StatusCode::NOT_FOUND, HOUR),
        minute().stale_while_revalidate(HOUR - Duration::from_secs(60)),
    ] {
        cache.try_layer(policy).unwrap();
    }
    http(HOUR).unwrap();
    // Without a journal nothing is forgotten.
    QueryCache::builder().build().unwrap().try_layer(Policy::ttl(100 * HOUR)).unwrap();
}

#[tokio::test]
async fn what_a_response_asks_for_beyond_it_is_cut() {
    let server = RedisServer::start();
    let cache = cache(&server, HOUR);
    assert!(cache.ready(Duration::from_secs(10)).await);
    let answer = |asked: &str| {
        let response = Response::builder().header("cache-control", asked);
        response.body(Full::new(Bytes::from_static(b"page"))).unwrap()
    };
    for (path, is_http, asked) in [
        ("/ttl", false, "max-age=864000"),
        ("/http", true, "max-age=864000"),
        ("/stale", true, "max-age=60, stale-while-revalidate=864000"),
    ] {
        let site = if is_http {
            Site::keyed(&cache, Policy::http(), move |_, _| answer(asked))
        } else {
            Site::new(&cache, Policy::ttl(Duration::from_secs(60)), move |_| answer(asked))
        };
        let before = server.keys();
        site.get(path).await;
        cache.settled().await;
        let new: Vec<_> = server.keys().into_iter().filter(|key| !before.contains(key)).collect();
        let [key] = new.as_slice() else { panic!("{path}: {new:?}") };
        let left: u64 = server.cli(&["PTTL", key]).parse().unwrap();
        assert!(
            (HOUR - Duration::from_secs(60)..=HOUR).contains(&Duration::from_millis(left)),
            "{path}: {left}"
        );
    }
}

/// The journal, by its entries' ids and the names of their fields.
fn entries(server: &RedisServer) -> Vec<(String, Vec<String>)> {
    let range = server.cli(&["XRANGE", STREAM, "-", "+"]);
    let mut entries: Vec<(String, Vec<String>)> = Vec::new();
    for line in range.lines() {
        match line.split_once('-') {
            Some((ms, seq)) if ms.parse::<u64>().is_ok() && seq.parse::<u64>().is_ok() => {
                entries.push((line.to_owned(), Vec::new()));
            }
            _ => entries.last_mut().unwrap().1.push(line.to_owned()),
        }
    }
    entries
}

/// Entries of later days stand in for the days.
#[tokio::test]
async fn the_epochs_record_is_renewed_before_trimming_passes_it() {
    const DAY: u64 = 24 * 3600 * 1000;
    let server = RedisServer::start();
    let truth = Truth::default();
    let here = Node::start(&server, &truth).await;
    here.follows().await;
    let (first, fields) = entries(&server).remove(0);
    assert_eq!(fields[6], "i", "it begins the epoch: {fields:?}");
    let start: u64 = first.split('-').next().unwrap().parse().unwrap();
    // Whole nodes of the stream alone are trimmed, 100 entries each.
    for number in 0..300 {
        server.cli(&["XADD", STREAM, &format!("{}-{number}", start + 1000), "what", "ever"]);
    }
    let far = format!("{}-0", start + 3 * DAY);
    server.cli(&["XADD", STREAM, &far, "what", "ever"]);
    eventually_async("it is read", || async { here.journal("id").await == far }).await;

    let new = truth.change();
    let purged = here.cache.purge_tag("pages").await.unwrap();
    assert!(!purged.everything, "{purged:?}");
    assert_eq!(here.tells().await, new);
    let left = entries(&server);
    assert!(
        left.len() < 200 && left.iter().all(|(id, _)| *id != first),
        "{} entries: it was trimmed",
        left.len()
    );
    let renewed: Vec<_> =
        left.iter().filter(|(_, fields)| fields.get(6).is_some_and(|name| name == "r")).collect();
    let [(_, renewal)] = renewed.as_slice() else { panic!("{renewed:?}") };
    assert_eq!(
        (&renewal[4], &renewal[5], &renewal[7]),
        (&fields[4], &fields[5], &fields[7]),
        "the same epoch"
    );

    // Who comes now finds the epoch, and what was stored in it since.
    here.cache.settled().await;
    let late = Node::start(&server, &truth).await;
    assert_eq!(late.tells().await, new);
    assert_eq!(late.site.calls(), 0, "it is a hit: {}", stats(&late.cache).await);
    for node in [&here, &late] {
        node.follows().await;
    }
    assert_eq!((late.journal("epochs").await, here.journal("epochs").await), (0.into(), 1.into()));
    // The next one finds the record young enough.
    here.cache.purge_tag("pages").await.unwrap();
    let renewals =
        entries(&server).iter().filter(|(_, fields)| fields.get(6).is_some_and(|name| name == "r")).count();
    assert_eq!(renewals, 1);
}
