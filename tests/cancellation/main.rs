//! The cancellation matrix: the first client hangs up at each point where a fill waits, as a future that is dropped and
//! as a socket that closes, with followers that wait by then and followers that come after. They get whole answers, from
//! one call of the inner service, and what was filled reaches Redis.
#![cfg(feature = "redis")]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod gates;
mod origin;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::http::{cache_status, get_with, text};
use support::site::{MINUTE, stats};
use support::store::connected;
use support::{RedisServer, eventually, eventually_async};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use tower_query_cache::{LimitsConfig, Policy, QueryCache, RedisConfig};

use self::clients::{Client, Door, Entrance, Way};
use self::gates::{GatedStore, Gates, STAGES, Stage};
use self::origin::{HALF, Origin, REST};

const FOLLOWERS: usize = 3;

/// One cell of the matrix.
struct Scene {
    name: String,
    stage: Stage,
    gates: Arc<Gates>,
    cache: QueryCache,
}

impl Scene {
    /// Lets the fill go on until it waits at `stage`, with everything that came before it received by `first`.
    async fn advance(&self, from: Stage, to: Stage, first: &Client) {
        for stage in STAGES.into_iter().filter(|stage| from <= *stage && *stage < to) {
            self.arrive(stage, first).await;
            self.gates.open(stage);
        }
        self.arrive(to, first).await;
    }

    async fn arrive(&self, stage: Stage, first: &Client) {
        let received = match stage {
            Stage::Lookup | Stage::NotReady | Stage::Called => 0,
            Stage::HeadSent => 1,
            Stage::HalfABody | Stage::Committing | Stage::Writing => 1 + HALF.len(),
        };
        eventually(&format!("{}: arrival at: {stage}", self.name), || {
            self.gates.at(stage).arrived() > 0 && first.seen.load(Ordering::SeqCst) == received
        })
        .await;
    }

    /// Sends followers in, and waits until all of them wait.
    async fn follow(&self, door: &Door) -> Vec<Client> {
        let followers = (0..FOLLOWERS).map(|_| door.enter()).collect();
        let looked = || self.gates.at(Stage::Lookup).arrived() == 1 + FOLLOWERS;
        match self.stage {
            Stage::Lookup => eventually(&format!("{}: followers look, too", self.name), looked).await,
            _ => {
                eventually_async(&format!("{}: followers wait", self.name), || async {
                    stats(&self.cache).await["flights"]["waiters"] == FOLLOWERS
                })
                .await;
            }
        }
        followers
    }
}

fn handle(store: Arc<GatedStore>) -> QueryCache {
    // Time limits that the test's own patience ends before.
    let mut times = RedisConfig::default();
    times.lookup_timeout = MINUTE;
    let mut limits = LimitsConfig::default();
    limits.coalesce_timeout = MINUTE;
    QueryCache::builder().store(store).redis(times).limits(limits).build().unwrap()
}

/// Plays a cell, and gives its line of the table.
async fn play(redis: &RedisServer, stage: Stage, way: Way, before: bool) -> String {
    let hang_up = if way == Way::Future { "future dropped" } else { "socket closed" };
    let followers = if before { "wait already" } else { "come after" };
    let name = format!("{stage:<30} {hang_up:<15} {followers:<13}");

    let gates = Gates::closed();
    redis.cli(&["FLUSHALL"]);
    let store = Arc::new(GatedStore { redis: connected(redis).await, gates: Arc::clone(&gates) });
    let cache = handle(Arc::clone(&store));
    let calls = Arc::new(AtomicUsize::new(0));
    let origin = Origin { gates: Arc::clone(&gates), calls: Arc::clone(&calls), readiness: None };
    let committing = Arc::clone(&gates);
    let policy = Policy::ttl(MINUTE).store_if(move |_, _| {
        block_in_place(|| Handle::current().block_on(committing.at(Stage::Committing).pass()));
        true
    });
    let cached = cache.layer(policy.clone()).layer(origin.clone());
    let present = Arc::new(AtomicUsize::new(0));
    let firsts = Door::new(way, Entrance { cached: cached.clone(), first: Some(Arc::clone(&present)) }).await;
    let others = Door::new(way, Entrance { cached, first: None }).await;
    let scene = Scene { name, stage, gates, cache };
    let Scene { name, gates, cache, .. } = &scene;

    // Nobody waits for a write: who shall follow must have joined before.
    let joined = if stage == Stage::Writing { Stage::Committing } else { stage };
    let first = firsts.enter();
    scene.advance(Stage::Lookup, joined, &first).await;
    let mut clients = Vec::new();
    if before {
        clients = scene.follow(&others).await;
    }
    scene.advance(joined, stage, &first).await;

    assert_eq!(present.load(Ordering::SeqCst), 1, "{name}: the first client is there");
    first.task.abort();
    eventually(&format!("{name}: the hang-up is noticed"), || present.load(Ordering::SeqCst) == 0).await;
    assert!(first.task.await.unwrap_err().is_cancelled(), "{name}");

    if !before {
        clients = match stage {
            Stage::Writing => (0..FOLLOWERS).map(|_| others.enter()).collect(),
            _ => scene.follow(&others).await,
        };
    }
    STAGES
        .into_iter()
        .filter(|gate| stage <= *gate && *gate < Stage::Writing)
        .for_each(|gate| gates.open(gate));
    let mut whole = 0;
    for client in clients {
        let answer =
            timeout(MINUTE, client.task).await.unwrap_or_else(|_| panic!("{name}: a follower hangs"));
        whole += usize::from(answer.unwrap() == [HALF, REST].concat());
    }
    let calls = calls.load(Ordering::SeqCst);
    assert_eq!((whole, calls), (FOLLOWERS, 1), "{name}: whole answers and calls");

    // The answers didn't wait for the write, and the hang-up didn't end it.
    eventually(&format!("{name}: the write begins"), || gates.at(Stage::Writing).arrived() == 1).await;
    assert_eq!(redis.keys(), [""; 0], "{name}");
    gates.open(Stage::Writing);
    timeout(MINUTE, cache.settled()).await.unwrap_or_else(|_| panic!("{name}: it doesn't settle"));
    assert_eq!(redis.keys().len(), 1, "{name}");
    let figures = stats(cache).await;
    for figure in ["fills", "waiters", "orphan_fills", "recording_bytes"] {
        assert_eq!(figures["flights"][figure], 0, "{name}: {figures}");
    }
    let elsewhere = handle(store).layer(policy).layer(origin);
    let found = elsewhere.oneshot(get_with("/x", &[("host", "site")])).await.unwrap();
    assert!(cache_status(&found).starts_with("tower-query-cache; hit"), "{name}: {:?}", found.headers());
    assert_eq!(text(found).await, [HALF, REST].concat(), "{name}");
    format!("{name} {whole}/{FOLLOWERS} whole  {calls} call")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hang_up_of_the_first_client_changes_nothing_for_its_followers() {
    println!("{:<30} {:<15} {:<13} answers    inner service", "the first leaves when", "as a", "followers");
    let redis = RedisServer::start();
    let mut cells = 0;
    for stage in STAGES {
        for way in [Way::Future, Way::Socket] {
            for before in [true, false] {
                println!("{}", play(&redis, stage, way, before).await);
                cells += 1;
            }
        }
    }
    println!("{cells} cells");
    assert_eq!(cells, 28);
}
