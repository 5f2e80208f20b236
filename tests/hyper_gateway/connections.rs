//! Connections on both sides: reuse, ends and time-outs.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::eventually_async;
use crate::wire::{EMPTY, Gateway, Peer, in_time};

const KEPT: &str = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 2\r\n\r\nok";

fn post(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: site\r\nContent-Length: 0\r\n\r\n")
}

/// A connection to the upstream over which the gateway has sent a second request, `target`, and the client that waits.
async fn reused(gateway: &Gateway, target: &str) -> (Peer, Peer) {
    for _ in 0..100 {
        let mut client = gateway.client().await;
        client.send(&post("/first")).await;
        let mut first = gateway.accept().await;
        first.head().await;
        first.send(KEPT).await;
        client.head().await;
        client.read(2).await;
        client.send(&post(target)).await;
        let mut other = tokio::select! {
            head = first.head() => {
                assert_eq!(head.start(), format!("POST {target} HTTP/1.1"));
                return (first, client);
            }
            other = gateway.accept() => other,
        };
        // The answer was read before its connection was back in the pool.
        drop(first);
        other.head().await;
        other.send(EMPTY).await;
        client.head().await;
    }
    panic!("no connection is reused");
}

#[tokio::test]
async fn a_connection_is_reused() {
    let gateway = Gateway::start().await;
    let (mut upstream, mut client) = reused(&gateway, "/second").await;
    upstream.send(KEPT).await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let gateway = Gateway::start().await;
    for method in ["POST", "GET"] {
        let (upstream, mut client) = reused(&gateway, "/once").await;
        drop(upstream);
        assert_eq!(client.head().await.start(), "HTTP/1.1 502 Bad Gateway");
        // The next thing that the upstream sees is the next request.
        let mut client = gateway.client().await;
        client.send(&format!("{method} /next HTTP/1.1\r\nHost: site\r\n\r\n")).await;
        let mut upstream = gateway.accept().await;
        assert_eq!(upstream.head().await.start(), format!("{method} /next HTTP/1.1"));
        upstream.send(EMPTY).await;
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_harms_no_request() {
    let gateway = Gateway::start().await;
    for round in 0..20 {
        let (mut upstream, mut client) = reused(&gateway, "/kept").await;
        upstream.send(KEPT).await;
        client.head().await;
        client.read(2).await;
        // To drop it may close it late: a process that another test starts holds it too, for a moment.
        upstream.finish().await;
        client.send(&post("/after")).await;
        let mut upstream = gateway.accept().await;
        assert_eq!(upstream.head().await.start(), "POST /after HTTP/1.1", "round {round}");
        upstream.send(EMPTY).await;
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    }
}

#[tokio::test]
async fn an_http_1_0_upstream_gets_whole_requests() {
    let gateway = Gateway::start().await;
    let (mut client, mut open) = (gateway.client().await, Vec::new());
    for _ in 0..10 {
        client
            .send("POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
            .await;
        let mut upstream = gateway.accept().await;
        let got = upstream.head().await;
        assert_eq!(got.start(), "POST / HTTP/1.1");
        let body = if got.field("content-length") == "2" { "ok" } else { "2\r\nok\r\n0\r\n\r\n" };
        assert_eq!(upstream.read(body.len()).await, body);
        upstream.send("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
        assert_eq!(client.read(2).await, "ok");
        // It says that it stays, and isn't used again: a body of unknown length can't be sent to it.
        open.push(upstream);
    }
}

#[tokio::test]
async fn an_upstream_that_isnt_there_gives_502_and_one_that_is_late_504() {
    let gateway = Gateway::start_with(&[("UPSTREAM_TIMEOUT", "1")]).await;
    let mut client = gateway.client().await;
    client.send(&post("/late")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    let answer = client.head().await;
    assert_eq!(
        (answer.start(), answer.field("content-type")),
        ("HTTP/1.1 504 Gateway Timeout", "text/plain")
    );
    let reason = "the upstream doesn't answer in time\n";
    assert_eq!(client.read(reason.len()).await, reason);
    assert_eq!(upstream.rest().await, "", "what comes later is for nobody");

    // The head in time, and its body never.
    client.send(&post("/stalls")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe").await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    assert_eq!(client.rest().await, "he");

    let Gateway { program, upstream } = gateway;
    drop(upstream);
    let mut client = Peer::new(TcpStream::connect(program.address).await.unwrap());
    client.send(&post("/gone")).await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 502 Bad Gateway");
    let reason = "the upstream can't be reached\n";
    assert_eq!(client.read(reason.len()).await, reason);
}

#[tokio::test]
async fn a_request_that_breaks_off_doesnt_look_complete_upstream() {
    let gateway = Gateway::start().await;
    let long = "x".repeat(0x11000);
    let mut client = gateway.client().await;
    client
        .send(&format!(
            "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n{long}\r\n"
        ))
        .await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    client.finish().await;
    let got = upstream.rest().await;
    assert!(got.contains("xxx") && !got.ends_with("0\r\n\r\n"), "{} bytes", got.len());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    client.send(&format!("{}{}{}", post("/1"), post("/2"), post("/3"))).await;
    for n in 1..=3 {
        let mut upstream = gateway.accept().await;
        assert_eq!(upstream.head().await.start(), format!("POST /{n} HTTP/1.1"));
        upstream.send(&format!("HTTP/1.1 200 OK\r\nX-N: {n}\r\nConnection: close\r\n\r\n")).await;
        drop(upstream);
    }
    for n in 1..=3 {
        let answer = client.head().await;
        assert_eq!((answer.start(), answer.field("x-n")), ("HTTP/1.1 200 OK", n.to_string().as_str()));
        assert_eq!(client.read(5).await, "0\r\n\r\n");
    }
}

#[tokio::test]
async fn the_end_waits_for_requests_that_are_being_served() {
    let gateway = Gateway::start().await;
    let (mut idle, mut client) = (gateway.client().await, gateway.client().await);
    client.send(&post("/last")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    let address = gateway.program.address;
    let program = gateway.program;
    let ended = tokio::task::spawn_blocking(move || program.interrupt());
    eventually_async("no more connections", || async { TcpStream::connect(address).await.is_err() }).await;
    assert_eq!(idle.rest().await, "", "an idle connection is closed");
    assert!(!ended.is_finished());
    upstream.send(KEPT).await;
    let answer = client.head().await;
    assert_eq!((answer.start(), answer.field("connection")), ("HTTP/1.1 200 OK", "close"));
    assert_eq!(client.rest().await, "ok");
    assert!(in_time(ended).await.unwrap().success());
}

#[tokio::test]
async fn the_end_waits_for_no_request_that_hasnt_come() {
    let gateway = Gateway::start().await;
    let half = "GET /half HTTP/1.1\r\nHo";
    let mut first = gateway.client().await;
    first.send(half).await;
    // What it did is known by its next: one after a whole request.
    let mut second = gateway.client().await;
    second.send(&post("/whole")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.send(EMPTY).await;
    second.head().await;
    second.send(half).await;
    // And one that is being served has all the time.
    let mut last = gateway.client().await;
    last.send(&post("/last")).await;
    let mut serving = gateway.accept().await;
    serving.head().await;
    let program = gateway.program;
    let ended = tokio::task::spawn_blocking(move || program.interrupt());
    for client in [&mut first, &mut second] {
        assert_eq!(in_time(client.rest()).await, "");
    }
    assert!(!ended.is_finished());
    serving.send(KEPT).await;
    assert_eq!(last.head().await.start(), "HTTP/1.1 200 OK");
    assert_eq!(last.rest().await, "ok");
    assert!(in_time(ended).await.unwrap().success());
}

#[tokio::test]
async fn a_client_may_close_its_side_before_it_has_its_answer() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    client.send(&post("/half")).await;
    client.finish().await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.send(KEPT).await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
    assert_eq!(client.rest().await, "ok");
}

#[tokio::test]
async fn what_the_upstream_must_be_is_told() {
    use crate::support::program::{command, run};
    for (variables, told) in [
        (vec![], "UPSTREAM: give it"),
        (vec![("UPSTREAM", "https://a")], "UPSTREAM: only a scheme"),
        (vec![("UPSTREAM", "http://a/path")], "UPSTREAM: only a scheme"),
        (vec![("UPSTREAM", "http://u:p@a")], "UPSTREAM: only a scheme"),
        (vec![("UPSTREAM", "http://a"), ("UPSTREAM_TIMEOUT", "0")], "UPSTREAM_TIMEOUT: "),
    ] {
        let output = run(command("hyper_gateway", &variables).env("ADDR", "127.0.0.1:0"));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn an_upload_may_take_longer_than_its_answer_while_it_moves() {
    let gateway = Gateway::start_with(&[("UPSTREAM_TIMEOUT", "2")]).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    let mut ticks = tokio::time::interval(Duration::from_millis(400));
    for _ in 0..7 {
        ticks.tick().await;
        client.send("1\r\nx\r\n").await;
        assert_eq!(upstream.read(6).await, "1\r\nx\r\n");
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(upstream.read(5).await, "0\r\n\r\n");
    upstream.send(EMPTY).await;
    assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");

    // One that stops moving is the client's fault.
    client.send("POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 5\r\n\r\nhe").await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    let answer = client.head().await;
    assert_eq!((answer.start(), answer.field("connection")), ("HTTP/1.1 408 Request Timeout", "close"));
    assert_eq!(client.rest().await, "the request's body doesn't come in time\n");
    assert_eq!(upstream.rest().await, "he");
}

#[tokio::test]
async fn an_upload_that_the_upstream_doesnt_read_is_let_go() {
    const LENGTH: usize = 64 << 20;
    let gateway = Gateway::start_with(&[("UPSTREAM_TIMEOUT", "1")]).await;
    let mut client = gateway.client().await;
    client.send(&format!("POST / HTTP/1.1\r\nHost: site\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    assert!(client.send_until_closed(LENGTH).await < LENGTH);
    assert!(client.rest().await.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
}

#[tokio::test]
async fn clients_that_do_nothing_are_left() {
    const LENGTH: usize = 64 << 20;
    let gateway = Gateway::start_with(&[("CLIENT_TIMEOUT", "1")]).await;
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    assert!(!client.rest().await.contains("200"));

    // One that reads nothing of its answer: the upstream can't send all of it.
    let mut client = gateway.client().await;
    client.send(&post("/long")).await;
    let mut upstream = gateway.accept().await;
    upstream.head().await;
    upstream.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n")).await;
    let sent = upstream.send_until_closed(LENGTH).await;
    println!("the upstream sent {sent} of {LENGTH} bytes to a client that reads none");
    assert!(sent < LENGTH);
    let got = client.rest().await;
    assert!(got.starts_with("HTTP/1.1 200 OK") && got.len() < LENGTH);
}
