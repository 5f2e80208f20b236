//! What a user of a policy sees: which answers are kept, for whom, for how long, and what `Cache-Status` says of it.

mod support;

use std::borrow::Cow;
use std::time::Duration;

use http::{Method, StatusCode};
use support::eventually_async;
use support::http::{assert_hit, cache_status, field, ok, ok_with, text};
use support::site::{MINUTE, Site, request, stats};
use tower_query_cache::{CacheTtl, Etag, HeadKey, NoStore, Policy, QueryCache, Routes, RoutesConfig};

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// The `ttl` that `Cache-Status` tells of a hit, seconds.
fn ttl<B>(response: &http::Response<B>) -> u64 {
    let status = cache_status(response);
    status.strip_prefix("tower-query-cache; hit; ttl=").expect(status).parse().unwrap()
}

fn age<B>(response: &http::Response<B>) -> u64 {
    field(response.headers(), "age").parse().unwrap()
}

// Lifetimes.

#[tokio::test]
async fn two_layers_on_one_handle_have_lifetimes_of_their_own() {
    let cache = cache();
    let search = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("found"));
    let items = Site::new(&cache, Policy::ttl(5 * MINUTE), |_| ok("item"));
    for (site, path, seconds) in [(&search, "/search", 60), (&items, "/items/1", 300)] {
        site.get(path).await;
        let hit = site.get(path).await;
        assert!((seconds - 30..=seconds).contains(&ttl(&hit)), "{path}: {}", ttl(&hit));
        assert_eq!(site.calls(), 1);
    }
}

/// The same table in code and as data.
fn tables() -> [Routes<HeadKey>; 2] {
    let json = r#"{"routes": [
        {"path": "/v1/items/{id}", "policy": {"ttl": 300, "negative_ttl": {"404": 5}}},
        {"path": "/v1/search", "policy": {"ttl": 60, "deny_query": ["utm_*"]}},
        {"path": "/v1/plain"}
    ]}"#;
    let written = Routes::new()
        .route("/v1/items/{id}", Policy::ttl(5 * MINUTE).negative_ttl(StatusCode::NOT_FOUND, MINUTE / 12))
        .route("/v1/search", Policy::ttl(MINUTE).deny_query(["utm_*"]))
        .route("/v1/plain", Policy::default());
    let read = serde_json::from_str::<RoutesConfig>(json).unwrap();
    [written, Routes::from_config(read).unwrap()]
}

#[tokio::test]
async fn a_table_gives_each_route_its_policy_whether_written_or_loaded() {
    for routes in tables() {
        let cache = QueryCache::builder().ttl(10 * MINUTE).build().unwrap();
        let site = Site::new(&cache, routes, |parts| {
            let mut response = ok(parts.uri.to_string());
            if parts.uri.path().ends_with("/missing") {
                *response.status_mut() = StatusCode::NOT_FOUND;
            }
            response
        });
        for (first, second, longest) in [
            ("/v1/items/7", "/v1/items/7", 300),
            ("/v1/items/missing", "/v1/items/missing", 5),
            ("/v1/search?q=a&utm_source=x", "/v1/search?utm_medium=y&q=a", 60),
            ("/v1/plain", "/v1/plain", 600),
        ] {
            assert_eq!(cache_status(&site.get(first).await), "tower-query-cache; fwd=miss; stored");
            let hit = site.get(second).await;
            assert!(ttl(&hit) <= longest && ttl(&hit) + 5 >= longest, "{first}: {}", ttl(&hit));
        }
        let other = site.get("/v2/else").await;
        assert_eq!(cache_status(&other), "tower-query-cache; fwd=bypass; detail=no-route");
        let labels = stats(&cache).await;
        assert_eq!(labels["routes"]["/v1/items/{id}"]["hits"]["memory"], 2);
        assert_eq!(labels["routes"]["/v1/search"]["forwarded"], 1);
    }
}

#[tokio::test]
async fn other_statuses_are_kept_for_a_time_of_their_own_alone() {
    let policy = Policy::ttl(MINUTE).negative_ttl(StatusCode::NOT_FOUND, Duration::from_secs(5));
    let site = Site::new(&cache(), policy, |parts| {
        let mut response = ok("no");
        *response.status_mut() = parts.uri.path()[1..].parse().unwrap();
        response
    });
    site.get("/404").await;
    let hit = site.get("/404").await;
    assert_eq!(hit.status(), 404);
    assert!(ttl(&hit) <= 5);
    for (path, reason) in [("/410", "status"), ("/500", "server-error"), ("/206", "status")] {
        for _ in 0..2 {
            let response = site.get(path).await;
            assert_eq!(cache_status(&response), format!("tower-query-cache; fwd=miss; detail={reason}"));
        }
    }
    assert_eq!(site.calls(), 7);
}

