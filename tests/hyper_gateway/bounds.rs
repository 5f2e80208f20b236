//! How much is open at a time.

use crate::wire::Gateway;

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
