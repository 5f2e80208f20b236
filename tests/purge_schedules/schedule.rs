//! The schedules.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::node::Node;
use crate::support::RedisServer;
use crate::support::history::{About, History, Late};
use crate::support::proxy::Fault;

const SCHEDULES: u64 = 1000;

/// Of these at once.
const AT_ONCE: usize = 8;

/// What a schedule begins.
const STEPS: u64 = 40;

/// How late a node may hear of another's purge: without faults; and with them: a tail is lost after 2 s, then the journal is
/// asked, and if that can't be reached `partition_grace`, 1 s, is all that is left.
const LATE: Late = Late { calm: Duration::from_secs(1), faulty: Duration::from_secs(4) };

/// What a schedule gave.
#[derive(Default)]
struct Run {
    reads: usize,
    hits: usize,
    purges: usize,
    failed: usize,
    faults: usize,
    delays: Vec<Duration>,
}

/// Numbers from a seed: xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % end
    }
}

fn strike(random: &mut Random, node: &Node, server: &RedisServer, namespace: &str) {
    let Some(proxy) = &node.proxy else { return };
    match random.below(7) {
        0 => proxy.cut(),
        1 => {
            proxy.inject(Fault::BlackHoleTails);
            proxy.cut();
        }
        2 => proxy.inject(Fault::BlackHole),
        3 => {
            proxy.switch(1);
            proxy.cut();
        }
        4 => drop(server.cli(&["UNLINK", &format!("{{{namespace}:v1:j}}")])),
        _ => {
            proxy.inject(Fault::None);
            proxy.switch(server.port());
            proxy.reset_lost();
        }
    }
}

async fn run(server: Arc<RedisServer>, seed: u64) -> Run {
    let mut random = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let history = Arc::new(History::default());
    let namespace = format!("s{seed}");
    let faulty = seed.is_multiple_of(2);
    if faulty {
        history.fault_begins();
    }
    let mut nodes = Vec::new();
    for number in 0..2 + (seed % 2) as usize {
        nodes.push(Arc::new(Node::start(&server, &namespace, number, &history, faulty).await));
    }
    let mut run = Run::default();
    let mut work = JoinSet::new();
    for _ in 0..STEPS {
        let node = Arc::clone(&nodes[random.below(nodes.len() as u64) as usize]);
        let page = random.below(2) as usize;
        match random.below(20) {
            0..14 => {
                let strict = random.below(3) == 0;
                work.spawn(async move {
                    node.read(page, strict).await;
                    None
                });
            }
            14..19 => {
                let about = [About::Page(page), About::Page(page), About::Pages, About::All];
                let (about, soft) = (about[random.below(4) as usize], random.below(3) == 0);
                work.spawn(async move { Some(node.purge(about, soft).await.is_ok()) });
            }
            _ => {
                run.faults += usize::from(faulty);
                strike(&mut random, &node, &server, &namespace);
            }
        }
        sleep(Duration::from_millis(random.below(4))).await;
    }
    while let Some(done) = work.join_next().await {
        if let Some(ok) = done.unwrap() {
            run.purges += 1;
            run.failed += usize::from(!ok);
        }
    }
    if !faulty {
        run.delays.push(delay(&nodes, &history).await);
    }
    if let Some(broken) = history.broken(LATE) {
        panic!("schedule {seed}: {broken}");
    }
    (run.reads, run.hits) = history.counts();
    for node in nodes {
        Arc::into_inner(node).unwrap().stop().await;
    }
    run
}

/// How long another node tells what a purge took, after it returned.
async fn delay(nodes: &[Arc<Node>], history: &History) -> Duration {
    nodes[0].read(0, false).await;
    nodes[1].read(0, false).await;
    let last = history.fill();
    nodes[0].purge(About::Pages, false).await.unwrap();
    let (returned, mut delay) = (Instant::now(), Duration::ZERO);
    while nodes[1].read(0, false).await < last {
        delay = returned.elapsed();
        assert!(delay < LATE.calm, "it never hears of it");
        tokio::task::yield_now().await;
    }
    delay
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_response_is_older_than_a_purge_that_returned() {
    let server = Arc::new(RedisServer::with_args(&["--maxclients", "2000"]));
    let (mut runs, mut begun) = (JoinSet::new(), 0);
    let (mut all, mut delays) = (Run::default(), Vec::new());
    while begun < SCHEDULES || !runs.is_empty() {
        while begun < SCHEDULES && runs.len() < AT_ONCE {
            runs.spawn(run(Arc::clone(&server), begun));
            begun += 1;
        }
        let Some(run) = runs.join_next().await else { break };
        let run = run.unwrap();
        all.reads += run.reads;
        all.hits += run.hits;
        all.purges += run.purges;
        all.failed += run.failed;
        all.faults += run.faults;
        delays.extend(run.delays);
    }
    delays.sort();
    let (median, late) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    println!(
        "{SCHEDULES} schedules: {} reads, {} of them from what was stored; {} purges, {} kept for later; {} faults; none wrong",
        all.reads, all.hits, all.purges, all.failed, all.faults,
    );
    // Eight schedules at once share the machine: tests/purge/delay.rs holds the delay to its bounds.
    println!("another node knew after {median:?} (median), {late:?} (99th percentile)");
    assert!(all.hits > all.reads / 10 && all.failed > 0 && all.faults > 0);
}
