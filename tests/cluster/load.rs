//! Mixed load while a master is killed and while slots are moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};
use tower_query_cache::{MemoryConfig, Policy, QueryCache, Routes};

use super::support::history::Moment;
use super::support::http::{ok, text};
use super::support::pages::{Pages, purges_go_round};
use super::support::site::{MINUTE, Site, stats};
use super::support::store::config;
use super::support::{RedisCluster, eventually, eventually_within};

/// Resources that are asked for again and again.
const HOT: usize = 600;

/// Clients at once.
const CLIENTS: usize = 16;

/// A process: a handle of its own, with a memory so small that nearly every hit is the Cluster's.
struct Process {
    cache: QueryCache,
    site: Site,
}

/// The slot of `{tqc:v1:j}`, the purge journal.
const JOURNAL: u16 = 10_258;

#[derive(Default)]
struct Tally {
    sent: AtomicUsize,
    failed: AtomicUsize,
    wrong: AtomicUsize,
    longest: AtomicUsize,
}

async fn process(cluster: &RedisCluster) -> Process {
    let mut memory = MemoryConfig::default();
    memory.max_entries = 8;
    let cache = QueryCache::builder().redis(config(cluster.url())).memory(memory).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let routes = Routes::new()
        .route("/plain/{id}", Policy::ttl(MINUTE))
        .route("/leased/{id}", Policy::ttl(MINUTE).lease(Duration::from_secs(1)));
    let site = Site::new(&cache, routes, |parts| ok(body(parts.uri.path())));
    Process { cache, site }
}

/// What a path's answer must be: of a few bytes, or of many.
fn body(path: &str) -> String {
    path.repeat(if path.ends_with('7') { 2000 } else { 5 })
}

fn path(number: usize) -> String {
    if number.is_multiple_of(3) { format!("/leased/{number}") } else { format!("/plain/{number}") }
}

async fn ask(site: &Site, path: &str, tally: &Tally) {
    let started = Instant::now();
    let answer = site.get(path).await;
    let status = answer.status();
    let right = text(answer).await == body(path);
    tally.sent.fetch_add(1, SeqCst);
    tally.failed.fetch_add(usize::from(status != 200), SeqCst);
    tally.wrong.fetch_add(usize::from(!right), SeqCst);
    tally.longest.fetch_max(usize::try_from(started.elapsed().as_millis()).unwrap(), SeqCst);
}

/// Hits of the shared tier so far.
async fn hits(process: &Process) -> u64 {
    stats(&process.cache).await["hits"]["shared"].as_u64().unwrap()
}

/// The share of all hot resources that the Cluster has.
async fn share(process: &Process, tally: &Tally) -> f64 {
    let before = hits(process).await;
    let mut hot = JoinSet::new();
    // Not all at once: a busy machine would miss its 50 ms.
    for number in 0..HOT {
        let (site, path) = (process.site.clone(), path(number));
        hot.spawn(async move {
            let own = Tally::default();
            ask(&site, &path, &own).await;
            own
        });
        if number.is_multiple_of(CLIENTS) {
            while let Some(done) = hot.join_next().await {
                add(tally, &done.unwrap());
            }
        }
    }
    while let Some(done) = hot.join_next().await {
        add(tally, &done.unwrap());
    }
    (hits(process).await - before) as f64 / HOT as f64
}

fn add(tally: &Tally, one: &Tally) {
    tally.sent.fetch_add(one.sent.load(SeqCst), SeqCst);
    tally.failed.fetch_add(one.failed.load(SeqCst), SeqCst);
    tally.wrong.fetch_add(one.wrong.load(SeqCst), SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_is_killed_and_slots_are_moved_under_load_and_no_request_fails() {
    let cluster = spawn_blocking(RedisCluster::start).await.unwrap();
    let (one, other) = (process(&cluster).await, process(&cluster).await);
    let tally = Arc::new(Tally::default());
    share(&one, &tally).await;
    one.cache.settled().await;
    let before = share(&other, &tally).await;

    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let site = [&one.site, &other.site][client % 2].clone();
        let (tally, stop) = (Arc::clone(&tally), Arc::clone(&stop));
        clients.spawn(async move {
            let mut number = client * 7919;
            while !stop.load(SeqCst) {
                number = number.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
                // One in ten was never asked for before.
                let path =
                    if number.is_multiple_of(10) { path(HOT + number) } else { path(number / 10 % HOT) };
                ask(&site, &path, &tally).await;
                // So that the servers get their share of two cores.
                sleep(Duration::from_millis(1)).await;
            }
        });
    }

    let begun = tally.sent.load(SeqCst);
    eventually("the load is on", || tally.sent.load(SeqCst) >= begun + 500).await;
    let pages = Pages::start(config(cluster.url())).await;
    pages.purge_each_once().await;
    let killed = Moment::now();
    let mut cluster = cluster;
    assert_eq!(cluster.owner(JOURNAL), 1, "the node that has the purge journal is the one to be killed");
    cluster.nodes_mut()[1].stop();
    eventually_within(Duration::from_secs(40), "the replica takes over", || async {
        cluster.nodes()[4].cli(&["ROLE"]).starts_with("master") && cluster.is_well()
    })
    .await;
    let taken_over = killed.elapsed();
    purges_go_round(&[&one.cache, &other.cache]).await;
    eventually_within(Duration::from_secs(40), "hits come back", || async {
        share(&one, &tally).await > 0.95 && share(&other, &tally).await > 0.95
    })
    .await;
    let back = killed.elapsed();
    pages.fault_ends(killed).await;
    pages.purge_each_once().await;
    println!("a master killed: taken over after {taken_over:?}, hits for all slots again after {back:?}");

    let during = tally.sent.load(SeqCst);
    let moving = Moment::now();
    let cluster = spawn_blocking(move || {
        // Slots with keys in them, from each of the masters to the next.
        for slot in (0..60_u16).map(|round| round * 271).chain([JOURNAL]) {
            let from = cluster.owner(slot);
            let to = [(0, 2), (2, 4), (4, 0)].into_iter().find(|(place, _)| *place == from).unwrap().1;
            cluster.move_slot(slot, to);
        }
        cluster
    })
    .await
    .unwrap();
    let (moved, during) = (moving.elapsed(), tally.sent.load(SeqCst) - during);
    stop.store(true, SeqCst);
    clients.join_all().await;
    pages.fault_ends(moving).await;
    pages.purge_each_once().await;
    let pages = pages.stop().await;
    println!("{pages}");
    pages.assert_kept();
    purges_go_round(&[&one.cache, &other.cache]).await;
    eventually_within(Duration::from_secs(40), "hits come back again", || async {
        share(&other, &tally).await;
        share(&one, &tally).await > 0.95
    })
    .await;
    let after = share(&one, &tally).await;
    println!("61 slots moved, the journal's too, in {moved:?} under {during} requests");
    let figures = stats(&one.cache).await;
    println!(
        "{} requests, {} failed, {} wrong bodies, the longest {} ms; share of hits in the Cluster {before:.2} before, \
         {after:.2} after; errors {}, breaker {}, leases {}",
        tally.sent.load(SeqCst),
        tally.failed.load(SeqCst),
        tally.wrong.load(SeqCst),
        tally.longest.load(SeqCst),
        figures["errors"],
        figures["breaker"],
        figures["leases"],
    );
    assert_eq!((tally.failed.load(SeqCst), tally.wrong.load(SeqCst)), (0, 0));
    assert!(before > 0.95 && after > 0.95, "{before} {after}");
    assert!(cluster.is_well());
}
