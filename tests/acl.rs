//! A user of exactly the ACL rule in the docs may do all that a cache does, and needs each part of it.
#![cfg(feature = "redis")]

mod support;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower_query_cache::{Leases as _, Policy, QueryCache, RedisStore, Routes, Store as _};

use self::support::http::{assert_hit, ok, text};
use self::support::pages::purges_go_round;
use self::support::site::{MINUTE, Site, Takes, stats};
use self::support::store::{
    LIFE, add_documented_user, add_user, documented_rule, documented_user, key, patient, value,
};
use self::support::{RedisCluster, RedisServer, Watched, eventually, eventually_async};

/// A handle and a service with plain and leased resources, which have a tag.
async fn node(url: &str) -> (QueryCache, Site) {
    let cache = QueryCache::builder().redis(patient(url.to_owned())).build().unwrap();
    assert!(cache.ready(MINUTE).await, "{:?}", stats(&cache).await);
    let policy = || Policy::ttl(MINUTE).tags(["page:{id}"]);
    let routes = Routes::new().route("/plain/{id}", policy()).route("/leased/{id}", policy().lease(LIFE));
    let site = Site::new(&cache, routes, |parts| {
        let mut response = ok(parts.uri.path().to_owned());
        response.extensions_mut().insert(Takes(Duration::from_millis(200)));
        response
    });
    (cache, site)
}

