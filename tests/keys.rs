//! What tells two requests apart, as clients and handlers see it.

mod support;

use http::{Method, Request, header};
use support::http::{assert_hit, cache_status, field, ok, ok_with, text};
use support::site::{Answer, MINUTE, Req, Site, request};
use tower_query_cache::{Policy, QueryCache};

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// A site that answers with what the handler sees of the URI.
fn mirror(policy: Policy) -> Site {
    Site::new(&cache(), policy, |parts| ok(parts.uri.to_string()))
}

#[track_caller]
fn assert_miss(response: &Answer) {
    assert_eq!(cache_status(response), "tower-query-cache; fwd=miss; stored");
}

#[tokio::test]
async fn chosen_headers_are_part_of_the_key() {
    let policy = Policy::ttl(MINUTE).key_headers(["X-Tenant"]);
    let site = Site::new(&cache(), policy, |parts| ok(field(&parts.headers, "x-tenant").to_owned()));
    for tenant in ["a", "b", ""] {
        assert_eq!(text(site.get_with("/", &[("x-tenant", tenant)]).await).await, tenant);
        assert_hit(site.get_with("/", &[("x-tenant", tenant), ("x-else", "1")]).await, tenant).await;
    }
    assert_miss(&site.get("/").await);
    assert_eq!(site.calls(), 4);
}

#[tokio::test]
async fn query_order_counts_unless_it_is_sorted() {
    let plain = mirror(Policy::ttl(MINUTE));
    for query in ["/?a=1&b=2", "/?b=2&a=1"] {
        assert_miss(&plain.get(query).await);
    }
    let sorted = mirror(Policy::ttl(MINUTE).sort_query());
    assert_miss(&sorted.get("/?b=2&a=1&a=0").await);
    assert_hit(sorted.get("/?a=1&b=2&a=0").await, "/?b=2&a=1&a=0").await;
    assert_miss(&sorted.get("/?a=0&a=1&b=2").await);
    assert_eq!(sorted.calls(), 2);
}

#[tokio::test]
async fn parameters_outside_the_key_are_hidden_from_the_handler() {
    for (policy, first, seen, second, other) in [
        (
            Policy::ttl(MINUTE).allow_query(["q", "page"]),
            "/?x=1&q=a&y=2&page=2",
            "/?q=a&page=2",
            "/?q=a&page=2&z=9",
            "/?q=a&page=3",
        ),
        (
            Policy::ttl(MINUTE).deny_query(["utm_*", "fbclid"]),
            "/?utm_source=m&q=a&fbclid=1",
            "/?q=a",
            "/?q=a&%75tm_medium=x",
            "/?q=a&utm=1",
        ),
        (Policy::ttl(MINUTE).deny_query(["t"]), "/?t=1", "/", "/?t=2", "/?u=2"),
    ] {
        let site = mirror(policy);
        assert_eq!(text(site.get(first).await).await, seen);
        assert_hit(site.get(second).await, seen).await;
        assert_miss(&site.get(other).await);
        // A bypass hides nothing.
        let bypass = site.get_with(first, &[("range", "bytes=0-1")]).await;
        assert_eq!(text(bypass).await, first);
    }
}

#[tokio::test]
async fn a_fixed_authority_joins_hosts_and_a_route_name_parts_paths() {
    let cache = cache();
    let site = |policy: Policy, text: &'static str| Site::new(&cache, policy, move |_| ok(text));
    let joined = site(Policy::ttl(MINUTE).authority("shop"), "one");
    assert_miss(&joined.get_with("/", &[("host", "a:1")]).await);
    assert_hit(joined.get_with("/", &[("host", "b:2")]).await, "one").await;
    assert_hit(joined.get("http://c:3/").await, "one").await;

    let users = site(Policy::ttl(MINUTE).route("users"), "user");
    let orders = site(Policy::ttl(MINUTE).route("orders"), "order");
    assert_eq!(text(users.get("/1").await).await, "user");
    assert_eq!(text(orders.get("/1").await).await, "order");
    assert_hit(users.get("/1").await, "user").await;
}

#[tokio::test]
async fn a_host_outside_the_key_is_not_seen_by_the_handler() {
    let policy = Policy::ttl(MINUTE).authority("shop.example");
    let site = Site::new(&cache(), policy, |parts| ok(field(&parts.headers, "host").to_owned()));
    assert_eq!(text(site.get_with("/", &[("host", "evil")]).await).await, "shop.example");
    assert_hit(site.get_with("/", &[("host", "a")]).await, "shop.example").await;
    let bypass = site.get_with("/", &[("host", "a"), ("range", "bytes=0-1")]).await;
    assert_eq!(text(bypass).await, "a", "a bypass hides nothing");
}

#[tokio::test]
async fn methods_without_a_route_of_their_own_bypass() {
    let site = mirror(Policy::ttl(MINUTE));
    site.get("/").await;
    for method in ["QUERY", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let calls = site.calls();
        let response = site.send(request(method.clone(), "/", &[], "")).await;
        assert_eq!(cache_status(&response), "tower-query-cache; fwd=bypass; detail=method", "{method}");
        assert_eq!(site.calls(), calls + 1);
    }
}

