//! 1xx responses on their way to the client.

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

/// While much of the first response waits to be written, the second request is served already.
#[tokio::test]
async fn an_interim_response_waits_for_the_end_of_the_response_before_it() {
    const LENGTH: usize = 16 << 20;
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    client.send("POST /1 HTTP/1.1\r\nHost: site\r\n\r\nPOST /2 HTTP/1.1\r\nHost: site\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    assert_eq!(upstream.head().await.start(), "POST /1 HTTP/1.1");
    let long = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\nConnection: close\r\n\r\n{}",
        "x".repeat(LENGTH)
    );
    let sent = tokio::spawn(async move {
        upstream.send(&long).await;
    });
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    let (mut read, mut upstream) = (0, None);
    while upstream.is_none() {
        tokio::select! {
            biased;
            accepted = gateway.accept() => upstream = Some(accepted),
            bytes = client.some((LENGTH - read).min(4096)), if read < LENGTH => read += bytes.len(),
        }
    }
    let mut upstream = upstream.unwrap();
    assert_eq!(upstream.head().await.start(), "POST /2 HTTP/1.1");
    upstream.send(&format!("HTTP/1.1 102 P\r\n\r\n{EMPTY}")).await;
    println!("the second request was served with {} bytes of the first response unread", LENGTH - read);
    assert_ne!(read, LENGTH, "nothing was left to wait for");
    let rest = client.read(LENGTH - read).await;
    assert!(rest.bytes().all(|byte| byte == b'x'), "nothing in the midst of the body");
    assert_eq!(client.head().await.start(), "HTTP/1.1 102 Processing");
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    in_time(sent).await.unwrap();
}
