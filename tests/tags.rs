//! What entries are tagged with, and what purges by tag, URL, route and key reach.

mod support;

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

#[tokio::test]
async fn a_purge_reaches_what_has_the_tag_and_nothing_else() {
    let cache = cache();
    let items = Policy::ttl(MINUTE).tags(["catalogue", "item:{id}"]);
    let routes = Routes::new()
        .route("/items/{id}", items.clone())
        .route("/items/{id}/reviews", items)
        .route("/about", Policy::ttl(MINUTE));
    let site = mirror(&cache, routes);
    let all = ["/items/1", "/items/1?page=2", "/items/1/reviews", "/items/2", "/about"];

    fill(&site, &all).await;
    cache.purge_tag("item:1").await.unwrap();
    assert_same(&kept(&site, &all).await, &[false, false, false, true, true]);
    cache.purge_tag("catalogue").await.unwrap();
    assert_same(&kept(&site, &all).await, &[false, false, false, false, true]);
    cache.purge_tags(["item:2", "item:3"]).await.unwrap();
    assert_same(&kept(&site, &all).await, &[true, true, true, false, true]);
    cache.purge_tag("item:{id}").await.unwrap();
    cache.purge_tag("Catalogue").await.unwrap();
    assert_same(&kept(&site, &all).await, &[true; 5]);
}

#[tokio::test]
async fn path_parameters_are_decoded_as_handlers_get_them() {
    let cache = cache();
    let site = mirror(&cache, Routes::new().route("/q/{*word}", Policy::ttl(MINUTE).tags(["{word}"])));
    let all = ["/q/s%C3%B8k", "/q/s%c3%b8k", "/q/a+b", "/q/a%2Fb", "/q/a/b"];
    fill(&site, &all).await;
    cache.purge_tag("søk").await.unwrap();
    assert_same(&kept(&site, &all).await, &[false, false, true, true, true]);
    cache.purge_tag("a/b").await.unwrap();
    assert_same(&kept(&site, &all).await, &[true, true, true, false, false]);
}

