//! Resources that vary: what a request waits for is known only when it has waited.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use http::Response;
use http::request::Parts;
use http_body_util::Full;
use tokio::time::timeout;
use tower_query_cache::Policy;

use crate::support::http::{field, ok_with, text};
use crate::support::site::MINUTE;
use crate::support::store::patient;
use crate::support::{RedisServer, eventually};
use crate::{LONG, Node, gets, held, waiting};

fn by_tongue(parts: &Parts) -> Response<Full<bytes::Bytes>> {
    ok_with(&[("vary", "accept-language")], field(&parts.headers, "accept-language"))
}

fn calls(nodes: &[Node]) -> usize {
    nodes.iter().map(Node::calls).sum()
}

#[tokio::test]
async fn sixteen_variants_stay_apart_whoever_fills_which() {
    let redis = RedisServer::start();
    let tongues: Vec<String> = (0..16).map(|number| format!("t{number:02}")).collect();
    let (mut nodes, called) = (Vec::new(), Arc::<Mutex<Vec<_>>>::default());
    for number in 0..3 {
        let called = Arc::clone(&called);
        let answer = move |parts: &Parts| {
            let response = by_tongue(parts);
            called.lock().unwrap().push((number, parts.headers["accept-language"].clone()));
            response
        };
        nodes.push(Node::new(&redis, answer).await);
    }
    let before = gets(&redis);
    let mut requests = Vec::new();
    for tongue in &tongues {
        for node in &nodes {
            requests.push((tongue, node.get_with("/", &[("accept-language", tongue)])));
        }
    }
    eventually("a call", || calls(&nodes) == 1).await;
    // Each request has looked once, each fill once more.
    eventually("all wait", || gets(&redis) >= before + requests.len() + nodes.len()).await;
    assert_eq!(calls(&nodes), 1, "nobody knows yet that the resource varies");
    nodes.iter().for_each(|node| node.open(1000));
    let asked = requests.len();
    for (tongue, request) in requests {
        let answer = timeout(LONG, request).await.expect("an answer").unwrap();
        assert_eq!(text(answer).await, **tongue);
    }
    let made = calls(&nodes);
    println!("{asked} requests for 16 cold variants in 3 processes: {made} calls");
    // One for each; and some more, where the list of variants was there before the variant.
    let distinct: HashSet<_> = called.lock().unwrap().iter().cloned().collect();
    assert_eq!(
        (distinct.len(), called.lock().unwrap().len()),
        (made, made),
        "each once in a process, at the most"
    );
    assert!(made >= 16, "{made}");
    for node in &nodes {
        node.cache.settled().await;
    }
    assert_eq!(held(&redis).len(), 0);
    for node in &nodes {
        for tongue in &tongues {
            let again = node.get_with("/", &[("accept-language", tongue)]).await.unwrap();
            assert_eq!(text(again).await, *tongue);
        }
    }
}

#[tokio::test]
async fn a_variant_that_becomes_known_while_waiting_has_a_lease_of_its_own() {
    let redis = RedisServer::start();
    let holder = Node::new(&redis, by_tongue).await;
    // They hear nothing, so that they find out between two looks and not by a wake-up.
    let rights = ["~*", "resetchannels", "+@all", "-subscribe"];
    let user: Vec<_> = ["ACL", "SETUSER", "deaf", "on", ">secret"].into_iter().chain(rights).collect();
    assert_eq!(redis.cli(&user), "OK");
    let url = redis.url().replace("redis://", "redis://deaf:secret@");
    let mut others = Vec::new();
    for _ in 0..2 {
        others.push(Node::with(patient(url.clone()), Policy::ttl(MINUTE).lease(LONG), by_tongue).await);
    }
    let first = holder.get_with("/", &[("accept-language", "de")]);
    holder.called(1).await;
    let before = gets(&redis);
    let requests: Vec<_> =
        others.iter().map(|node| node.get_with("/", &[("accept-language", "fr")])).collect();
    waiting(&redis, &others.iter().collect::<Vec<_>>(), before).await;
    holder.open(1);
    assert_eq!(text(first.await.unwrap()).await, "de");
    eventually("one fills the other variant", || calls(&others) > 0).await;
    let before = gets(&redis);
    eventually("the other waits for it", || gets(&redis) >= before + 10).await;
    assert_eq!(calls(&others), 1);
    others.iter().for_each(|node| node.open(1));
    for request in requests {
        let answer = timeout(LONG, request).await.expect("an answer").unwrap();
        assert_eq!(text(answer).await, "fr");
    }
    assert_eq!((calls(&others), holder.calls()), (1, 1));
}