/// Does with two handles all that a cache does, and asserts that nothing was refused.
async fn assert_all_is_allowed(what: &str, url: &str, servers: &[RedisServer]) {
    let ((one, here), (other, there)) = (node(url).await, node(url).await);
    for path in ["/plain/1", "/plain/2", "/leased/1", "/leased/2"] {
        assert_eq!(text(here.get(path).await).await, path);
        one.settled().await;
        assert_hit(there.get(path).await, path).await;
    }
    assert_eq!((here.calls(), there.calls()), (4, 0), "{what}");

    // One waits for the other's lease, and is told when that is given back.
    let (a, b) = tokio::join!(here.get("/leased/3"), there.get("/leased/3"));
    assert_eq!((text(a).await, text(b).await), ("/leased/3".to_owned(), "/leased/3".to_owned()));
    assert_eq!(here.calls() + there.calls(), 5, "{what}");
    eventually("a subscription", || {
        servers.iter().any(|server| server.cli(&["PUBSUB", "CHANNELS"]).contains("tqc:v1:w"))
    })
    .await;
    for number in 4..8 {
        let path = format!("/leased/{number}");
        let _ = tokio::join!(here.get(&path), there.get(&path));
    }
    assert_eq!(here.calls() + there.calls(), 9, "{what}");

    other.purge_tag("page:1").await.unwrap();
    purges_go_round(&[&other, &one]).await;
    for path in ["/plain/1", "/leased/1"] {
        assert!(here.get(path).await.headers()["cache-status"].to_str().unwrap().contains("fwd=miss"));
    }
    one.settled().await;
    let figures = stats(&one).await;
    assert!(figures["keys"].is_u64() && figures["memory_used"].is_string(), "{what}: {figures}");
    assert_eq!((&figures["connected"], &figures["journal"]["mode"]), (&true.into(), &"push".into()));
    for server in servers {
        assert_eq!(server.cli(&["ACL", "LOG"]), "", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rule_is_enough_for_a_whole_cache_on_one_server() {
    for protocol in ["", "?protocol=resp3"] {
        let server = RedisServer::start();
        let url = documented_user(&server) + protocol;
        assert_all_is_allowed(&url, &url, &[server]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rule_is_enough_for_a_whole_cache_by_sentinels() {
    let watched = spawn_blocking(|| Watched::start(&[])).await.unwrap();
    watched.servers().iter().for_each(add_documented_user);
    assert_all_is_allowed("sentinels", &watched.url("cache:secret@", ""), watched.servers()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rule_is_enough_for_a_whole_cache_in_a_cluster() {
    let cluster = spawn_blocking(RedisCluster::start).await.unwrap();
    cluster.nodes().iter().for_each(add_documented_user);
    assert_all_is_allowed("a Cluster", &cluster.url_with("cache:secret@"), cluster.nodes()).await;
}

/// What a cache loses without a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// The journal is never read, and so nothing shared; or it takes no purge.
    Journal,
    /// The journal is asked from time to time.
    Push,
    /// Nobody is told that a lease was given back.
    Word,
    /// A lease that was lost overwrites what came meanwhile.
    Fence,
}

/// What a server whose user has this rule is good for.
async fn has(loss: Loss, server: &RedisServer, rule: &[&str]) -> bool {
    server.cli(&["ACL", "DELUSER", "cache"]);
    server.cli(&["FLUSHALL"]);
    add_user(server, rule);
    let config = patient(server.url().replace("redis://", "redis://cache:secret@"));
    let store = Arc::new(RedisStore::new(&config, "tqc").unwrap());
    match loss {
        Loss::Journal | Loss::Push => {
            // The end of a transaction has a refusal of its own.
            let refused = |why: &str| why.contains("NOPERM") || why.contains("EXECABORT");
            let cache = QueryCache::builder().redis(config).build().unwrap();
            let told = Cell::new(None);
            eventually_async("the journal is followed, or why not", || {
                let (cache, told) = (&cache, &told);
                async move {
                    let figures = stats(cache).await;
                    told.set(match (loss, &figures["journal"]["mode"], figures["error"].as_str()) {
                        (_, _, Some(why)) if refused(why) => Some(false),
                        (Loss::Push, mode, _) if mode == "poll" => Some(false),
                        // One that can wait is told apart when the first wait is over.
                        _ if figures["journal"]["followed"] == true && waits(server) => Some(true),
                        _ => None,
                    });
                    told.get().is_some()
                }
            })
            .await;
            told.get().unwrap() && cache.purge_tag("a tag").await.is_ok()
        }
        Loss::Word => {
            store.ready().await.unwrap();
            let refused = || server.cli(&["ACL", "LOG"]).contains("subscribe");
            let subscribed = || server.cli(&["PUBSUB", "NUMSUB", "tqc:v1:w"]).ends_with('1');
            // Dropped, it leaves the subscription.
            drop(store.given_back(&key(1)));
            eventually("a subscription, or why not", || refused() || subscribed()).await;
            let lease = store.acquire(&key(1), LIFE).await.unwrap().unwrap();
            let word = store.given_back(&key(1));
            assert!(store.commit(&key(1), &lease, value(9), LIFE).await.unwrap());
            timeout(Duration::from_secs(1), word).await.is_ok()
        }
        Loss::Fence => {
            store.ready().await.unwrap();
            let lease = store.acquire(&key(1), LIFE).await.unwrap().unwrap();
            let leases = server.cli(&["KEYS", "*:l"]);
            server.cli(&["DEL", &leases]);
            store.set(&key(1), Bytes::from_static(b"of another's"), LIFE).await.unwrap();
            matches!(store.commit(&key(1), &lease, value(9), LIFE).await, Ok(false))
        }
    }
}

/// Whether a client waits for the journal's next entry.
fn waits(server: &RedisServer) -> bool {
    server.cli(&["INFO", "clients"]).contains("blocked_clients:1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_for_leases_and_the_journal_is_needed() {
    let server = RedisServer::start();
    let rule = documented_rule();
    for loss in [Loss::Journal, Loss::Push, Loss::Word, Loss::Fence] {
        assert!(has(loss, &server, &rule).await, "{loss:?}");
    }
    let further = rule.iter().skip_while(|part| **part != "~{tqc:*").filter(|part| part.starts_with('+'));
    for command in further {
        let loss = match *command {
            "+multi" | "+exec" | "+xadd" | "+xrange" => Loss::Journal,
            "+xread" => Loss::Push,
            "+publish" | "+subscribe" => Loss::Word,
            "+eval" | "+getrange" => Loss::Fence,
            // For many servers.
            "+role" | "+cluster|slots" | "+asking" => continue,
            other => panic!("{other} isn't known here"),
        };
        let without: Vec<_> = rule.iter().copied().filter(|part| part != command).collect();
        assert!(!has(loss, &server, &without).await, "without {command} nothing is amiss: {loss:?}");
        println!("without {command}: no {loss:?}");
    }
}
