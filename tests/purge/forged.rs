//! A stream that others write into: nothing breaks, and purges go on.

use std::time::Duration;

use serde_json::Value;

use crate::support::{RedisServer, eventually_async};
use crate::team::{Node, Truth, warm};

const STREAM: &str = "{tqc:v1:j}";
const HEAD: &str = "{tqc:v1:j}:h";

/// The last id that a stream can have.
const LAST: &str = "18446744073709551615-18446744073709551615";

/// Longer than a node may take to hear of anything.
const WINDOW: Duration = Duration::from_secs(8);

async fn team(server: &RedisServer, truth: &Truth) -> [Node; 2] {
    let nodes = [Node::start(server, truth).await, Node::start(server, truth).await];
    warm(&[&nodes[0], &nodes[1]], truth).await;
    nodes
}

/// A purge by each reaches the other.
async fn purges_work(nodes: &[Node; 2], truth: &Truth) {
    for (here, there) in [(0, 1), (1, 0)] {
        nodes[here].follows().await;
        nodes[there].follows().await;
        let new = truth.change();
        nodes[here].cache.purge_tag("pages").await.unwrap();
        assert_eq!(nodes[here].tells().await, new);
        assert!(nodes[there].learns(new).await < WINDOW);
    }
}

/// The number of a figure.
async fn count(node: &Node, name: &str) -> u64 {
    node.journal(name).await.as_u64().unwrap()
}

/// Waits until all nodes know this entry.
async fn known(nodes: &[Node; 2], id: &str) {
    for node in nodes {
        eventually_async("the entry is read", || async { node.journal("id").await == *id }).await;
    }
}

/// The fields of the journal's first entry: those of an epoch record.
fn epoch_record(server: &RedisServer) -> Vec<String> {
    let entry = server.cli(&["XRANGE", STREAM, "-", "+", "COUNT", "1"]);
    entry.lines().skip(1).map(str::to_owned).collect()
}

#[tokio::test]
async fn junk_is_ignored_and_counted() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let nodes = team(&server, &truth).await;
    let record = epoch_record(&server);
    assert_eq!((record[0].as_str(), record[2].as_str(), record[4].as_str()), ("v", "n", "e"), "{record:?}");
    let tag = "0123456789abcdef";
    let big = "x".repeat(1 << 20);
    let junk: [&[&str]; 6] = [
        &["message", "hello"],
        &["v", "1", "n", "zz", "e", &record[5], "t", tag],
        &["v", "1", "n", tag, "e", "short", "t", tag],
        &["v", "1", "n", tag, "e", &record[5], "t", "odd"],
        &["v", "0", "n", tag],
        &["big", &big],
    ];
    let mut last = String::new();
    for fields in junk {
        last = server.cli(&[&["XADD", STREAM, "*"], fields].concat());
    }
    known(&nodes, &last).await;
    let old = nodes[0].tells().await;
    truth.change();
    for node in &nodes {
        assert_eq!((count(node, "junk").await, node.tells().await), (6, old), "junk purges nothing");
    }
    purges_work(&nodes, &truth).await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_junk_too() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let nodes = team(&server, &truth).await;
    let odd: &[&[u8]] = &[b"XADD", STREAM.as_bytes(), b"*", b"v\0\xff", b"\xff\xfe\r\n", b"", b""];
    let last = String::from_utf8(server.call(odd)).unwrap();
    known(&nodes, &last).await;
    assert_eq!(count(&nodes[0], "junk").await, 1);
    let odd: &[&[u8]] = &[b"SET", HEAD.as_bytes(), b"\xff\0\xff"];
    server.call(odd);
    purges_work(&nodes, &truth).await;
}

