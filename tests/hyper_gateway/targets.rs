//! Request targets, `Host`, and what goes no further.

use crate::wire::{EMPTY, Gateway};

#[tokio::test]
async fn a_request_has_one_good_host() {
    let gateway = Gateway::start().await;
    for fields in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a, b\r\n",
        "Host:\r\n",
        "Host: :80\r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
        "Host: a:port\r\n",
        "Host: a:99999\r\n",
        "Host: http://a\r\n",
        "Host: a/b\r\n",
    ] {
        let (answer, body) = gateway.refused(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).await;
        assert_eq!(answer.start(), "HTTP/1.1 400 Bad Request", "{fields:?}");
        assert_eq!(answer.field("content-type"), "text/plain");
        assert!(body.contains("Host"), "{body}");
    }
    for (version, host) in
        [("1.1", "a"), ("1.1", "A.example:8080"), ("1.1", "[::1]:80"), ("1.1", "a:"), ("1.0", "a")]
    {
        let request = format!("POST /x HTTP/{version}\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        let (got, _, _) = gateway.exchange(&request, EMPTY).await;
        assert_eq!((got.start(), got.field("host")), ("POST /x HTTP/1.1", host));
        assert_eq!(got.field("via"), format!("{version} tower-query-cache"));
    }
}

#[tokio::test]
async fn http_1_0_may_have_no_host() {
    let gateway = Gateway::start().await;
    let (got, answer, _) = gateway.exchange("POST /old HTTP/1.0\r\nX-A: 1\r\n\r\n", EMPTY).await;
    assert_eq!(got.0[1], format!("host: {}", gateway.upstream.local_addr().unwrap()));
    assert_eq!(answer.start(), "HTTP/1.0 200 OK");
    for host in ["Host: a\r\nHost: b\r\n", "Host: a b\r\n"] {
        let (answer, _) = gateway.refused(&format!("GET / HTTP/1.0\r\n{host}\r\n")).await;
        assert_eq!(answer.start(), "HTTP/1.0 400 Bad Request");
    }
}

#[tokio::test]
async fn an_absolute_target_beats_host() {
    let gateway = Gateway::start().await;
    for (request, target, host) in [
        ("POST http://right:81/p?q HTTP/1.1", "POST /p?q HTTP/1.1", "right:81"),
        ("POST http://right HTTP/1.1", "POST / HTTP/1.1", "right"),
        ("POST http://right?q HTTP/1.1", "POST /?q HTTP/1.1", "right"),
        ("OPTIONS http://right/ HTTP/1.1", "OPTIONS / HTTP/1.1", "right"),
        ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1", "wrong"),
    ] {
        let (got, _, _) =
            gateway.exchange(&format!("{request}\r\nX-A: 1\r\nHost: wrong\r\n\r\n"), EMPTY).await;
        assert_eq!((got.start(), got.field("host")), (target, host));
        assert_eq!(got.others()[0], ("x-a", "1"), "the place of Host stays");
    }
    for (target, status) in [
        ("http://u:p@right/", "400 Bad Request"),
        ("https://right/", "421 Misdirected Request"),
        ("*", "400 Bad Request"),
        ("right", "400 Bad Request"),
        ("http://:80/", "400 Bad Request"),
    ] {
        let (answer, _) = gateway.refused(&format!("GET {target} HTTP/1.1\r\nHost: wrong\r\n\r\n")).await;
        assert_eq!(answer.start(), format!("HTTP/1.1 {status}"), "{target}");
    }
}

#[tokio::test]
async fn the_same_resource_is_found_in_the_cache_whatever_the_form_of_its_target() {
    let gateway = Gateway::start().await;
    let response =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let (_, first, _) = gateway.exchange("GET http://site/form HTTP/1.1\r\nHost: x\r\n\r\n", response).await;
    assert!(first.field("cache-status").contains("stored"), "{first:?}");
    let (again, body) = gateway.refused("GET /form HTTP/1.1\r\nHost: site\r\n\r\n").await;
    assert!(again.field("cache-status").contains("hit"), "{again:?}");
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn there_are_no_tunnels_and_no_codings_but_chunked() {
    let gateway = Gateway::start().await;
    for request in [
        "CONNECT site:443 HTTP/1.1\r\nHost: site:443\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ] {
        let (answer, _) = gateway.refused(request).await;
        assert_eq!(answer.start(), "HTTP/1.1 501 Not Implemented", "{request}");
    }
}

/// A client may send into its tunnel before it knows that there is none.
#[tokio::test]
async fn what_comes_after_a_refused_connect_is_no_request() {
    let gateway = Gateway::start().await;
    let tunneled = "GET /tunneled HTTP/1.1\r\nHost: site\r\n\r\n";
    let (answer, rest) =
        gateway.refused(&format!("CONNECT site:80 HTTP/1.1\r\nHost: site:80\r\n\r\n{tunneled}")).await;
    assert_eq!((answer.start(), answer.field("connection")), ("HTTP/1.1 501 Not Implemented", "close"));
    assert_eq!(rest, "there are no tunnels here\n");
    // The first thing that the upstream sees comes later.
    let (got, _, _) = gateway.exchange("POST /next HTTP/1.1\r\nHost: site\r\n\r\n", EMPTY).await;
    assert_eq!(got.start(), "POST /next HTTP/1.1");
}

#[tokio::test]
async fn max_forwards_is_counted_down_on_options_and_trace() {
    let gateway = Gateway::start().await;
    for (method, before, after) in [
        ("OPTIONS", "3", "2"),
        ("TRACE", "1", "0"),
        ("POST", "0", "0"),
        ("OPTIONS", "x", "x"),
        ("TRACE", "99999999999999999999999", "18446744073709551614"),
    ] {
        let request = format!("{method} / HTTP/1.1\r\nMax-Forwards: {before}\r\nHost: site\r\n\r\n");
        let (got, _, _) = gateway.exchange(&request, EMPTY).await;
        assert_eq!((got.field("max-forwards"), got.0[1].as_str()), (after, got.0[1].as_str()));
        assert_eq!(got.others()[0].0, "max-forwards", "its place stays");
    }
    let (answer, body) = gateway.refused("OPTIONS * HTTP/1.1\r\nHost: site\r\nMax-Forwards: 0\r\n\r\n").await;
    assert_eq!((answer.start(), body.as_str()), ("HTTP/1.1 200 OK", ""));
    assert!(answer.field("allow").contains("OPTIONS"), "{answer:?}");
    let (answer, body) = gateway
        .refused("TRACE /x HTTP/1.1\r\nHost: site\r\nMax-Forwards: 0\r\nCookie: a=1\r\nAuthorization: b\r\nX-A: 1\r\n\r\n")
        .await;
    assert_eq!((answer.start(), answer.field("content-type")), ("HTTP/1.1 200 OK", "message/http"));
    assert_eq!(body, "TRACE /x HTTP/1.1\r\nhost: site\r\nmax-forwards: 0\r\nx-a: 1\r\n\r\n");
}
