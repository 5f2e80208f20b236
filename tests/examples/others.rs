//! Ctrl-C, the hyper server and the embedding client.

use crate::support::RedisServer;
use crate::support::program::{Program, command, run};
use crate::{get, search};

#[test]
fn ctrl_c_ends_the_servers_with_status_0() {
    let (_corpus, program) = search("interrupt", &[]);
    assert_eq!(program.interrupt().code(), Some(0));
    let program = Program::serve("hyper_server", None, &[]);
    assert_eq!(program.interrupt().code(), Some(0));
}

#[tokio::test]
async fn the_hyper_server_answers_and_hits() {
    let redis = RedisServer::start();
    let program = Program::serve("hyper_server", None, &[("REDIS_URL", &redis.url())]);
    let first = get(program.address, "/primes/1000").await;
    assert_eq!(first.text(), "168 primes up to 1000\n");
    assert_eq!(first.field("cache-status"), "tower-query-cache; fwd=miss; stored");
    let second = get(program.address, "/primes/1000").await;
    assert!(second.is_hit());
    assert_eq!(second.body, first.body);
    assert_eq!(get(program.address, "/primes/x").await.status, 404);
    assert_eq!(get(program.address, "/stats").await.json()["hits"]["memory"], 1);
}

/// A figure that the embedding client prints.
fn figure(text: &str, name: &str) -> u64 {
    let line =
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    line.trim_start_matches(':').trim().parse().unwrap()
}

#[test]
fn the_embedding_client_reuses_connections_and_answers() {
    let output = run(&mut command("embedding_client", &[]));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    print!("{text}");
    assert_eq!(figure(&text, "texts embedded"), 18);
    assert_eq!(figure(&text, "calls made"), 6);
    assert_eq!(figure(&text, "connections opened"), 1);
    assert_eq!(figure(&text, "repeated texts answered without a call"), 12);
}