#[tokio::test]
async fn what_cannot_be_tagged_is_not_stored_and_told_once_a_route() {
    let log = Log::start();
    let cache = cache();
    let site = mirror(&cache, Routes::new().route("/items/{id}", Policy::ttl(MINUTE).tags(["item:{id}"])));
    for id in ["%ff", "a%0ab", "%7F", &"x".repeat(124)] {
        for _ in 0..2 {
            let answer = site.get(&format!("/items/{id}")).await;
            assert_eq!((answer.status(), cache_status(&answer)), (StatusCode::OK, UNTAGGED), "{id}");
        }
    }
    fill(&site, &[&format!("/items/{}", "x".repeat(123))]).await;
    let lines = log.lines(&["WARN", "tags", "/items/{id}"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("UTF-8"), "{lines:?}");

    // One policy around everything doesn't know any pattern.
    let site = mirror(&cache, Policy::ttl(MINUTE).tags(["item:{id}"]).label("alone"));
    assert_eq!(cache_status(&site.get("/items/1").await), UNTAGGED);
    assert!(log.lines(&["WARN", "alone"])[0].contains("pattern isn't known"), "{}", log.text());
}

#[test]
fn a_tag_that_cannot_be_is_an_error_of_the_layer() {
    for (tag, problem) in [
        ("item:{no}", "`{no}` exactly once"),
        ("", "is empty"),
        ("a\tb", "control character"),
        (&"x".repeat(129), "over 128 bytes"),
        ("{", "`{` without a `}`"),
    ] {
        let routes = Routes::new().route("/items/{id}", Policy::ttl(MINUTE).tags([tag]));
        let error = cache().try_layer(routes).unwrap_err().to_string();
        assert!(error.starts_with("route `/items/{id}`: policy field `tags`: "), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

// Tags of the response.

#[tokio::test]
async fn handlers_tag_their_own_responses() {
    let cache = cache();
    let site = Site::new(&cache, Policy::ttl(MINUTE).tags(["all of it"]), |parts| {
        tagged(&[parts.uri.path(), "shared", "shared"])
    });
    fill(&site, &["/a", "/b"]).await;
    cache.purge_tag("/a").await.unwrap();
    assert_same(&kept(&site, &["/a", "/b"]).await, &[false, true]);
    cache.purge_tag("shared").await.unwrap();
    assert_same(&kept(&site, &["/a", "/b"]).await, &[false, false]);
    cache.purge_tag("all of it").await.unwrap();
    assert_same(&kept(&site, &["/a", "/b"]).await, &[false, false]);
}

#[tokio::test]
async fn over_a_limit_a_response_is_answered_and_not_stored() {
    let cache = cache();
    // With the policy's two, `n` further ones.
    let site =
        Site::new(&cache, Policy::ttl(MINUTE).tags(["one", "two"]).tag_fields(["surrogate-key"]), |parts| {
            let n: usize = parts.uri.query().unwrap().parse().unwrap();
            let by_field: Vec<String> = (0..n / 2).map(|number| format!("field{number}")).collect();
            let own = (n / 2..n).map(|number| format!("own{number}"));
            let mut response = ok("many");
            response.extensions_mut().insert(CacheTags::new(own.chain(["one".to_owned(), "own".to_owned()])));
            let value = HeaderValue::from_str(&format!("own two {}", by_field.join(" "))).unwrap();
            response.headers_mut().insert("surrogate-key", value);
            response
        });
    fill(&site, &["/?29"]).await;
    let over = site.get("/?30").await;
    assert_eq!(cache_status(&over), UNTAGGED);
    assert_eq!(text(over).await, "many");
    cache.purge_tag("own28").await.unwrap();
    assert_same(&kept(&site, &["/?29"]).await, &[false]);

    for odd in ["", "a\nb", "\u{85}", &"x".repeat(129)] {
        let odd = odd.to_owned();
        let site = Site::new(&cache, Policy::ttl(MINUTE).label("odd"), move |_| tagged(&[&odd]));
        assert_eq!(cache_status(&site.get("/odd").await), UNTAGGED);
    }
}

#[tokio::test]
async fn fields_bring_tags_and_do_not_go_on() {
    let cache = cache();
    let fields = [
        ("cache-tag", "a, b c"),
        ("cache-tag", "d"),
        ("surrogate-key", "e f"),
        ("cache-groups", r#""g", "h i""#),
        ("x-kept", "x"),
    ];
    let by_choice = Policy::ttl(MINUTE).tag_fields(["Cache-Tag", "Surrogate-Key", "Cache-Groups"]);
    let site = Site::new(&cache, by_choice, move |_| ok_with(&fields, "page"));
    for tag in ["a", "b c", "d", "e", "f", "g", "h i"] {
        for answer in [site.get("/").await, site.get("/").await, site.get("/").await] {
            let headers = answer.headers();
            assert!(
                !headers.contains_key("cache-tag") && !headers.contains_key("surrogate-key"),
                "{headers:?}"
            );
            assert_eq!((field(headers, "x-kept"), field(headers, "cache-groups")), ("x", r#""g", "h i""#));
        }
        assert!(is_hit(&site.get("/").await));
        cache.purge_tag(tag).await.unwrap();
        assert_eq!(cache_status(&site.get("/").await), STORED, "{tag}");
    }
    // Nor with answers that aren't stored: of a HEAD, refused, or past the cache.
    let head = site.send(request(Method::HEAD, "/head", &[], "")).await;
    let past = site.get_with("/", &[("cookie", "a=b")]).await;
    for answer in [head, past] {
        assert!(cache_status(&answer).contains("detail="), "{:?}", answer.headers());
        assert!(!answer.headers().contains_key("cache-tag"), "{:?}", answer.headers());
    }

    // Not by choice: they are fields like others.
    let site = Site::new(&cache, Policy::ttl(MINUTE).label("plain"), move |_| ok_with(&fields, "page"));
    fill(&site, &["/plain"]).await;
    cache.purge_tag("a").await.unwrap();
    let answer = site.get("/plain").await;
    assert!(is_hit(&answer) && field(answer.headers(), "cache-tag") == "a, b c", "{:?}", answer.headers());
}

#[tokio::test]
async fn a_field_that_cannot_be_read_is_not_stored_and_does_not_go_on() {
    let cache = cache();
    for (name, value) in [
        ("cache-groups", &b"scripts"[..]),
        ("cache-groups", b"\"a\","),
        ("cache-groups", b"\"\""),
        ("cache-tag", b"a, \xff"),
        ("surrogate-key", b"\xff"),
    ] {
        let site = Site::new(&cache, Policy::ttl(MINUTE).tag_fields([name]), move |_| {
            let mut response = ok("odd");
            response.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
            response
        });
        let answer = site.get("/odd").await;
        assert_eq!(cache_status(&answer), UNTAGGED, "{name}");
        assert_eq!(answer.headers().contains_key(name), name == "cache-groups");
    }
}

#[tokio::test]
async fn a_streamed_answer_goes_without_its_tags_too() {
    let cache = cache();
    let (acts, body) = scripted::<std::convert::Infallible>();
    let body = std::sync::Arc::new(std::sync::Mutex::new(Some(body)));
    let inner = service_fn(move |_: Request<_>| {
        let body = body.lock().unwrap().take().unwrap();
        async move {
            Ok::<_, std::convert::Infallible>(
                Response::builder().header("cache-tag", "a").body(body).unwrap(),
            )
        }
    });
    let layer = cache.layer(Policy::ttl(MINUTE).tag_fields(["cache-tag"]));
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let first = service.clone().oneshot(get("/")).await.unwrap();
    assert_eq!(cache_status(&first), STORED);
    assert!(!first.headers().contains_key("cache-tag"));
    acts.send(Act::Data("streamed")).unwrap();
    drop(acts);
    assert_eq!(text(first).await, "streamed");
    cache.settled().await;
    let hit = service.clone().oneshot(get("/")).await.unwrap();
    assert!(!hit.headers().contains_key("cache-tag"));
    assert_hit(hit, "streamed").await;
}

// URLs and routes.

#[tokio::test]
async fn a_url_is_purged_as_each_policy_sees_it() {
    let cache = cache();
    let routes = Routes::new()
        .route("/plain", Policy::ttl(MINUTE))
        .route("/sorted", Policy::ttl(MINUTE).sort_query())
        .route("/few", Policy::ttl(MINUTE).allow_query(["q"]).sort_query());
    let site = mirror(&cache, routes);
    let all =
        ["/plain?a=1&b=2", "/plain?b=2&a=1", "/sorted?a=1&b=2", "/sorted?a=1&b=3", "/few?q=1&a=2", "/few"];
    fill(&site, &all).await;
    for (purged, still) in [
        ("/plain?a=1&b=2", [false, true, true, true, true, true]),
        ("https://one.example/sorted?b=2&a=1", [true, true, false, true, true, true]),
        ("/few?utm=x&q=1", [true, true, true, true, false, true]),
        ("/few?utm=x", [true, true, true, true, true, false]),
        ("/plain", [true; 6]),
    ] {
        cache.purge_url(&purged.parse().unwrap()).await.unwrap();
        assert_same(&kept(&site, &all).await, &still);
    }
}

#[tokio::test]
async fn a_route_is_purged_by_its_label() {
    let cache = cache();
    let routes = Routes::new()
        .route("/a/{id}", Policy::ttl(MINUTE).label("letters"))
        .route("/b/{id}", Policy::ttl(MINUTE).label("letters").route("named"))
        .route("/c/{id}", Policy::ttl(MINUTE).route("named"))
        .route("/d/{id}", Policy::ttl(MINUTE));
    let site = mirror(&cache, routes);
    let all = ["/a/1", "/b/1", "/c/1", "/d/1"];
    fill(&site, &all).await;
    cache.purge_route("letters").await.unwrap();
    assert_same(&kept(&site, &all).await, &[false, false, true, true]);
    cache.purge_route("named").await.unwrap();
    assert_same(&kept(&site, &all).await, &[true, true, false, true]);
    cache.purge_route("/d/{id}").await.unwrap();
    assert_same(&kept(&site, &all).await, &[true, true, true, false]);
    cache.purge_all().await.unwrap();
    assert_same(&kept(&site, &all).await, &[false; 4]);
}

// Keys.

#[tokio::test]
async fn a_key_is_purged_with_all_its_variants_and_no_other() {
    let cache = cache();
    let policy = Policy::ttl(MINUTE).key_headers(["x-tenant"]).sort_query();
    let site = Site::new(&cache, policy, |_| ok_with(&[("vary", "accept-language")], "page"));
    let ask = |tenant: &'static str, language: &'static str, uri: &'static str| {
        let site = site.clone();
        async move {
            let fields = [("host", "h"), ("x-tenant", tenant), ("accept-language", language)];
            is_hit(&site.get_with(uri, &fields).await)
        }
    };
    let all =
        [("a", "en", "/?x=1&y=2"), ("a", "de", "/?x=1&y=2"), ("b", "en", "/?x=1&y=2"), ("a", "en", "/?x=1")];
    for (tenant, language, uri) in all {
        ask(tenant, language, uri).await;
        assert!(ask(tenant, language, uri).await);
    }
    for (method, fields) in [
        // Neither other methods nor what only the gate looks at make another key of it.
        ("GET", &[("host", "h"), ("x-tenant", "a")][..]),
        ("HEAD", &[("host", "H"), ("x-tenant", "a"), ("range", "bytes=0-1"), ("accept-language", "fr")]),
    ] {
        let asked = request(method.parse().unwrap(), "/?y=2&x=1", fields, "").map(|_| "");
        cache.purge_key(&asked).await.unwrap();
        let mut kept = Vec::new();
        for (tenant, language, uri) in all {
            kept.push(ask(tenant, language, uri).await);
        }
        assert_eq!(kept, [false, false, true, true], "{method}");
    }
    // Another host's is another key, and none of these.
    cache.purge_key(&request(Method::GET, "/?x=1&y=2", &[("x-tenant", "a")], "").map(|_| "")).await.unwrap();
    assert!(ask("a", "en", "/?x=1&y=2").await);
}

#[tokio::test]
async fn bodies_and_principals_are_part_of_what_is_purged() {
    #[derive(Clone)]
    struct User(&'static str);

    let cache = cache();
    let policy = Policy::ttl(MINUTE)
        .methods([Method::GET, Method::POST])
        .key_body(32)
        .canonical_json()
        .partition_by(|parts| parts.extensions.get().map(|User(name)| Cow::Borrowed(name.as_bytes())));
    let site = Site::keyed(&cache, policy, |_, _| ok("answer"));
    let asked = |user: &'static str, body: &str| {
        let mut request = request(Method::POST, "/", &[("content-type", "application/json")], body);
        request.extensions_mut().insert(User(user));
        request
    };
    for user in ["a", "b"] {
        for body in [r#"{"q": 1}"#, r#"{"q": 2}"#] {
            site.send(asked(user, body)).await;
        }
    }
    cache.purge_key(&asked("a", "").map(|_| "{ \"q\" : 1 }")).await.unwrap();
    let mut kept = Vec::new();
    for user in ["a", "b"] {
        for body in [r#"{"q": 1}"#, r#"{"q": 2}"#] {
            kept.push(is_hit(&site.send(asked(user, body)).await));
        }
    }
    assert_eq!(kept, [false, true, true, true]);

    let reason = async |request: Request<&[u8]>| match cache.purge_key(&request).await {
        Err(PurgeError::Uncached(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(asked("a", "").map(|_| &[b'x'; 33][..])).await, Bypass::BodyTooLarge);
    assert_eq!(reason(Request::post("/").body(&b"{}"[..]).unwrap()).await, Bypass::NoPrincipal);
    assert_eq!(reason(Request::put("/").body(&b""[..]).unwrap()).await, Bypass::Method);
}

#[tokio::test]
async fn a_request_that_no_policy_is_for_is_an_error_and_not_a_purge_of_nothing() {
    let cache = cache();
    let reason = async |request: Request<&'static str>| match cache.purge_key(&request).await {
        Err(PurgeError::Uncached(reason)) => reason,
        other => panic!("{other:?}"),
    };
    let get = |uri: &str| Request::get(uri).body("").unwrap();
    assert_eq!(reason(get("/a")).await, Bypass::NoRoute, "no layer at all");
    let site = mirror(&cache, Routes::new().route("/a", Policy::ttl(MINUTE)));
    assert_eq!(reason(get("/b")).await, Bypass::NoRoute);
    assert_eq!(reason(Request::get("/a").body("body").unwrap()).await, Bypass::Body);
    assert_eq!(reason(Request::get("/a").header("cookie", "a=b").body("").unwrap()).await, Bypass::Cookie);
    assert!(cache.purge_key(&get("/a")).await.is_ok());
    // What nobody has any more isn't asked.
    drop(site);
    assert_eq!(reason(get("/a")).await, Bypass::NoRoute);
}

// What isn't a purge.

#[tokio::test]
async fn tags_that_are_none_purge_nothing() {
    let cache = cache();
    let site = mirror(&cache, Policy::ttl(MINUTE).tags(["good"]));
    fill(&site, &["/"]).await;
    for (tag, expected) in
        [("", TagError::Empty), ("a\nb", TagError::Control), (&"x".repeat(129), TagError::TooLong)]
    {
        match cache.purge_tags(["good", tag]).await {
            Err(PurgeError::Tag(error)) => assert_eq!(error, expected),
            other => panic!("{tag:?}: {other:?}"),
        }
    }
    drop(cache.purge_tag("good"));
    assert_same(&kept(&site, &["/"]).await, &[true]);
}

#[tokio::test]
async fn a_handler_purges_from_inside() {
    let cache = cache();
    let purging = cache.clone();
    let inner = service_fn(move |request: Request<_>| {
        let cache = purging.clone();
        async move {
            if request.uri().path() == "/change" {
                cache.purge_tag("page").await.unwrap();
            }
            Ok::<_, std::convert::Infallible>(ok("done"))
        }
    });
    let routes = Routes::new()
        .route("/page", Policy::ttl(MINUTE).tags(["page"]))
        .route("/change", Policy::ttl(MINUTE));
    let service = ServiceBuilder::new().layer(cache.layer(routes)).service(inner);
    let ask = async |uri: &str| cache_status(&service.clone().oneshot(get(uri)).await.unwrap()).to_owned();
    assert_eq!(ask("/page").await, STORED);
    assert!(ask("/page").await.contains("hit"));
    assert_eq!(ask("/change").await, STORED);
    assert_eq!(ask("/page").await, STORED);
}

#[cfg(feature = "axum")]
mod in_axum {
    use axum::Router;
    use axum::extract::Path;
    use axum::http::Request;
    use axum::routing::get;

    use super::*;

    async fn ask(app: &Router, uri: &str) -> String {
        let request = Request::get(uri).body(axum::body::Body::empty()).unwrap();
        cache_status(&app.clone().oneshot(request).await.unwrap()).to_owned()
    }

    async fn item(Path(id): Path<String>) -> String {
        id
    }

    async fn pair(Path((id, other)): Path<(String, String)>) -> String {
        id + &other
    }

    #[tokio::test]
    async fn the_pattern_is_what_the_router_matched_prefixes_included() {
        let cache = cache();
        let policy = Policy::ttl(MINUTE).tags(["item:{id}"]);
        let items = Router::new().route("/items/{id}", get(item).layer(cache.layer(policy.clone())));
        let pairs = Router::new().route(
            "/{other}",
            get(pair).layer(cache.layer(Policy::ttl(MINUTE).tags(["item:{id}", "{other}"]))),
        );
        let app = Router::new()
            .route("/plain/{id}", get(item).layer(cache.layer(policy.clone())))
            .route("/none", get(|| async { "none" }).layer(cache.layer(policy)))
            .nest("/v1", items)
            .nest("/v2/{id}", pairs);
        let all = ["/plain/a%20b", "/v1/items/a%20b", "/v2/a%20b/c", "/v1/items/c"];
        for uri in all {
            assert_eq!(ask(&app, uri).await, STORED, "{uri}");
            assert!(ask(&app, uri).await.contains("hit"), "{uri}");
        }
        cache.purge_tag("item:a b").await.unwrap();
        for (uri, purged) in all.into_iter().zip([true, true, true, false]) {
            assert_eq!(ask(&app, uri).await == STORED, purged, "{uri}");
        }
        assert_eq!(ask(&app, "/none").await, UNTAGGED, "no such parameter");
    }

    #[tokio::test]
    async fn below_a_stripped_prefix_urls_and_keys_are_the_clients_own() {
        let cache = cache();
        let items = Router::new()
            .route("/items/{id}", get(item).layer(cache.layer(Policy::ttl(MINUTE).sort_query())));
        let app = Router::new().nest("/v1", items);
        let all = ["/v1/items/1?a=1&b=2", "/v1/items/2"];
        let asked = Request::get("/v1/items/1?b=2&a=1").body("").unwrap();
        for number in 0..3 {
            for uri in all {
                ask(&app, uri).await;
                assert!(ask(&app, uri).await.contains("hit"), "{uri}");
            }
            match number {
                0 => cache.purge_url(asked.uri()).await.unwrap(),
                1 => cache.purge_key(&asked).await.unwrap(),
                _ => cache.purge_url(&"/items/1?a=1&b=2".parse().unwrap()).await.unwrap(),
            };
            let purged = number < 2;
            assert_eq!(ask(&app, all[0]).await == STORED, purged, "{number}");
            assert!(ask(&app, all[1]).await.contains("hit"), "{number}");
        }
    }
}
