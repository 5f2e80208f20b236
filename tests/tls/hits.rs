//! What one process stores, another finds.

use std::time::Duration;

use tokio::time::timeout;
use tower_query_cache::{RedisConfig, Store as _};

use crate::support::certificates::Authority;
use crate::support::http::assert_hit;
use crate::support::site::{MINUTE, stats};
use crate::support::store::{LIFE, clients, key, open, value};
use crate::support::{RedisServer, eventually};
use crate::{HOST, over, showing, trusting};

const ENTRIES: usize = 200;

/// Stores by one handle and reads by another; the hits.
async fn hits(server: &RedisServer, config: &RedisConfig) -> u64 {
    let (first, writer) = over(config.clone());
    let (second, reader) = over(config.clone());
    assert!(first.ready(MINUTE).await && second.ready(MINUTE).await);
    for number in 0..ENTRIES {
        writer.get(&format!("/{number}")).await;
    }
    first.settled().await;
    for number in 0..ENTRIES {
        let path = format!("/{number}");
        assert_hit(reader.get(&path).await, &path).await;
    }
    assert_eq!(reader.calls(), 0);
    let figures = stats(&second).await;
    assert_eq!((&figures["connected"], &figures["keys"]), (&true.into(), &ENTRIES.into()), "{figures}");

    // None of ours came by the other port, where the test itself asks.
    let tls = format!("{HOST}:{}", server.tls_port());
    let by_tls = clients(server, "laddr").iter().filter(|address| **address == tls).count();
    let all = clients(server, "id").len();
    assert!(by_tls >= 2 && all == by_tls + 1, "{by_tls} of {all}");
    figures["hits"]["shared"].as_u64().unwrap()
}

#[tokio::test]
async fn hits_with_an_authority_of_ones_own() {
    let authority = Authority::new();
    for (protocol, version) in [("/5", "2"), ("/6?protocol=resp3", "3")] {
        let server = authority.server(&authority.issue(HOST), &[]);
        let config = trusting(&authority, server.tls_url() + protocol);
        let hits = hits(&server, &config).await;
        println!("TLS, RESP{version}: {hits} hits of {ENTRIES}");
        assert_eq!(hits, ENTRIES as u64);
    }
}

#[tokio::test]
async fn hits_where_a_client_certificate_is_required() {
    let authority = Authority::new();
    let required = ["--tls-auth-clients", "yes", "--requirepass", "correct-horse"];
    let server = authority.server(&authority.issue(HOST), &required);
    let config = showing(&authority.issue("client"), trusting(&authority, server.tls_url()));
    let hits = hits(&server, &config).await;
    println!("TLS, client certificate and password: {hits} hits of {ENTRIES}");
    assert_eq!(hits, ENTRIES as u64);
}

#[tokio::test]
async fn tls_1_2_alone_will_do() {
    let authority = Authority::new();
    let old = ["--tls-protocols", "TLSv1.2"];
    let server = authority.server(&authority.issue(HOST), &old);
    assert_eq!(hits(&server, &trusting(&authority, server.tls_url())).await, ENTRIES as u64);
}

#[tokio::test]
async fn the_probe_and_the_leases_subscription_use_tls_too() {
    let authority = Authority::new();
    let required = ["--tls-auth-clients", "yes"];
    for protocol in ["", "?protocol=resp3"] {
        let server = authority.server(&authority.issue(HOST), &required);
        let config = showing(&authority.issue("client"), trusting(&authority, server.tls_url() + protocol));
        let store = open(&config);
        store.probe().await.unwrap();

        let (leases, key) = (store.leases().unwrap(), key(1));
        let lease = leases.acquire(&key, LIFE).await.unwrap().unwrap();
        // The first word is the subscription's own: something may have been missed before.
        timeout(LIFE, leases.given_back(&key)).await.unwrap();
        let (told, put) = tokio::join!(
            timeout(Duration::from_secs(10), leases.given_back(&key)),
            leases.commit(&key, &lease, value(9), LIFE)
        );
        assert!(told.is_ok() && put.unwrap());
        assert_eq!(store.get(&key).await.unwrap(), Some(value(9)));

        let tls = format!("{HOST}:{}", server.tls_port());
        let commands = clients(&server, "cmd");
        assert!(commands.contains(&"subscribe".to_owned()), "{commands:?}");
        let by_tls = clients(&server, "laddr").iter().filter(|address| **address == tls).count();
        assert_eq!(by_tls, clients(&server, "id").len() - 1);
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_on_the_server_needs_no_restart() {
    let authority = Authority::new();
    let expired = authority.issue_until(HOST, 2001);
    let server = authority.server(&expired, &[]);
    let store = open(&trusting(&authority, server.tls_url()));
    assert!(timeout(Duration::from_millis(100), store.ready()).await.is_err());
    eventually("the reason", || store.last_error().is_some_and(|text| text.ends_with("has expired"))).await;

    let good = authority.issue(HOST);
    let [cert, key] = [&good.cert, &good.key].map(|path| path.to_str().unwrap());
    assert_eq!(server.cli(&["CONFIG", "SET", "tls-cert-file", cert, "tls-key-file", key]), "OK");
    timeout(Duration::from_secs(30), store.ready()).await.unwrap().unwrap();
    eventually("the trouble is over", || store.last_error().is_none()).await;
}