#[tokio::test]
async fn a_lifetime_is_the_handlers_then_the_fields_then_the_policys() {
    let handler = |parts: &http::request::Parts| {
        let mut response = match parts.uri.path() {
            "/fields" => ok_with(&[("cache-control", "max-age=120, s-maxage=240")], "x"),
            "/handler" => ok_with(&[("cache-control", "max-age=120")], "x"),
            "/no-cache" => ok_with(&[("cache-control", "no-cache")], "x"),
            "/private" => ok_with(&[("cache-control", "private")], "x"),
            _ => ok("x"),
        };
        match parts.uri.path() {
            "/handler" => drop(response.extensions_mut().insert(CacheTtl(Duration::from_secs(10)))),
            "/keep-out" => drop(response.extensions_mut().insert(NoStore)),
            _ => {}
        }
        response
    };
    let plain = Site::new(&cache(), Policy::ttl(MINUTE), handler);
    let policy_first = Site::new(&cache(), Policy::ttl(MINUTE).override_ttl(), handler);
    for (site, expected) in [
        (&plain, [("/", Ok(60)), ("/fields", Ok(240)), ("/handler", Ok(10)), ("/no-cache", Err("no-cache"))]),
        (&policy_first, [("/", Ok(60)), ("/fields", Ok(60)), ("/handler", Ok(60)), ("/no-cache", Ok(60))]),
    ] {
        for (path, expected) in expected {
            site.get(path).await;
            let second = site.get(path).await;
            match expected {
                Ok(seconds) => assert!((seconds - 5..=seconds).contains(&ttl(&second)), "{path}"),
                Err(reason) => {
                    let status = format!("tower-query-cache; fwd=miss; detail={reason}");
                    assert_eq!(cache_status(&second), status);
                }
            }
        }
        for (path, reason) in [("/private", "private"), ("/keep-out", "handler-no-store")] {
            site.get(path).await;
            let second = site.get(path).await;
            assert_eq!(cache_status(&second), format!("tower-query-cache; fwd=miss; detail={reason}"));
        }
    }
}

