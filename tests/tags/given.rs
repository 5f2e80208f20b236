//! Tags that policies and handlers give.

use super::*;

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
