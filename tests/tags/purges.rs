//! What is purged, by tag, URL, route, key and from inside handlers.

use super::*;

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
