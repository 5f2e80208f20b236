//! 1xx responses on their way to the client.

use std::time::Duration;

use crate::wire::{EMPTY, Gateway, in_time};

const GET: &str = "GET /interim HTTP/1.1\r\nHost: site\r\n\r\n";

#[tokio::test]
async fn interim_responses_reach_the_client_at_once_and_in_order() {
    let gateway = Gateway::start().await;
    let (mut client, request) = (gateway.client().await, GET);
    for _ in 0..2 {
        client.send(request).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\n").await;
        let first = client.head().await;
        assert_eq!((first.start(), first.field("x-a")), ("HTTP/1.1 102 Processing", "1"));

        upstream
            .send(
                "HTTP/1.1 103 Early\r\nLink: </a>\r\nConnection: x-hop\r\nX-Hop: no\r\nKeep-Alive: no\r\nLink: </b>\r\n\r\n\
                 HTTP/1.1 199 Odd\r\nX-B: 2\r\n\r\n",
            )
            .await;
        let second = client.head().await;
        assert_eq!(second.start(), "HTTP/1.1 103 Early Hints");
        assert_eq!(second.others(), [("link", "</a>"), ("link", "</b>")]);
        let third = client.head().await;
        assert_eq!((third.start(), third.field("x-b")), ("HTTP/1.1 199 ", "2"));

        // In one piece with the final response.
        upstream.send(&format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nX-C: 3\r\n\r\n{EMPTY}")).await;
        let fourth = client.head().await;
        assert_eq!((fourth.start(), fourth.field("x-c")), ("HTTP/1.1 103 Early Hints", "3"));
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn http_1_0_gets_no_interim_response() {
    let gateway = Gateway::start().await;
    let response = format!("HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n{EMPTY}");
    let (_, answer, body) = gateway.exchange("GET /old HTTP/1.0\r\nHost: site\r\n\r\n", &response).await;
    assert_eq!((answer.start(), body.as_str()), ("HTTP/1.0 200 OK", ""));
}

#[tokio::test]
async fn interim_responses_are_never_stored() {
    let gateway = Gateway::start().await;
    let response = "HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\
                    Content-Length: 2\r\nConnection: close\r\n\r\nok";
    let (_, interim, rest) = gateway.exchange(GET, response).await;
    assert_eq!(interim.start(), "HTTP/1.1 103 Early Hints");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && !rest.contains("link"), "{rest}");
    let (again, body) = gateway.refused(GET).await;
    assert_eq!((again.start(), again.field("link"), body.as_str()), ("HTTP/1.1 200 OK", "", "ok"));
    assert!(again.field("cache-status").contains("hit"), "{again:?}");
}

#[tokio::test]
async fn a_flood_of_interim_responses_is_bounded() {
    let gateway = Gateway::start().await;
    let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(500);
    let (_, first, rest) = gateway.exchange(GET, &format!("{flood}{EMPTY}")).await;
    assert_eq!(first.start(), "HTTP/1.1 102 Processing");
    assert_eq!((rest.matches("HTTP/1.1 102").count(), rest.matches("HTTP/1.1 200").count()), (63, 1));
}

#[tokio::test]
async fn interim_responses_extend_the_wait_for_the_head() {
    let gateway = Gateway::start_with(&[("UPSTREAM_TIMEOUT", "2")]).await;
    for request in [GET, "POST /interim HTTP/1.0\r\n\r\n"] {
        let mut client = gateway.client().await;
        client.send(request).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        let mut ticks = tokio::time::interval(Duration::from_millis(400));
        for _ in 0..8 {
            ticks.tick().await;
            upstream.send("HTTP/1.1 102 Processing\r\n\r\n").await;
            if request == GET {
                assert_eq!(client.head().await.start(), "HTTP/1.1 102 Processing");
            }
        }
        upstream.send(EMPTY).await;
        assert!(client.head().await.start().ends_with(" 200 OK"), "{request}");
    }
}

#[tokio::test]
async fn interim_responses_extend_the_wait_for_the_head_up_to_a_bound() {
    let gateway = Gateway::start_with(&[("UPSTREAM_TIMEOUT", "1")]).await;
    let mut client = gateway.client().await;
    client.send("POST /never HTTP/1.1\r\nHost: site\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    let last = loop {
        ticks.tick().await;
        upstream.send("HTTP/1.1 102 Processing\r\n\r\n").await;
        let head = client.head().await;
        if head.start() != "HTTP/1.1 102 Processing" {
            break head;
        }
    };
    assert_eq!(last.start(), "HTTP/1.1 504 Gateway Timeout");
}

#[tokio::test]
async fn expect_gets_its_continue_once_and_what_comes_after_it() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nHost: site\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n").await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 100 Continue");
    client.send("ok").await;
    let mut upstream = gateway.accept().await;
    let got = upstream.head().await;
    assert_eq!((got.field("expect"), upstream.read(2).await.as_str()), ("100-continue", "ok"));
    upstream.send(&format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n{EMPTY}")).await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 102 Processing");
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
}

