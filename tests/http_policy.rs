//! `Policy::http` around a handler in the same process: what the gateway's cases on the wire can't set or see.

mod support;

use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue, Response};
use support::http::{cache_status, field, ok, ok_with, text};
use support::site::Site;
use tower_query_cache::{BodyKey, Etag, Policy, PolicyConfig, QueryCache, Routes, RoutesConfig};

const MODIFIED: &str = "Mon, 01 Jan 2024 00:00:00 GMT";

fn cache() -> QueryCache {
    QueryCache::builder().build().unwrap()
}

/// A site, and the fields of the requests that its handler got.
fn watched(
    policy: impl Into<Routes<BodyKey>>,
    handler: impl Fn(usize) -> Response<http_body_util::Full<bytes::Bytes>> + Send + Sync + 'static,
) -> (Site, Arc<Mutex<Vec<HeaderMap>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let site = Site::keyed(&cache(), policy, move |parts, _| {
        let mut seen = seen.lock().unwrap();
        seen.push(parts.headers.clone());
        handler(seen.len())
    });
    (site, asked)
}

#[tokio::test]
async fn a_made_tag_answers_clients_and_never_goes_to_the_origin() {
    for kind in [Etag::Weak, Etag::Strong] {
        let (site, asked) = watched(Policy::http().etag(kind), |call| match call {
            1 => ok_with(&[("cache-control", "max-age=0"), ("last-modified", MODIFIED)], "page"),
            _ => {
                Response::builder().status(304).header("cache-control", "max-age=60").body("".into()).unwrap()
            }
        });
        site.get("/").await;
        // The first answer went on before its body was known.
        let confirmed = site.get("/").await;
        let tag = field(confirmed.headers(), "etag").to_owned();
        assert_eq!(tag.starts_with("W/"), kind == Etag::Weak, "{tag}");
        assert_eq!(text(confirmed).await, "page");
        let second = asked.lock().unwrap()[1].clone();
        assert_eq!(field(&second, "if-modified-since"), MODIFIED);
        assert!(!second.contains_key("if-none-match"), "{second:?}");
        assert_eq!(site.get_with("/", &[("if-none-match", &tag)]).await.status(), 304);
        assert_eq!(site.calls(), 2);
    }
}

#[tokio::test]
async fn a_made_tag_alone_validates_nothing() {
    let (site, asked) = watched(Policy::http().etag(Etag::Strong), |_| {
        ok_with(&[("cache-control", "max-age=1"), ("age", "100"), ("vary", "x-a")], "page")
    });
    for value in ["1", "2", "1"] {
        assert_eq!(text(site.get_with("/", &[("x-a", value)]).await).await, "page");
    }
    assert!(asked.lock().unwrap().iter().all(|fields| !fields.contains_key("if-none-match")));
    assert_eq!(site.calls(), 3);
}

/// `W/"…"` is what this crate makes of an empty body; an origin with this crate knows it.
#[tokio::test]
async fn a_tag_that_the_origin_has_made_the_same_way_validates() {
    let tag = "W/\"rxNJufX5oaagQE3qNtzJSQ\"";
    let (site, asked) = watched(Policy::http(), move |call| match call {
        1 => ok_with(&[("cache-control", "max-age=0"), ("etag", tag)], ""),
        _ => Response::builder().status(304).header("etag", tag).body("".into()).unwrap(),
    });
    site.get("/").await;
    assert_eq!(site.get("/").await.status(), 200);
    assert_eq!(field(&asked.lock().unwrap()[1], "if-none-match"), tag);
}

#[tokio::test]
async fn the_tags_of_a_304_are_not_for_its_client() {
    let policy = Policy::http().tag_fields(["Cache-Tag"]);
    let (site, _) = watched(policy, |call| match call {
        1 => ok_with(&[("cache-control", "max-age=0"), ("etag", "\"a\""), ("cache-tag", "x")], "page"),
        _ => Response::builder()
            .status(304)
            .header("cache-tag", "y")
            .header("cache-control", "max-age=60, private=\"set-cookie\"")
            .header("set-cookie", "n=2")
            .body("".into())
            .unwrap(),
    });
    for cookie in ["", "n=2", ""] {
        let answer = site.get("/").await;
        assert_eq!(field(answer.headers(), "set-cookie"), cookie);
        assert!(!answer.headers().contains_key("cache-tag"), "{:?}", answer.headers());
    }
    assert_eq!(site.calls(), 2);
}

/// A part's bytes would make another tag than the whole's.
#[tokio::test]
async fn no_tag_is_made_for_a_part() {
    let (site, _) = watched(Policy::http().etag(Etag::Strong), |_| {
        let part = Response::builder().status(206).header("content-range", "bytes 0-1/4");
        part.header("cache-control", "max-age=60").body("pa".into()).unwrap()
    });
    for call in 0..2 {
        let part = site.get_with("/", &[("range", "bytes=0-1")]).await;
        assert_eq!(part.status(), 206);
        assert!(!part.headers().contains_key("etag"), "{call}: {:?}", part.headers());
    }
    assert_eq!(site.calls(), 1);
}

#[tokio::test]
async fn the_preset_in_data_is_the_preset_in_code() {
    let routes = r#"{"routes": [{"path": "/{*rest}", "policy": {"preset": "http"}}]}"#;
    let config: RoutesConfig = serde_json::from_str(routes).unwrap();
    let data: PolicyConfig = serde_json::from_str(r#"{"preset": "http"}"#).unwrap();
    let policies: [Routes<BodyKey>; 3] = [
        Policy::http().into(),
        Policy::<BodyKey>::from_config(data).unwrap().into(),
        Routes::from_config(config).unwrap(),
    ];
    for policy in policies {
        let (site, _) = watched(policy, |_| {
            ok_with(&[("cache-control", "max-age=60"), ("server-timing", "db;dur=5")], "page")
        });
        site.get("/a").await;
        let hit = site.get_with("/a", &[("x-api-key", "k")]).await;
        assert_eq!((site.calls(), field(hit.headers(), "server-timing")), (1, "db;dur=5"));
        assert!(!hit.headers().contains_key("etag"));
    }
}

/// The most that a map can hold; an entry holds 1,024.
#[tokio::test]
async fn more_fields_than_an_entry_holds_are_passed_on() {
    for (status, count) in [(200, 1025), (200, 24_576), (304, 1025), (304, 24_576)] {
        let (site, _) = watched(Policy::http(), move |call| match call {
            1 => ok_with(&[("cache-control", "max-age=0"), ("etag", "\"a\"")], "page"),
            2 => {
                let mut many = Response::builder().status(status).body("many".into()).unwrap();
                for number in 0..count {
                    let name = HeaderName::try_from(format!("x-{number}")).unwrap();
                    many.headers_mut().append(name, HeaderValue::from_static("x"));
                }
                many
            }
            _ => ok("next"),
        });
        site.get("/").await;
        let second = site.get("/").await;
        if status == 200 {
            assert_eq!((second.status().as_u16(), second.headers().len() >= count), (200, true));
            assert_eq!(text(second).await, "many");
        } else {
            // What nobody but the cache has asked is no answer to a client, and can't be taken over.
            assert!(cache_status(&second).ends_with("fwd=stale; detail=stale-if-error"), "{second:?}");
            assert_eq!(text(second).await, "page");
        }
    }
}