#[tokio::test]
async fn a_replayed_record_purges_once_more_and_no_longer() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let nodes = team(&server, &truth).await;
    let purged = nodes[0].cache.purge_tag("pages").await.unwrap();
    known(&nodes, &purged.id.to_string()).await;
    let id = purged.id.to_string();
    let entry = server.cli(&["XRANGE", STREAM, &id, &id]);
    let fields: Vec<&str> = entry.lines().skip(1).collect();
    let new = truth.change();
    let last = server.cli(&[&["XADD", STREAM, "*"], &fields[..]].concat());
    known(&nodes, &last).await;
    for node in &nodes {
        assert_eq!(node.tells().await, new, "it is a purge");
    }
    purges_work(&nodes, &truth).await;
}

#[tokio::test]
async fn a_forged_epoch_lets_go_of_everything_and_purges_go_on() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let nodes = team(&server, &truth).await;
    let nonce = "00000000000000aa";
    let token = "0123456789abcdef0123456789abcdef";
    let new = truth.change();
    server.cli(&["XADD", STREAM, "*", "v", "1", "n", nonce, "e", token, "i", "another server"]);
    for node in &nodes {
        assert!(node.learns(new).await < WINDOW);
    }
    purges_work(&nodes, &truth).await;
    let late = Node::start(&server, &truth).await;
    late.follows().await;
    purges_work(&nodes, &truth).await;
}

#[tokio::test]
async fn a_record_of_a_later_version_counts_as_everything() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let nodes = team(&server, &truth).await;
    let new = truth.change();
    let nonce = "00000000000000bb";
    let last = server.cli(&["XADD", STREAM, "*", "v", "2", "n", nonce, "how", "ever"]);
    known(&nodes, &last).await;
    for node in &nodes {
        assert_eq!((node.tells().await, count(node, "junk").await), (new, 0));
    }
    purges_work(&nodes, &truth).await;
}

#[tokio::test]
async fn a_last_id_begins_the_journal_anew() {
    let server = RedisServer::start();
    for last in [LAST, "18446744073709551615-1"] {
        server.cli(&["FLUSHALL"]);
        let truth = Truth::default();
        let nodes = team(&server, &truth).await;
        let epochs = count(&nodes[0], "epochs").await + count(&nodes[1], "epochs").await;
        let new = truth.change();
        assert_eq!(server.cli(&["XADD", STREAM, last, "what", "ever"]), last);
        for node in &nodes {
            assert!(node.learns(new).await < WINDOW);
        }
        eventually_async("a new epoch", || async {
            count(&nodes[0], "epochs").await + count(&nodes[1], "epochs").await > epochs
        })
        .await;
        for node in &nodes {
            node.follows().await;
            assert_ne!(node.journal("id").await, *last);
        }
        assert!(!server.cli(&["XRANGE", STREAM, last, "+"]).contains("what"), "the stream is another one");
        purges_work(&nodes, &truth).await;

        // A purge that meets it before the tail does.
        let new = truth.change();
        server.cli(&["XADD", STREAM, last, "what", "ever"]);
        let purged = nodes[0].cache.purge_tag("pages").await;
        println!("a purge behind the last id: {purged:?}");
        assert_eq!(nodes[0].tells().await, new);
        assert!(nodes[1].learns(new).await < WINDOW);
        purges_work(&nodes, &truth).await;
    }
}

#[tokio::test]
async fn another_type_under_the_journals_name_stops_purges_and_no_request() {
    let server = RedisServer::start();
    let truth = Truth::default();
    let nodes = team(&server, &truth).await;
    let new = truth.change();
    server.cli(&["SET", STREAM, "no stream"]);
    let purged = nodes[0].cache.purge_tag("pages").await;
    assert!(purged.is_err(), "{purged:?}");
    assert_eq!(nodes[0].tells().await, new, "it holds here");
    // The other one can't know what the journal held, so it gives up what it has.
    assert!(nodes[1].learns(new).await < WINDOW);
    assert_eq!(nodes[1].journal("followed").await, Value::Bool(false));

    server.cli(&["UNLINK", STREAM]);
    eventually_async("the purge is replayed", || async { nodes[0].journal("pending").await == 0 }).await;
    purges_work(&nodes, &truth).await;
}
