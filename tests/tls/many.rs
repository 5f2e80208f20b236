//! Many servers over TLS: sentinels with what they watch, and a Cluster. They speak it among themselves too.

use tokio::task::spawn_blocking;
use tower_query_cache::{QueryCache, RedisConfig};

use crate::support::certificates::Authority;
use crate::support::http::assert_hit;
use crate::support::pages::purges_go_round;
use crate::support::site::MINUTE;
use crate::support::store::clients;
use crate::support::{RedisCluster, RedisServer, Watched};
use crate::{HOST, over, trusting};

/// Enough to be on each of three nodes.
const ENTRIES: usize = 60;

/// Stores by one handle, and reads and purges by another. The handles, so that their connections can be looked at.
async fn share(config: &RedisConfig) -> [QueryCache; 2] {
    let (first, writer) = over(config.clone());
    let (second, reader) = over(config.clone());
    assert!(first.ready(MINUTE).await && second.ready(MINUTE).await);
    for number in 0..ENTRIES {
        writer.get(&format!("/{number}")).await;
    }
    first.settled().await;
    for number in 0..ENTRIES {
        let path = format!("/{number}");
        assert_hit(reader.get(&path).await, &path).await;
    }
    assert_eq!(reader.calls(), 0);
    second.purge_url(&"/0".parse().unwrap()).await.unwrap();
    // What comes later in the journal is heard of later.
    purges_go_round(&[&second, &first]).await;
    writer.get("/0").await;
    assert_eq!(writer.calls(), ENTRIES + 1);
    [first, second]
}

/// Asserts that nothing of ours came by the port without TLS.
fn assert_over_tls<'a>(servers: impl IntoIterator<Item = &'a RedisServer>) {
    for server in servers {
        let plain = format!("{HOST}:{}", server.port());
        let own = clients(server, "laddr").iter().filter(|address| **address == plain).count();
        assert_eq!(own, 1, "the test's own question");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_sentinels_tell_of_over_tls() {
    let authority = Authority::new();
    let (shown, ca) = (authority.issue(HOST), authority.ca());
    let start = move || Watched::with_tls([&shown.cert, &shown.key, &ca]);
    let watched = spawn_blocking(start).await.unwrap();
    let handles = share(&trusting(&authority, watched.tls_url())).await;
    assert_over_tls(watched.servers());
    drop(handles);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_over_tls() {
    let authority = Authority::new();
    let (shown, ca) = (authority.issue(HOST), authority.ca());
    let cluster =
        spawn_blocking(move || RedisCluster::with_tls([&shown.cert, &shown.key, &ca])).await.unwrap();
    let handles = share(&trusting(&authority, cluster.tls_url())).await;
    let held = cluster.nodes()[..3].iter().map(|node| node.keys().len());
    assert!(held.clone().all(|keys| keys > 0), "{:?}", held.collect::<Vec<_>>());
    assert_over_tls(cluster.nodes());
    drop(handles);
}
