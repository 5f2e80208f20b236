//! Where messages end, and what happens when they don't.

use crate::wire::{EMPTY, Gateway};

const POST: &str = "POST /body HTTP/1.1\r\nHost: site\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn request_bodies_keep_their_framing() {
    let gateway = Gateway::start().await;
    for method in ["GET", "POST", "DELETE", "QUERY", "BREW"] {
        let mut client = gateway.client().await;
        client.send(&format!("{method} / HTTP/1.1\r\nHost: site\r\nContent-Length: 5\r\n\r\nhello")).await;
        let mut upstream = gateway.accept().await;
        let got = upstream.head().await;
        assert_eq!(
            (got.start(), got.field("content-length")),
            (format!("{method} / HTTP/1.1").as_str(), "5")
        );
        assert_eq!(upstream.read(5).await, "hello");
        upstream.send(EMPTY).await;
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    }
    // Too long to be read for a key, and of unknown length.
    let long = "x".repeat(0x20000);
    for method in ["GET", "POST", "BREW"] {
        let mut client = gateway.client().await;
        client
            .send(&format!("{method} / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: Chunked\r\n\r\n"))
            .await;
        client.send(&format!("20000\r\n{long}\r\n0\r\n\r\n")).await;
        let mut upstream = gateway.accept().await;
        let got = upstream.head().await;
        assert_eq!((got.field("transfer-encoding"), got.field("content-length")), ("chunked", ""));
        let mut body = String::new();
        while !body.ends_with("\r\n0\r\n\r\n") {
            body.push_str(&String::from_utf8(upstream.some(1 << 16).await).unwrap());
        }
        assert_eq!(body.matches('x').count(), 0x20000);
        upstream.send(EMPTY).await;
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_is_dropped() {
    let gateway = Gateway::start().await;
    for fields in [
        "Content-Length: 40\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 40\r\n",
    ] {
        let mut client = gateway.client().await;
        client
            .send(&format!(
                "POST / HTTP/1.1\r\nHost: site\r\n{fields}\r\n2\r\nok\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n"
            ))
            .await;
        let mut upstream = gateway.accept().await;
        let got = upstream.head().await;
        assert_ne!(got.field("content-length"), "40", "{got:?}");
        let body = if got.field("transfer-encoding") == "chunked" { "2\r\nok\r\n0\r\n\r\n" } else { "ok" };
        assert_eq!(upstream.read(body.len()).await, body);
        upstream.send(EMPTY).await;
        assert_eq!(client.head().await.field("connection"), "close", "what comes after it isn't trusted");
        assert_eq!(client.rest().await, "");
    }
    let (_, answer, body) = gateway
        .exchange(
            POST,
            "HTTP/1.1 200 OK\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!((answer.field("content-length"), body.as_str()), ("", "2\r\nok\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn requests_that_disagree_about_their_length_are_refused() {
    let gateway = Gateway::start().await;
    for fields in
        ["Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: x\r\n", "Transfer-Encoding: foo\r\n"]
    {
        let (answer, _) = gateway.refused(&format!("POST / HTTP/1.1\r\nHost: site\r\n{fields}\r\nab")).await;
        assert_eq!(answer.start(), "HTTP/1.1 400 Bad Request", "{fields}");
    }
}

#[tokio::test]
async fn responses_without_content_end_with_their_head() {
    let gateway = Gateway::start().await;
    for (method, status, length) in
        [("HEAD", "200 OK", "5"), ("POST", "204 No Content", ""), ("POST", "304 Not Modified", "")]
    {
        let mut client = gateway.client().await;
        for _ in 0..2 {
            client.send(&format!("{method} /none HTTP/1.1\r\nHost: site\r\n\r\n")).await;
            let mut upstream = gateway.accept().await;
            upstream.head().await;
            let length =
                if length.is_empty() { String::new() } else { format!("Content-Length: {length}\r\n") };
            let head =
                format!("HTTP/1.1 {status}\r\nCache-Control: no-store\r\n{length}Connection: close\r\n\r\n");
            upstream.send(&head).await;
            let answer = client.head().await;
            assert_eq!(answer.start(), format!("HTTP/1.1 {status}"));
            assert_eq!(
                (answer.field("content-length"), answer.field("transfer-encoding")),
                (if method == "HEAD" { "5" } else { "" }, "")
            );
        }
    }
}

#[tokio::test]
async fn a_body_may_end_with_its_connection() {
    let gateway = Gateway::start().await;
    for fields in ["", "Transfer-Encoding: foo\r\n", "Transfer-Encoding: gzip\r\n"] {
        for version in ["1.1", "1.0"] {
            if version == "1.0" && !fields.is_empty() {
                continue;
            }
            let (_, answer, body) =
                gateway.exchange(POST, &format!("HTTP/{version} 200 OK\r\n{fields}\r\nwhole")).await;
            assert_eq!((answer.start(), answer.field("transfer-encoding")), ("HTTP/1.1 200 OK", "chunked"));
            assert_eq!(body, "5\r\nwhole\r\n0\r\n\r\n", "{version} {fields}");
        }
    }
    let (_, answer, body) =
        gateway.exchange("POST / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nwhole").await;
    assert_eq!((answer.start(), answer.field("x-a"), body.as_str()), ("HTTP/1.0 200 OK", "1", "whole"));
}

#[tokio::test]
async fn a_body_that_is_cut_short_never_looks_complete() {
    let gateway = Gateway::start().await;
    for (fields, sent, arrived) in [
        ("Content-Length: 10\r\n", "hello", "hello"),
        ("Content-Length: 10\r\nCache-Control: max-age=60\r\n", "hello", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\nzz\r\n", "5\r\nhello\r\n"),
    ] {
        for method in ["GET", "POST"] {
            let request = format!("{method} /short HTTP/1.1\r\nHost: site\r\n\r\n");
            let (_, answer, body) =
                gateway.exchange(&request, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n{sent}")).await;
            assert_eq!((answer.start(), body.as_str()), ("HTTP/1.1 200 OK", arrived), "{fields}");
        }
    }
}

/// To HTTP/1.0, the connection's end is the body's.
#[tokio::test]
async fn a_body_that_is_cut_short_resets_a_connection_whose_end_would_complete_it() {
    let gateway = Gateway::start().await;
    for fields in ["Content-Length: 10\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n"] {
        let mut client = gateway.client().await;
        client.send("POST / HTTP/1.0\r\n\r\n").await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.send(&format!("HTTP/1.1 200 OK\r\n{fields}hello")).await;
        assert_eq!(client.head().await.start(), "HTTP/1.0 200 OK");
        assert_eq!(client.read(5).await, "hello");
        drop(upstream);
        assert_eq!(client.until_reset().await, "");
    }
}

#[tokio::test]
async fn bytes_after_a_body_concern_nobody() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    for (response, body) in [
        ("Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", "hello"),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nbad", "5\r\nhello\r\n0\r\n\r\n"),
        ("Content-Length: 0\r\n\r\nbad", ""),
    ] {
        client.send(POST).await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        upstream.send(&format!("HTTP/1.1 200 OK\r\n{response}")).await;
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
        assert_eq!(client.read(body.len()).await, body);
        assert_eq!(upstream.rest().await, "", "the connection is closed");
    }
}

#[tokio::test]
async fn lengths_that_agree_become_one() {
    let gateway = Gateway::start().await;
    for fields in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n"] {
        let (_, answer, body) = gateway
            .exchange(POST, &format!("HTTP/1.1 200 OK\r\n{fields}Connection: close\r\n\r\nhello"))
            .await;
        assert_eq!((answer.all("content-length"), body.as_str()), (vec!["5"], "hello"));
    }
}

#[tokio::test]
async fn lengths_of_no_content_become_one_or_none() {
    let gateway = Gateway::start().await;
    let conditional = "GET /none HTTP/1.1\r\nHost: site\r\nIf-None-Match: \"a\"\r\n\r\n";
    for (request, status) in [
        ("HEAD /none HTTP/1.1\r\nHost: site\r\n\r\n", "200 OK"),
        (conditional, "304 Not Modified"),
        ("POST /none HTTP/1.1\r\nHost: site\r\n\r\n", "204 No Content"),
    ] {
        for (lengths, one) in [
            (&["5", "5"][..], "5"),
            (&["5, 5"], "5"),
            (&["0", "0,0"], "0"),
            (&["5", "6"], ""),
            (&["5, 6"], ""),
            (&["5", "x"], ""),
            (&["+5"], ""),
            (&[""], ""),
        ] {
            let lines: String =
                lengths.iter().map(|length| format!("Content-Length: {length}\r\n")).collect();
            let fields = format!("Cache-Control: no-store\r\n{lines}X-Last: 1\r\nConnection: close\r\n");
            let (_, answer, body) =
                gateway.exchange(request, &format!("HTTP/1.1 {status}\r\n{fields}\r\n")).await;
            assert_eq!(answer.start(), format!("HTTP/1.1 {status}"));
            let one = if request.starts_with("HEAD") { one } else { "" };
            assert_eq!(
                (answer.field("content-length"), answer.field("x-last"), body.as_str()),
                (one, "1", ""),
                "{status} {lengths:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_response_gives_502() {
    let gateway = Gateway::start().await;
    for response in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "no HTTP at all\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n",
    ] {
        let (_, answer, body) = gateway.exchange(POST, response).await;
        assert_eq!(answer.start(), "HTTP/1.1 502 Bad Gateway", "{response:?}");
        assert_eq!(answer.field("content-type"), "text/plain");
        assert!(body.starts_with("the upstream ") && body.len() < 60 && !body.contains("127"), "{body}");
    }
}

#[tokio::test]
async fn whitespace_and_folds_in_a_response_are_put_right() {
    let gateway = Gateway::start().await;
    let (_, answer, _) = gateway
        .exchange(POST, "HTTP/1.1 200 OK\r\nX-Space : 1\r\nX-Fold: a\r\n b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!((answer.field("x-space"), answer.field("x-fold")), ("1", "a b"));
}

#[tokio::test]
async fn trailers_reach_those_who_take_them() {
    let gateway = Gateway::start().await;
    let response = "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                    2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    for (fields, end) in [("TE: trailers\r\nConnection: te\r\n", "x-sum: 7\r\n"), ("", "")] {
        let request = format!("POST / HTTP/1.1\r\nHost: site\r\n{fields}\r\n");
        let (_, answer, body) = gateway.exchange(&request, response).await;
        assert_eq!((answer.field("trailer"), answer.field("x-sum")), ("x-sum", ""));
        assert_eq!(body, format!("2\r\nok\r\n0\r\n{end}\r\n"));
    }
}
