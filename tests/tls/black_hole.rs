//! A server that takes connections and says nothing in the handshake, or no more after it began.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::certificates::Authority;
use crate::support::http::text;
use crate::support::site::stats;
use crate::support::store::SLACK;
use crate::support::{FakeRedis, eventually, eventually_async};
use crate::{HOST, over, trusting};

const REQUESTS: usize = 500;

/// Forwards to `server` the client's first flight and back so many bytes of the answer; then nothing.
async fn stop_after(server: u16, bytes: usize) -> u16 {
    let listener = TcpListener::bind((HOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect((HOST, server)).await.unwrap();
            let mut hello = vec![0; 4096];
            let length = client.read(&mut hello).await.unwrap_or(0);
            server.write_all(&hello[..length]).await.unwrap();
            let mut answer = vec![0; bytes];
            if server.read_exact(&mut answer).await.is_ok() {
                let _ = client.write_all(&answer).await;
            }
            held.push((client, server));
        }
    });
    port
}

/// Sends requests to a cache over a handshake that never ends; the longest took less than its budget.
async fn assert_free(what: &str, port: u16) {
    let authority = Authority::new();
    let mut config = trusting(&authority, format!("rediss://{HOST}:{port}"));
    config.lookup_timeout = Duration::from_millis(50);
    config.connect_timeout = Duration::from_millis(300);
    let lookup = config.lookup_timeout;
    let (cache, site) = over(config);
    let (mut failed, mut longest) = (0, Duration::ZERO);
    for number in 0..REQUESTS {
        let path = format!("/{number}");
        let start = Instant::now();
        let answer = site.get(&path).await;
        failed += usize::from(text(answer).await != path);
        longest = longest.max(start.elapsed());
    }
    println!("{what}: {failed} of {REQUESTS} failed, the longest took {longest:?} of {lookup:?}");
    assert_eq!(failed, 0);
    assert!(longest < lookup + SLACK, "{longest:?}");
    eventually_async("the stats have the reason", || async {
        let figures = stats(&cache).await;
        figures["connected"] == false
            && figures["error"].as_str().is_some_and(|text| text.contains("connection: "))
    })
    .await;
}

#[tokio::test]
async fn a_handshake_that_is_never_answered_costs_no_request_anything() {
    let silent = FakeRedis::silent();
    assert_free("no handshake", silent.port()).await;
}

#[tokio::test]
async fn a_handshake_that_stops_in_the_middle_costs_no_request_anything() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue(HOST), &[]);
    for bytes in [1, 200, 600] {
        assert_free(&format!("{bytes} bytes of a handshake"), stop_after(server.tls_port(), bytes).await)
            .await;
    }
}

#[tokio::test]
async fn a_server_that_freezes_under_tls_is_left_and_found_again() {
    let authority = Authority::new();
    let server = authority.server(&authority.issue(HOST), &[]);
    let mut config = trusting(&authority, server.tls_url());
    config.lookup_timeout = Duration::from_millis(50);
    let (cache, site) = over(config);
    assert!(cache.ready(Duration::from_secs(30)).await);
    server.pause();
    let (mut failed, mut longest) = (0, Duration::ZERO);
    for number in 0..REQUESTS {
        let path = format!("/{number}");
        let start = Instant::now();
        failed += usize::from(text(site.get(&path).await).await != path);
        longest = longest.max(start.elapsed());
    }
    println!("frozen under TLS: {failed} of {REQUESTS} failed, the longest took {longest:?} of 50ms");
    assert_eq!(failed, 0);
    assert!(longest < Duration::from_millis(50) + SLACK, "{longest:?}");
    server.resume();
    assert!(cache.ready(Duration::from_secs(60)).await);
    text(site.get("/after").await).await;
    cache.settled().await;
    eventually("entries go to Redis again", || !server.keys().is_empty()).await;
}
