//! Tags that response fields bring.

use super::*;

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
