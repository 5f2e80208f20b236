//! `axum_search`: who may purge, and what a changed document is worth to those who cached it.

use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};

use crate::support::RedisServer;
use crate::support::net::{Reply, fetch_with};
use crate::support::program::{Program, command, run};
use crate::{corpus, get, search};

const TOKEN: &str = "a-token-that-nobody-guesses";

/// A request by somebody who has this token, or none.
async fn admin(at: SocketAddr, method: Method, target: &str, token: Option<&str>, body: &Value) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let fields: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    fetch_with(at, method, target, &fields, &body.to_string()).await
}

async fn purge(at: SocketAddr, token: Option<&str>, body: Value) -> Reply {
    admin(at, Method::POST, "/v1/cache/purge", token, &body).await
}

/// Where the document is that a search finds first.
async fn found(at: SocketAddr, words: &str) -> String {
    let answer = get(at, &format!("/v1/search?q={words}&limit=1")).await.json();
    format!("/v1/documents/{}", answer["hits"][0]["id"].as_str().unwrap())
}

#[tokio::test]
async fn those_who_have_the_token_may_purge() {
    let (_corpus, program) = search("purge", &[("ADMIN_TOKEN", TOKEN)]);
    let at = program.address;
    let path = found(at, "ranking").await;
    let all = json!({"all": true});
    for (token, body, status) in [
        (None, all.clone(), 401),
        (Some("wrong"), all.clone(), 401),
        (Some(TOKEN), json!({}), 400),
        (Some(TOKEN), json!({"tag": "a", "all": true}), 400),
        (Some(TOKEN), json!({"tag": "a\nb"}), 400),
        (Some(TOKEN), json!({"key": "a"}), 400),
    ] {
        get(at, &path).await;
        let reply = purge(at, token, body).await;
        assert_eq!((reply.status, reply.field("content-type")), (status, "application/problem+json"));
        assert_eq!(reply.field("www-authenticate").starts_with("Bearer"), status == 401);
        assert!(get(at, &path).await.is_hit());
    }
    let tag = json!({"tag": path.replace("/v1/documents/", "document:")});
    for (target, reached) in [
        (tag, true),
        (json!({"url": path}), true),
        (json!({"route": "documents"}), true),
        (all, true),
        (json!({"route": "search"}), false),
    ] {
        get(at, &path).await;
        assert!(get(at, &path).await.is_hit());
        let reply = purge(at, Some(TOKEN), target.clone()).await;
        assert_eq!((reply.status, &reply.json()["everything"]), (200, &json!(false)));
        assert_eq!(get(at, &path).await.is_hit(), !reached, "{target}");
    }

    let (_corpus, closed) = search("closed", &[]);
    let at = closed.address;
    assert_eq!(
        purge(at, Some(TOKEN), json!({"all": true})).await.status,
        404,
        "it isn't there without a token"
    );
    assert_eq!(admin(at, Method::PUT, &path, Some(TOKEN), &json!({"text": "other"})).await.status, 405);
}

#[test]
fn a_token_that_is_none_ends_the_start_with_one_line() {
    for token in ["", "two words"] {
        let output = run(&mut command("axum_search", &[("ADMIN_TOKEN", token)]));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.starts_with("axum_search: ADMIN_TOKEN: the token ") && text.lines().count() == 1,
            "{text}"
        );
        assert!(!text.contains("two words"), "{text}");
    }
}

#[tokio::test]
async fn a_changed_document_is_seen_at_once_where_it_was_changed() {
    let (_corpus, program) = search("change", &[("ADMIN_TOKEN", TOKEN)]);
    let at = program.address;
    let path = found(at, "ranking").await;
    let change = async |token, body: Value| admin(at, Method::PUT, &path, token, &body).await.status;
    assert_eq!(change(None, json!({"text": "other"})).await, 401);
    assert_eq!(change(Some("wrong"), json!({"text": "other"})).await, 401);
    for body in
        [json!({}), json!({"text": ""}), json!({"text": 1}), json!({"text": "x".repeat((256 << 10) + 1)})]
    {
        assert_eq!(change(Some(TOKEN), body).await, 400);
    }
    let none = admin(at, Method::PUT, "/v1/documents/none", Some(TOKEN), &json!({"text": "other"})).await;
    assert_eq!(none.status, 404);

    for number in 0..3 {
        let searched = "/v1/search?q=edition&limit=5";
        get(at, searched).await;
        assert!(get(at, &path).await.status == 200 && get(at, &path).await.is_hit());
        let text = format!("Edition {number} of a text");
        assert_eq!(change(Some(TOKEN), json!({"text": text})).await, 200);
        let reply = get(at, &path).await;
        assert_eq!((reply.is_hit(), &reply.json()["text"]), (false, &json!(text)));
        assert_eq!(get(at, searched).await.json()["hits"][0]["snippet"], json!(text));
    }
}

/// A purge reaches the other process by a message over Redis; loopback's are far below this.
const PUSH: std::time::Duration = std::time::Duration::from_secs(1);

#[tokio::test]
async fn a_document_changed_through_one_replica_is_not_served_old_by_the_other() {
    let redis = RedisServer::start();
    let corpus = corpus("replicas");
    let variables = [("REDIS_URL", &*redis.url()), ("ADMIN_TOKEN", TOKEN)];
    let replicas = [1, 2].map(|_| Program::serve("axum_search", Some(corpus.path()), &variables));
    let [one, other] = replicas.each_ref().map(|program| program.address);
    let path = found(one, "ranking").await;
    let searched = "/v1/search?q=edition&limit=1";
    let (mut hits, mut slowest) = (0, std::time::Duration::ZERO);
    for number in 0..20 {
        for at in [one, other, one, other] {
            for target in [path.as_str(), searched] {
                hits += usize::from(get(at, target).await.is_hit());
            }
        }
        let (changed, read) = if number % 2 == 0 { (one, other) } else { (other, one) };
        let text = format!("Edition {number} of a text");
        let reply = admin(changed, Method::PUT, &path, Some(TOKEN), &json!({"text": text})).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let returned = tokio::time::Instant::now();
        assert_eq!(get(changed, &path).await.json()["text"], json!(text), "where it was changed, at once");
        loop {
            let asked = returned.elapsed();
            let (document, found) = (get(read, &path).await.json(), get(read, searched).await.json());
            if document["text"] == json!(text) && found["hits"][0]["snippet"] == json!(text) {
                slowest = slowest.max(asked);
                break;
            }
            assert!(asked < PUSH, "{number}: still {document} and {found} after {asked:?}");
        }
    }
    assert!(hits >= 100, "the caches are in use: {hits} of 160");
    println!(
        "20 documents changed through one replica and read through the other: new at the latest {slowest:?} after the purge"
    );
}