/// While the end of the first response waits to be written, the second request is served already.
#[tokio::test]
async fn an_interim_response_waits_for_the_end_of_the_response_before_it() {
    const LENGTH: usize = 6 << 20;
    let gateway = Gateway::start().await;
    let mut client = gateway.slow_client().await;
    client.send("POST /1 HTTP/1.1\r\nHost: site\r\n\r\nPOST /2 HTTP/1.1\r\nHost: site\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    assert_eq!(upstream.head().await.start(), "POST /1 HTTP/1.1");
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n");
    let sent = tokio::spawn(async move {
        upstream.send(&head).await;
        upstream.send_until_closed(LENGTH).await
    });
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    let mut read = 0;
    let mut upstream = loop {
        // As slow a reader as it takes for the gateway to have written what it can, and no more.
        if let Ok(accepted) = tokio::time::timeout(Duration::from_millis(5), gateway.accept()).await {
            break accepted;
        }
        read += client.some((LENGTH - read).min(32 << 10)).await.len();
    };
    assert_eq!(upstream.head().await.start(), "POST /2 HTTP/1.1");
    upstream.send(&format!("HTTP/1.1 102 P\r\n\r\n{EMPTY}")).await;
    assert_eq!(upstream.rest().await, "", "it was read");
    println!("the second request was served with {} bytes of the first response unread", LENGTH - read);
    let rest = client.read(LENGTH - read).await;
    assert!(rest.bytes().all(|byte| byte == b'x'), "nothing in the midst of the body");
    assert_eq!(client.head().await.start(), "HTTP/1.1 102 Processing");
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    assert_eq!(in_time(sent).await.unwrap(), LENGTH);
}

/// The request that a refresh sends was its client's once. By then its client has its answer.
#[tokio::test]
async fn a_refreshs_interim_responses_reach_nobody() {
    let gateway = Gateway::start().await;
    let stale = "HTTP/1.1 200 OK\r\nAge: 10\r\nCache-Control: max-age=1, stale-while-revalidate=600\r\n\
                 Content-Length: 5\r\nConnection: close\r\n\r\nstale";
    gateway.exchange(GET, stale).await;
    let mut client = gateway.client().await;
    client.send(GET).await;
    let answer = client.head().await;
    assert!(answer.field("cache-status").contains("hit"), "{answer:?}");
    assert_eq!(client.read(5).await, "stale");
    let mut refresh = gateway.accept().await;
    refresh.head().await;
    // The same client waits for another response.
    client.send("POST /other HTTP/1.1\r\nHost: site\r\n\r\n").await;
    let mut other = gateway.accept().await;
    assert_eq!(other.head().await.start(), "POST /other HTTP/1.1");
    refresh.send(&format!("HTTP/1.1 103 E\r\nLink: </wrong>\r\n\r\n{EMPTY}")).await;
    assert_eq!(refresh.rest().await, "", "it was read");
    other.send(&format!("HTTP/1.1 103 E\r\nLink: </right>\r\n\r\n{EMPTY}")).await;
    let interim = client.head().await;
    assert_eq!((interim.start(), interim.field("link")), ("HTTP/1.1 103 Early Hints", "</right>"));
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
}