#[tokio::test]
async fn age_counts_up_and_the_rest_of_the_lifetime_down() {
    let site = Site::new(&cache(), Policy::ttl(MINUTE), |_| ok_with(&[("age", "7")], "x"));
    site.get("/").await;
    let first = site.get("/").await;
    let (age_then, ttl_then) = (age(&first), ttl(&first));
    // The policy's lifetime begins with the answer's arrival.
    assert!(age_then >= 7 && ttl_then > 30 && age_then + ttl_then <= 67, "{age_then} {ttl_then}");
    // Both are cut to seconds, each at its own moment.
    eventually_async("a second passes", || async {
        let later = site.get("/").await;
        age(&later) > age_then && ttl(&later) < ttl_then
    })
    .await;
    let later = site.get("/").await;
    assert_eq!(field(later.headers(), "date"), field(first.headers(), "date"));
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn a_stale_entry_is_fetched_anew() {
    let site = Site::new(&cache(), Policy::ttl(Duration::from_millis(50)), |_| ok("x"));
    site.get("/").await;
    eventually_async("it is stale", || async {
        cache_status(&site.get("/").await) == "tower-query-cache; fwd=miss; stored"
    })
    .await;
    assert_eq!(site.calls(), 2);
}

// For whom.

#[tokio::test]
async fn principals_never_share_and_none_bypasses() {
    let policy = Policy::ttl(MINUTE)
        .partition_by(|parts| Some(Cow::Borrowed(parts.headers.get("authorization")?.as_bytes())));
    let site = Site::new(&cache(), policy, |parts| ok(field(&parts.headers, "authorization").to_owned()));
    for who in ["alice", "bob", "ali", "aliceb"] {
        let as_who = [("authorization", who)];
        assert_eq!(text(site.get_with("/me", &as_who).await).await, who);
        assert_hit(site.get_with("/me", &as_who).await, who).await;
    }
    assert_eq!(site.calls(), 4);
    for calls in 5..=6 {
        let stranger = site.get("/me").await;
        assert_eq!(cache_status(&stranger), "tower-query-cache; fwd=bypass; detail=no-principal");
        assert_eq!((text(stranger).await.as_str(), site.calls()), ("", calls));
    }
}

#[tokio::test]
async fn stripped_credentials_never_reach_the_handler() {
    let site = Site::new(&cache(), Policy::ttl(MINUTE).strip_credentials(), |parts| {
        ok(format!("{:?}", parts.headers.keys().map(|name| name.as_str()).collect::<Vec<_>>()))
    });
    let fields = [
        ("authorization", "Bearer x"),
        ("cookie", "sid=1"),
        ("x-api-key", "x"),
        ("x-amzn-oidc-data", "x"),
        ("accept", "a"),
    ];
    assert_eq!(text(site.get_with("/", &fields).await).await, r#"["accept"]"#);
    assert_hit(site.get("/").await, r#"["accept"]"#).await;
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn analytics_cookies_are_hidden_and_session_cookies_bypass() {
    let policy = Policy::ttl(MINUTE).session_cookies(["sid"]);
    let site = Site::new(&cache(), policy, |parts| ok(field(&parts.headers, "cookie").to_owned()));
    assert_eq!(text(site.get_with("/", &[("cookie", "_ga=1; _gid=2")]).await).await, "");
    assert_hit(site.get_with("/", &[("cookie", "_ga=3")]).await, "").await;
    assert_hit(site.get("/").await, "").await;
    for cookie in ["sid=1", "_ga=1; sid=1", "_ga=1; sid", "nonsense"] {
        let mine = site.get_with("/", &[("cookie", cookie)]).await;
        assert_eq!(cache_status(&mine), "tower-query-cache; fwd=bypass; detail=cookie", "{cookie}");
        assert_eq!(text(mine).await, cookie, "a bypass hides nothing");
    }
    assert_eq!(site.calls(), 5);
}

#[tokio::test]
async fn cache_if_and_store_if_have_the_last_word() {
    let policy = Policy::ttl(MINUTE)
        .cache_if(|parts, _| parts.uri.path() != "/live")
        .store_if(|response, body| response.status == 200 && body != b"errors");
    let site = Site::new(&cache(), policy, |parts| {
        ok(if parts.uri.path() == "/partial" { "errors" } else { "data" })
    });
    for (path, status) in [
        ("/live", "tower-query-cache; fwd=bypass; detail=cache-if"),
        ("/partial", "tower-query-cache; fwd=miss; detail=store-if"),
    ] {
        for _ in 0..2 {
            assert_eq!(cache_status(&site.get(path).await), status);
        }
    }
    site.get("/").await;
    assert_hit(site.get("/").await, "data").await;
}

// What an answer from the cache looks like.

#[tokio::test]
async fn a_made_etag_answers_if_none_match_with_304() {
    for (kind, start) in [(Etag::Weak, "W/\""), (Etag::Strong, "\"")] {
        let site = Site::new(&cache(), Policy::ttl(MINUTE).etag(kind), |_| {
            ok_with(&[("content-type", "text/plain"), ("content-language", "en")], "page")
        });
        let miss = site.get("/").await;
        let etag = field(miss.headers(), "etag").to_owned();
        assert!(etag.starts_with(start), "{etag}");
        let fresh = site.get_with("/", &[("if-none-match", &format!("\"other\", {etag}"))]).await;
        assert_eq!(fresh.status(), StatusCode::NOT_MODIFIED);
        assert!(cache_status(&fresh).contains("; hit; ttl="));
        assert_eq!(field(fresh.headers(), "etag"), etag);
        assert!(fresh.headers().contains_key("age") && fresh.headers().contains_key("date"));
        assert!(!fresh.headers().contains_key("content-type"));
        assert_eq!(text(fresh).await, "");
        assert_hit(site.get_with("/", &[("if-none-match", "\"other\"")]).await, "page").await;
        assert_eq!(site.calls(), 1);
    }
    let off = Site::new(&cache(), Policy::ttl(MINUTE).etag(Etag::Off), |_| ok("page"));
    off.get("/").await;
    let hit = off.get_with("/", &[("if-none-match", "W/\"x\"")]).await;
    assert!(!hit.headers().contains_key("etag"));
    assert_hit(hit, "page").await;
}

#[tokio::test]
async fn last_modified_answers_if_modified_since_with_304() {
    let modified = "Tue, 15 Nov 1994 12:45:26 GMT";
    let site =
        Site::new(&cache(), Policy::ttl(MINUTE), move |_| ok_with(&[("last-modified", modified)], "page"));
    site.get("/").await;
    for (since, status) in [
        (modified, 304),
        ("Tue, 15 Nov 1994 12:45:27 GMT", 304),
        ("Tue, 15 Nov 1994 12:45:25 GMT", 200),
        ("yesterday", 200),
    ] {
        assert_eq!(site.get_with("/", &[("if-modified-since", since)]).await.status(), status, "{since}");
    }
    let both = [("if-modified-since", modified), ("if-none-match", "\"other\"")];
    assert_eq!(site.get_with("/", &both).await.status(), 200, "If-None-Match goes first");
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn fields_of_one_exchange_or_one_connection_are_not_replayed() {
    let fields = [
        ("x-request-id", "1"),
        ("traceparent", "00-1"),
        ("server-timing", "db;dur=9"),
        ("ratelimit-remaining", "3"),
        ("x-ratelimit-reset", "3"),
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("cache-status", "other; hit"),
        ("content-type", "text/plain"),
        ("x-own", "a"),
        ("x-own", "b"),
    ];
    let site = Site::new(&cache(), Policy::ttl(MINUTE), move |_| ok_with(&fields, "page"));
    let miss = site.get("/").await;
    for (name, _) in fields {
        assert!(miss.headers().contains_key(name), "the first caller gets {name}");
    }
    let hit = site.get("/").await;
    let mut names: Vec<_> = hit.headers().keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["age", "cache-status", "content-type", "date", "etag", "x-own"]);
    assert_eq!(hit.headers().get_all("x-own").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(hit.headers().get_all("cache-status").iter().count(), 1);
}

#[tokio::test]
async fn a_policy_never_answers_with_a_field_that_it_calls_a_requesters_own() {
    let cache = cache();
    let site = |policy| Site::new(&cache, policy, |_| ok_with(&[("x-request-id", "1")], "page"));
    let keeping = site(Policy::ttl(MINUTE).per_request_fields(["x-else"]));
    let leaving = site(Policy::ttl(MINUTE));
    keeping.get("/").await;
    assert_eq!(field(keeping.get("/").await.headers(), "x-request-id"), "1");
    leaving.get("/").await;
    let hit = leaving.get("/").await;
    assert!(!hit.headers().contains_key("x-request-id"));
    assert_hit(hit, "page").await;
}

#[tokio::test]
async fn the_name_in_cache_status_is_a_setting_and_can_be_none() {
    for (name, miss, hit) in
        [(Some("edge/7"), "edge/7; fwd=miss; stored", "edge/7; hit; ttl="), (None, "", "")]
    {
        let cache = QueryCache::builder().cache_status(name).build().unwrap();
        let site = Site::new(&cache, Policy::ttl(MINUTE), |_| ok("page"));
        assert_eq!(cache_status(&site.get("/").await), miss);
        let second = site.get("/").await;
        assert!(cache_status(&second).starts_with(hit));
        assert_eq!(second.headers().contains_key("cache-status"), name.is_some());
        assert!(second.headers().contains_key("age"), "it was a hit");
        let bypass = site.send(request(Method::PUT, "/", &[], "")).await;
        assert_eq!(bypass.headers().contains_key("cache-status"), name.is_some());
    }
}

// Mistakes.

#[tokio::test]
async fn a_policy_that_cannot_be_used_is_an_error_that_names_the_field() {
    let policies = [
        ("ttl", Policy::ttl(Duration::ZERO)),
        ("methods", Policy::ttl(MINUTE).methods([Method::POST])),
        ("methods", Policy::ttl(MINUTE).methods([])),
        ("max_body", Policy::ttl(MINUTE).max_body(0)),
        ("negative_ttl", Policy::ttl(MINUTE).negative_ttl(StatusCode::PARTIAL_CONTENT, MINUTE)),
        ("key_headers", Policy::ttl(MINUTE).key_headers(["two words"])),
        ("authority", Policy::ttl(MINUTE).authority("user:s3cret@host")),
        ("route", Policy::ttl(MINUTE).route("")),
        ("label", Policy::ttl(MINUTE).label("")),
        ("allow_query", Policy::ttl(MINUTE).allow_query([""])),
        ("deny_query", Policy::ttl(MINUTE).deny_query(["a*b"])),
        ("session_cookies", Policy::ttl(MINUTE).session_cookies(["a b"])),
        ("credential_fields", Policy::ttl(MINUTE).credential_fields(["*"])),
        ("per_request_fields", Policy::ttl(MINUTE).per_request_fields([""])),
        ("canonical_json", Policy::ttl(MINUTE).canonical_json()),
        ("strip_credentials", Policy::ttl(MINUTE).partition_by(|_| None).strip_credentials()),
    ];
    for (field, policy) in policies {
        let error = cache().try_layer(policy.clone()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("policy field `{field}`: ")), "{error}");
        assert!(!error.contains("s3cret"));
        let routes = Routes::new().route("/a/{id}", policy);
        let error = cache().try_layer(routes).unwrap_err().to_string();
        assert!(error.starts_with("route `/a/{id}`: ") && error.contains(field), "{error}");
    }
    let error = cache().try_layer(Routes::<HeadKey>::new()).unwrap_err().to_string();
    assert!(error.contains("`routes`"), "{error}");
    let error = serde_json::from_str::<RoutesConfig>(r#"{"routes": [{"path": "/", "policy": {"tll": 1}}]}"#);
    assert!(error.unwrap_err().to_string().contains("unknown field `tll`"));
}

#[test]
#[should_panic(expected = "policy field `max_body`")]
fn a_layer_of_a_policy_that_cannot_be_used_panics_at_start() {
    let _ = cache().layer(Policy::ttl(MINUTE).max_body(0));
}
