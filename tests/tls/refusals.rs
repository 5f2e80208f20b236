//! What is wrong is told once: in the log and in the stats, without secrets. And requests go on.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_query_cache::RedisConfig;

use crate::support::certificates::Authority;
use crate::support::http::text;
use crate::support::log::Log;
use crate::support::site::{stats, stats_text};
use crate::support::{eventually, eventually_async};
use crate::{HOST, over, showing, trusting};

const REQUESTS: usize = 400;
const AT_ONCE: usize = 16;

/// Sends requests over what can't work, and asserts that `reason` is told.
async fn assert_told(what: &str, config: RedisConfig, reason: &str) {
    let log = Log::start();
    let (cache, site) = over(config.clone());
    if !reason.contains("NOPERM") {
        eventually("several connects failed", || log.lines(&["still out of reach"]).len() >= 8).await;
    }

    let mut failed = 0;
    for from in (0..REQUESTS).step_by(AT_ONCE) {
        let mut requests = JoinSet::new();
        for number in from..from + AT_ONCE {
            let site = Arc::clone(&site);
            requests.spawn(async move {
                let path = format!("/{number}");
                let answer = site.get(&path).await;
                answer.status() == 200 && text(answer).await == path
            });
        }
        failed += requests.join_all().await.iter().filter(|passed| !**passed).count();
    }
    eventually_async("the stats have the reason", || async {
        let figures = stats(&cache).await;
        figures["connected"] == false && figures["error"].as_str().is_some_and(|text| text.contains(reason))
    })
    .await;
    cache.settled().await;
    join_all((0..10).map(|_| stats(&cache))).await;

    let warnings = log.lines(&["WARN", reason]);
    println!("{what}: {failed} of {REQUESTS} failed; {}", warnings.join("\n"));
    assert_eq!(failed, 0);
    assert_eq!(warnings.len(), 1, "{}", log.text());
    // What else is worth a warning is that the circuit breaker opened.
    let others = log.lines(&["WARN"]).len() - warnings.len();
    assert!(others <= 1, "{}", log.text());
    for told in [log.text(), stats_text(&cache).await] {
        for secret in ["hunter2", "correct-horse", "BEGIN", ".pem", "other.test"] {
            assert!(!told.contains(secret), "{secret}: {told}");
        }
    }
}

#[tokio::test]
async fn an_authority_that_is_not_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server(&authority.issue(HOST), &[]);
    let reason = "connection: TLS: the server's certificate is from an authority that isn't trusted";
    assert_told("another authority", trusting(&other, server.tls_url()), reason).await;
    let mut of_the_system = trusting(&other, server.tls_url());
    of_the_system.tls_ca = None;
    assert_told("the system's authorities", of_the_system, reason).await;
}

#[tokio::test]
async fn an_expired_certificate() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue_until(HOST, 2001), &[]);
    let config = trusting(&authority, server.tls_url());
    assert_told("expired", config, "connection: TLS: the server's certificate has expired").await;
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue("other.test"), &[]);
    let config = trusting(&authority, server.tls_url());
    assert_told("another name", config, "connection: TLS: the server's certificate is for another name")
        .await;
}

#[tokio::test]
async fn no_client_certificate_where_one_is_required() {
    let authority = Authority::new();
    let required = ["--tls-auth-clients", "yes"];
    let server = authority.server(&authority.issue(HOST), &required);
    let config = trusting(&authority, server.tls_url());
    assert_told("no client certificate", config, "connection: TLS: the server asks for a client certificate")
        .await;
}

#[tokio::test]
async fn a_client_certificate_of_another_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let required = ["--tls-auth-clients", "yes"];
    let server = authority.server(&authority.issue(HOST), &required);
    let config = showing(&other.issue("client"), trusting(&authority, server.tls_url()));
    assert_told(
        "another's client certificate",
        config,
        "connection: TLS: the server refuses the client certificate",
    )
    .await;
}

#[tokio::test]
async fn a_wrong_password() {
    let authority = Authority::new();
    let password = ["--requirepass", "correct-horse"];
    let server = authority.server(&authority.issue(HOST), &password);
    let url = server.tls_url().replace("correct-horse", "hunter2");
    let reason = "server: WRONGPASS: the server refuses the user or the password";
    assert_told("wrong password", trusting(&authority, url.clone()), reason).await;
    assert_told("wrong password, RESP3", trusting(&authority, url + "?protocol=resp3"), reason).await;
}

#[tokio::test]
async fn a_user_without_rights() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue(HOST), &[]);
    server.cli(&["ACL", "SETUSER", "nobody", "on", ">hunter2", "~other:*", "-@all"]);
    let url = server.tls_url().replace("rediss://", "rediss://nobody:hunter2@");
    assert_told("no rights", trusting(&authority, url), "server: NOPERM: the user may not do this").await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_tls() {
    let listener = TcpListener::bind((HOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut hello = [0; 4096];
            let _ = client.read(&mut hello).await;
            let _ = client.write_all(b"-ERR Protocol error: unbalanced quotes in request\r\n").await;
        }
    });
    let authority = Authority::new();
    let config = trusting(&authority, format!("rediss://{HOST}:{port}"));
    assert_told("no TLS", config, "connection: TLS: the server doesn't speak TLS").await;
}
