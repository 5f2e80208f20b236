//! A purge while the fill of what it is about is under way.

use axum::http::Response;
use bytes::Bytes;
use http_body_util::Full;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use tower_query_cache::{CacheTags, QueryCache};

use crate::support::http::{cache_status, get, text};
use crate::support::mock::{Cached, Origin, next, over_mock};
use crate::support::site::stats;
use crate::support::{RedisServer, eventually_async};
use crate::team::config;

type Answer = JoinHandle<String>;

fn node(server: &RedisServer) -> (QueryCache, Cached, Origin) {
    let cache = QueryCache::builder().redis(config(server.url())).build().unwrap();
    let (service, origin) = over_mock(&cache);
    (cache, service, origin)
}

/// `Cache-Status` and body of the answer to a GET.
fn ask(service: &Cached) -> Answer {
    let service = service.clone();
    tokio::spawn(async move {
        let answer = service.oneshot(get("/x")).await.unwrap();
        let status = cache_status(&answer).to_owned();
        format!("{status} {}", text(answer).await)
    })
}

fn tagged(body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    response.extensions_mut().insert(CacheTags::new(["pages"]));
    response
}

fn entries(server: &RedisServer) -> Vec<String> {
    server.keys().into_iter().filter(|key| key.starts_with("tqc:v1:e:")).collect()
}

#[tokio::test]
async fn it_is_answered_and_not_stored() {
    let server = RedisServer::start();
    let (one, here, mut origin) = node(&server);
    let (two, ..) = node(&server);
    for cache in [&one, &two] {
        assert!(cache.ready(std::time::Duration::from_secs(10)).await);
    }
    for (purger, others) in [(&one, false), (&two, true)] {
        let filling = ask(&here);
        let respond = next(&mut origin, "/x").await;
        let purged = purger.purge_tag("pages").await.unwrap();
        if others {
            eventually_async("the purge is heard of", || async {
                stats(&one).await["journal"]["id"] == purged.id.to_string()
            })
            .await;
        }
        respond.send_response(tagged("old"));
        let answer = filling.await.unwrap();
        assert!(answer.contains("detail=overtaken") && answer.ends_with(" old"), "{answer}");
        one.settled().await;
        assert_eq!(entries(&server), [""; 0], "nothing is stored");

        let filling = ask(&here);
        next(&mut origin, "/x").await.send_response(tagged("new"));
        let answer = filling.await.unwrap();
        assert!(answer.contains("stored") && answer.ends_with(" new"), "{answer}");
        one.settled().await;
        assert!(ask(&here).await.unwrap().contains("; hit"));
        assert_eq!(entries(&server).len(), 1);
        one.purge_all().await.unwrap();
        server.cli(&["UNLINK", &entries(&server)[0]]);
    }
}

#[tokio::test]
async fn what_was_stored_before_the_purge_was_heard_of_is_gone_with_it() {
    let server = RedisServer::start();
    let (one, here, mut origin) = node(&server);
    let (two, ..) = node(&server);
    for cache in [&one, &two] {
        assert!(cache.ready(std::time::Duration::from_secs(10)).await);
    }
    let filling = ask(&here);
    let respond = next(&mut origin, "/x").await;
    let purged = two.purge_tag("pages").await.unwrap();
    // Whether this node has heard of it by now is open.
    respond.send_response(tagged("old"));
    assert!(filling.await.unwrap().ends_with(" old"));
    one.settled().await;
    eventually_async("the purge is heard of", || async {
        stats(&one).await["journal"]["id"] == purged.id.to_string()
    })
    .await;
    let filling = ask(&here);
    next(&mut origin, "/x").await.send_response(tagged("new"));
    let answer = filling.await.unwrap();
    assert!(answer.contains("fwd=miss") && answer.ends_with(" new"), "{answer}");
}

#[tokio::test]
async fn whoever_waits_for_an_overtaken_fill_gets_none_of_it() {
    let server = RedisServer::start();
    let (cache, service, mut origin) = node(&server);
    assert!(cache.ready(std::time::Duration::from_secs(10)).await);
    let leader = ask(&service);
    let respond = next(&mut origin, "/x").await;
    let before = ask(&service);
    eventually_async("it waits", || async { stats(&cache).await["requests"] != 0 && !before.is_finished() })
        .await;
    cache.purge_tag("pages").await.unwrap();
    // What the purge is about isn't known before the response is: this one may wait too, and must not get it.
    let after = ask(&service);
    respond.send_response(tagged("old"));
    assert!(leader.await.unwrap().ends_with(" old"));
    let mut calls = 0;
    let mut waiting = vec![before, after];
    while !waiting.iter().all(JoinHandle::is_finished) {
        if let Ok(respond) =
            tokio::time::timeout(std::time::Duration::from_millis(200), next(&mut origin, "/x")).await
        {
            respond.send_response(tagged("new"));
            calls += 1;
        }
    }
    for answer in waiting.drain(..) {
        let answer = answer.await.unwrap();
        assert!(answer.ends_with(" new"), "{answer}");
    }
    assert!((1..=2).contains(&calls), "{calls}");
}
