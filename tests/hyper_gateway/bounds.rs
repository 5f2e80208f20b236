//! How much is open at a time.

use std::time::Duration;

use crate::wire::{EMPTY, Gateway, Peer, in_time};

/// Twice as many as by default go on without a client.
#[tokio::test]
async fn many_refreshes_run_at_once() {
    const NUMBER: usize = 128;
    let gateway = Gateway::start().await;
    let get = |n| format!("GET /{n} HTTP/1.1\r\nHost: site\r\n\r\n");
    let stale = "HTTP/1.1 200 OK\r\nAge: 10\r\nCache-Control: max-age=1, stale-while-revalidate=600\r\n\
                 Content-Length: 5\r\nConnection: close\r\n\r\nstale";
    for n in 0..NUMBER {
        gateway.exchange(&get(n), stale).await;
    }
    let mut refreshes = Vec::new();
    for n in 0..NUMBER {
        let (answer, _) = gateway.refused(&get(n)).await;
        assert!(answer.field("cache-status").contains("hit"), "{answer:?}");
        let mut refresh = gateway.accept().await;
        assert_eq!(refresh.head().await.start(), format!("GET /{n} HTTP/1.1"));
        refreshes.push(refresh);
    }
}

#[tokio::test]
async fn a_connection_to_the_upstream_costs_one_descriptor() {
    const NUMBER: usize = 20;
    let gateway = Gateway::start().await;
    let Some(before) = gateway.program.descriptors() else { return };
    let mut open = Vec::new();
    for _ in 0..NUMBER {
        let mut client = gateway.client().await;
        client.send("POST / HTTP/1.1\r\nHost: site\r\n\r\n").await;
        let mut upstream = gateway.accept().await;
        upstream.head().await;
        open.push((client, upstream));
    }
    let more = gateway.program.descriptors().unwrap() - before;
    assert_eq!(more, 2 * NUMBER);
}

/// More clients than there are descriptors for wait their turn.
#[tokio::test]
async fn descriptors_suffice_for_the_clients_that_are_served() {
    const DESCRIPTORS: usize = 256;
    // Those that aren't served wait in the system's own queue, which may be no longer than 128.
    const CLIENTS: usize = 160;
    let gateway = Gateway::start_within(DESCRIPTORS).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = in_time(gateway.client()).await;
        client.send("POST / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n").await;
        clients.push(client);
    }
    let answers = tokio::spawn(async move {
        for client in &mut clients {
            assert_eq!(client.head().await.start(), "HTTP/1.1 200 OK");
        }
    });
    let (mut held, mut most) = (Vec::new(), 0);
    while !answers.is_finished() {
        // As many as come at a time.
        match tokio::time::timeout(Duration::from_millis(500), gateway.upstream.accept()).await {
            Ok(accepted) => held.push(Peer::new(accepted.unwrap().0)),
            Err(_) => {
                most = most.max(held.len());
                for mut upstream in held.drain(..) {
                    upstream.head().await;
                    upstream.send(EMPTY).await;
                }
            }
        }
    }
    answers.await.unwrap();
    println!("{most} requests at a time with {DESCRIPTORS} descriptors");
}