#[tokio::test]
async fn the_query_method_is_keyed_by_content_and_metadata_where_it_is_opted_in() {
    let query = Method::from_bytes(b"QUERY").unwrap();
    let policy = Policy::ttl(MINUTE).methods([query.clone()]).key_body(1 << 10);
    let site =
        Site::keyed(&cache(), policy, |_, body| ok(String::from_utf8_lossy(body).to_ascii_uppercase()));
    let ask = |kind: &'static str, body: &'static str| {
        site.send(request(query.clone(), "/", &[("content-type", kind)], body))
    };
    assert_miss(&ask("text/plain", "a").await);
    assert_hit(ask("text/plain", "a").await, "A").await;
    for (kind, body) in [("text/plain", "b"), ("text/html", "a"), ("text/plain", "")] {
        assert_miss(&ask(kind, body).await);
    }
    assert_eq!(site.calls(), 4);
}

#[tokio::test]
async fn json_bodies_share_by_content_where_they_are_canonical() {
    let keyed = Policy::ttl(MINUTE).methods([Method::POST]).key_body(1 << 10);
    let answer = |_: &http::request::Parts, body: &[u8]| ok(body.to_vec());
    let first = r#"{"q": "pool", "limit": 5}"#;
    let same = ["{\"limit\":5,\"q\":\"pool\"}", "\n{ \"q\" : \"p\\u006fol\", \"limit\": 5 }"];
    let others = [
        r#"{"q": "pool", "limit": 6}"#,
        r#"{"q": "pool", "limit": 5.0}"#,
        r#"{"q": "pool"}"#,
        r#"{"q": "pool", "limit": 5, "limit": 5}"#,
        "not json",
        "",
    ];

    let canonical = Site::keyed(&cache(), keyed.clone().canonical_json(), answer);
    assert_miss(&canonical.post("/", first).await);
    for body in same {
        assert_hit(canonical.post("/", body).await, first).await;
    }
    for body in others {
        assert_miss(&canonical.post("/", body).await);
        assert_hit(canonical.post("/", body).await, body).await;
    }

    let raw = Site::keyed(&cache(), keyed, answer);
    assert_miss(&raw.post("/", first).await);
    for body in same {
        assert_miss(&raw.post("/", body).await);
    }
}

// Vary.

fn tongue(language: &str) -> Req {
    request(Method::GET, "/", &[("accept-language", language)], "")
}

#[tokio::test]
async fn the_seventeenth_variant_is_not_stored_and_evicts_nobody() {
    let site = Site::new(&cache(), Policy::ttl(MINUTE), |parts| {
        ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language"))
    });
    let languages: Vec<_> = (0..16).map(|number| format!("x-{number}")).collect();
    for language in &languages {
        assert_miss(&site.send(tongue(language)).await);
    }
    for _ in 0..2 {
        let late = site.send(tongue("x-late")).await;
        assert_eq!(cache_status(&late), "tower-query-cache; fwd=miss; detail=vary-limit");
        assert_eq!(text(late).await, "x-late");
    }
    for language in &languages {
        assert_hit(site.send(tongue(language)).await, language).await;
    }
    assert_eq!(site.calls(), 18);
    println!("16 variants kept, the 17th refused");
}

#[tokio::test]
async fn negotiation_fields_compare_as_sets() {
    let site = Site::new(&cache(), Policy::ttl(MINUTE), |_| ok_with(&[("vary", "Accept-Language")], "x"));
    assert_miss(&site.send(tongue("de, en;q=0.5")).await);
    for same in ["en;q=0.5,de", "EN;q=0.5 , de"] {
        assert_hit(site.send(tongue(same)).await, "x").await;
    }
    for other in ["de", "de, en; q=0.5", "de,en;q=0.5,de"] {
        assert_miss(&site.send(tongue(other)).await);
    }
}

#[tokio::test]
async fn a_list_of_varying_fields_grows() {
    let site = Site::new(&cache(), Policy::ttl(MINUTE), |parts| {
        let (tenant, plan) = (field(&parts.headers, "x-tenant"), field(&parts.headers, "x-plan"));
        let vary = if tenant == "b" { "x-tenant, x-plan" } else { "x-tenant" };
        ok_with(&[("vary", vary)], &format!("{tenant} {plan}"))
    });
    let get = |tenant: &'static str, plan: &'static str| {
        site.send(request(Method::GET, "/", &[("x-tenant", tenant), ("x-plan", plan)], ""))
    };
    assert_eq!(text(get("a", "1").await).await, "a 1");
    assert_hit(get("a", "2").await, "a 1").await;
    for plan in ["1", "2"] {
        assert_eq!(text(get("b", plan).await).await, format!("b {plan}"));
    }
    for plan in ["1", "2"] {
        assert_hit(get("b", plan).await, &format!("b {plan}")).await;
    }
    // From now on the plan tells all variants apart.
    assert_eq!(text(get("a", "2").await).await, "a 2");
    assert_hit(get("a", "2").await, "a 2").await;
}

#[tokio::test]
async fn a_head_hit_has_the_length_of_what_get_stored() {
    let site = Site::new(&cache(), Policy::ttl(MINUTE), |parts| {
        ok_with(&[("vary", "accept-language")], if parts.method == Method::HEAD { "" } else { "page" })
    });
    assert_eq!(cache_status(&head(&site).await), "tower-query-cache; fwd=miss; detail=head");
    site.send(tongue("de")).await;
    let hit = head(&site).await;
    assert_eq!(field(hit.headers(), "content-length"), "4");
    assert_hit(hit, "").await;
    assert_eq!(site.calls(), 2);
}

async fn head(site: &Site) -> Answer {
    let request = Request::head("/").header(header::ACCEPT_LANGUAGE, "de");
    site.send(request.body(http_body_util::Full::default()).unwrap()).await
}
