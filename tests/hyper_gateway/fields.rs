//! Which fields go on, and how.

use crate::wire::{EMPTY, Gateway};

#[tokio::test]
async fn a_requests_fields_go_on_in_their_order_but_for_those_of_the_connection() {
    let gateway = Gateway::start().await;
    let (got, _, _) = gateway
        .exchange(
            "POST /fields?a=1&b=%20 HTTP/1.1\r\nX-First: 1\r\nConnection: keep-alive, X-Listed\r\nHost: Site:80\r\n\
             Keep-Alive: timeout=5\r\nX-Twice: one\r\nX-Listed: no\r\nTE: trailers\r\nProxy-Connection: close\r\n\
             Upgrade: foo\r\nX-Empty:\r\nconnection: x-ALSO\r\nx-also: no\r\nX-Twice: two, three\r\n\
             Proxy-Authorization: Basic eDp5\r\nTrailer: x-sum\r\nVia: 1.0 fred\r\nContent-Length: 0\r\nX-Last: \"ü\"\r\n\r\n",
            EMPTY,
        )
        .await;
    assert_eq!(got.start(), "POST /fields?a=1&b=%20 HTTP/1.1");
    assert_eq!(
        got.others(),
        [
            ("x-first", "1"),
            ("host", "Site:80"),
            ("x-twice", "one"),
            ("x-twice", "two, three"),
            ("x-empty", ""),
            ("trailer", "x-sum"),
            ("content-length", "0"),
            ("x-last", "\"ü\""),
        ]
    );
    assert_eq!(got.all("via"), ["1.0 fred", "1.1 tower-query-cache"]);
}

#[tokio::test]
async fn a_responses_fields_go_on_in_their_order_but_for_those_of_the_connection() {
    let gateway = Gateway::start().await;
    let (_, answer, body) = gateway
        .exchange(
            "GET /fields HTTP/1.1\r\nHost: site\r\n\r\n",
            "HTTP/1.1 200 Fine\r\nX-First: 1\r\nConnection: close, x-listed\r\nSet-Cookie: a=1\r\nX-Listed: no\r\n\
             Keep-Alive: timeout=5\r\nProxy-Connection: close\r\nUpgrade: foo\r\nX-Twice: one\r\nTE: trailers\r\n\
             Set-Cookie: b=2\r\nContent-Length: 2\r\nX-Twice: two\r\nServer: own/1\r\nX-Last: \"ü\"\r\n\r\nok",
        )
        .await;
    assert_eq!(answer.start(), "HTTP/1.1 200 Fine");
    assert_eq!(
        answer.others(),
        [
            ("x-first", "1"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("x-twice", "one"),
            ("x-twice", "two"),
            ("content-length", "2"),
            ("server", "own/1"),
            ("x-last", "\"ü\""),
        ]
    );
    assert_eq!(answer.field("date").len(), 29, "one that is missing is set: {answer:?}");
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn a_date_and_a_via_of_the_upstream_stay() {
    let gateway = Gateway::start().await;
    let (_, answer, _) = gateway
        .exchange(
            "POST / HTTP/1.1\r\nHost: site\r\n\r\n",
            "HTTP/1.1 404 Nothing\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nVia: 1.1 inner\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
        )
        .await;
    assert_eq!(answer.start(), "HTTP/1.1 404 Nothing");
    assert_eq!((answer.field("date"), answer.field("via")), ("Sun, 06 Nov 1994 08:49:37 GMT", "1.1 inner"));
}

#[tokio::test]
async fn what_connection_lists_counts_for_the_cache_before_it_is_dropped() {
    let gateway = Gateway::start().await;
    for _ in 0..2 {
        let (_, answer, _) = gateway
            .exchange(
                "GET /listed HTTP/1.1\r\nHost: site\r\n\r\n",
                "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nConnection: cache-control, close\r\nContent-Length: 0\r\n\r\n",
            )
            .await;
        assert_eq!(answer.field("cache-control"), "");
        assert!(answer.field("cache-status").contains("fwd=miss"), "{answer:?}");
    }
}

#[tokio::test]
async fn many_fields_pass() {
    let gateway = Gateway::start().await;
    let fields: String = (0..500).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let (got, answer, _) = gateway
        .exchange(
            &format!("GET /many HTTP/1.1\r\nHost: site\r\n{fields}\r\n"),
            &format!("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n{fields}Connection: close\r\n\r\n"),
        )
        .await;
    for head in [got, answer] {
        let passed: Vec<_> = head.others().into_iter().filter(|(name, _)| name.starts_with("x-")).collect();
        assert_eq!((passed.len(), passed[499]), (500, ("x-499", "499")));
    }
}

#[tokio::test]
async fn odd_statuses_pass() {
    let gateway = Gateway::start().await;
    for status in ["299", "499", "599", "999", "299 Odd"] {
        let (_, answer, body) = gateway
            .exchange(
                "POST / HTTP/1.1\r\nHost: site\r\n\r\n",
                &format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
            )
            .await;
        assert_eq!((answer.start().trim_end(), body.as_str()), (format!("HTTP/1.1 {status}").as_str(), "ok"));
    }
}
