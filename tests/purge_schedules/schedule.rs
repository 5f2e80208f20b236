//! The schedules.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::broken::Break;
use crate::node::{Node, PAGES, Setup};
use crate::random::Random;
use crate::support::RedisServer;
use crate::support::history::{About, Event, History, LATE, Moment};
use crate::support::proxy::Fault;

const SCHEDULES: u64 = 1000;

/// Of these at once.
const AT_ONCE: usize = 16;

/// What a schedule begins.
const STEPS: u64 = 40;

/// What a schedule is.
#[derive(Clone, Copy)]
struct Plan {
    seed: u64,
    nodes: usize,
    /// Whether there are faults.
    faulty: bool,
    /// Whether it ends with a purge that a node can't hear of, or that is kept.
    finale: bool,
    /// How the journal is broken.
    broken: Option<Break>,
}

impl Plan {
    /// Two nodes and three, without faults and with them.
    const fn of(seed: u64, broken: Option<Break>) -> Self {
        let (faulty, finale) = (seed.is_multiple_of(2), seed % 16 < 4);
        Self { seed, nodes: 2 + (seed / 2 % 2) as usize, faulty, finale: faulty && finale, broken }
    }
}

/// What schedules gave.
#[derive(Default)]
struct Sum {
    schedules: usize,
    reads: usize,
    hits: usize,
    purges: usize,
    failed: usize,
    /// By the number of nodes.
    faults: [usize; 4],
    delays: Vec<Duration>,
    /// By schedules.
    broken: Vec<(u64, Vec<String>)>,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.reads += other.reads;
        self.hits += other.hits;
        self.purges += other.purges;
        self.failed += other.failed;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, faults)| *sum += faults);
        self.delays.extend(other.delays);
        self.broken.extend(other.broken);
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
        _ => node.heal(),
    }
}

async fn run(server: Arc<RedisServer>, plan: Plan) -> Sum {
    let mut random = Random::new(plan.seed);
    let history = Arc::new(History::default());
    let (namespace, from) = (format!("s{}", plan.seed), Moment::now());
    let mut nodes = Vec::new();
    for number in 0..plan.nodes {
        let setup = Setup {
            port: server.port(),
            namespace: &namespace,
            number,
            seed: plan.seed,
            proxied: plan.faulty,
            broken: plan.broken,
        };
        nodes.push(Arc::new(Node::start(&setup, &history).await));
    }
    let mut sum = Sum { schedules: 1, ..Sum::default() };
    let mut work = JoinSet::new();
    for _ in 0..STEPS {
        let node = Arc::clone(&nodes[random.below(plan.nodes as u64) as usize]);
        let page = random.below(PAGES as u64) as usize;
        match random.below(20) {
            0..13 => {
                let strict = random.once_in(3);
                work.spawn(async move {
                    let _ = node.read(page, strict).await;
                });
            }
            13..18 => {
                let about = random.of(&[About::Page(page), About::Page(page), About::Pages, About::All]);
                let soft = random.once_in(3);
                work.spawn(async move {
                    let _ = node.purge(about, soft).await;
                });
            }
            _ if plan.faulty => {
                sum.faults[plan.nodes] += 1;
                strike(&mut random, &node, &server, &namespace);
            }
            _ => {}
        }
        sleep(Duration::from_millis(random.below(4))).await;
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    if plan.finale {
        finale(&mut random, &nodes, &server, &namespace).await;
    }
    // What was struck takes its time to come back: a second or two.
    if plan.finale || !plan.faulty {
        let delays = settle(&nodes).await;
        if !plan.faulty {
            sum.delays = delays;
        }
    }
    if plan.faulty {
        history.add(Event::Fault { from, until: Moment::now() });
    }
    let broken = history.broken(LATE);
    if !broken.is_empty() {
        sum.broken.push((plan.seed, broken));
    }
    (sum.reads, sum.hits) = history.reads();
    (sum.purges, sum.failed) = history.purges();
    for node in nodes {
        Arc::into_inner(node).unwrap().stop().await;
    }
    sum
}

/// A node has all pages in memory; then it is out of reach while another purges one of them, and the journal may be lost at once.
/// Or the other is out of reach, and its purge is kept.
async fn finale(random: &mut Random, nodes: &[Arc<Node>], server: &RedisServer, namespace: &str) {
    back(nodes).await;
    let (there, here) = nodes.split_last().unwrap();
    let here = &here[random.below(here.len() as u64) as usize];
    let (Some(proxy), Some(other)) = (&there.proxy, &here.proxy) else { return };
    for page in 0..PAGES {
        there.read(page, true).await;
    }
    let page = random.below(PAGES as u64) as usize;
    let about = random.of(&[About::Page(page), About::Page(page), About::Pages, About::All]);
    let loses = random.once_in(2);
    let silent = match random.below(4) {
        0 => {
            proxy.cut();
            false
        }
        1 => {
            proxy.switch(1);
            proxy.cut();
            false
        }
        2 => {
            other.switch(1);
            other.cut();
            here.purge(about, false).await;
            return;
        }
        // Its tail hears nothing, and doesn't know that for a while; all else is in reach.
        _ => {
            proxy.inject(Fault::BlackHoleTails);
            // This ends its last wait.
            let marked = here.mark().await;
            there.knows(&marked).await;
            there.read(page, true).await;
            true
        }
    };
    here.purge(about, false).await;
    if silent {
        there.read(page, true).await;
    }
    if loses {
        server.cli(&["UNLINK", &format!("{{{namespace}:v1:j}}")]);
    }
}

/// All nodes follow the journal, whatever was done to them.
async fn back(nodes: &[Arc<Node>]) {
    for node in nodes {
        node.heal();
    }
    for node in nodes {
        node.follows().await;
    }
}

/// All nodes are back, and hear of a last purge: then they must know all that came before it. How long each took for that.
async fn settle(nodes: &[Arc<Node>]) -> Vec<Duration> {
    back(nodes).await;
    let marked = nodes[0].mark().await;
    let hear = nodes[1..].iter().map(|node| async {
        let heard = node.renews(marked.begun).await;
        node.knows(&marked).await;
        heard
    });
    let heard = futures_util::future::join_all(hear).await;
    for node in nodes {
        for page in 0..PAGES {
            node.read(page, false).await;
            node.read(page, true).await;
        }
    }
    heard.into_iter().map(|at| at.since(marked.returned)).collect()
}

/// Runs these schedules, some at once.
async fn run_all(plans: impl IntoIterator<Item = Plan>) -> Sum {
    let server = Arc::new(RedisServer::with_args(&["--maxclients", "2000"]));
    let (mut runs, mut sum) = (JoinSet::new(), Sum::default());
    for plan in plans {
        if runs.len() >= AT_ONCE
            && let Some(run) = runs.join_next().await
        {
            sum.add(run.unwrap());
        }
        runs.spawn(run(Arc::clone(&server), plan));
    }
    while let Some(run) = runs.join_next().await {
        sum.add(run.unwrap());
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_response_is_older_than_a_purge_that_returned() {
    let mut sum = run_all((0..SCHEDULES).map(|seed| Plan::of(seed, None))).await;
    if let Some((seed, broken)) = sum.broken.first() {
        panic!("schedule {seed}: {}\nand in {} more", broken.join("\n"), sum.broken.len() - 1);
    }
    sum.delays.sort();
    let (median, late) = (sum.delays[sum.delays.len() / 2], sum.delays[sum.delays.len() * 99 / 100]);
    println!(
        "{SCHEDULES} schedules: {} reads, {} of them from what was stored; {} purges, {} kept for later; {} faults with two nodes, {} with three; none wrong",
        sum.reads, sum.hits, sum.purges, sum.failed, sum.faults[2], sum.faults[3],
    );
    // Many schedules at once share the machine: tests/purge/delay.rs holds the delay to its bounds.
    println!("another node knew after {median:?} (median), {late:?} (99th percentile)");
    assert!(sum.hits > sum.reads / 10 && sum.failed > 0 && sum.faults[2] > 0 && sum.faults[3] > 0);
}

/// The same schedules over journals that are broken, each in one way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_journals_are_caught() {
    const SCHEDULES: u64 = 48;
    for what in [Break::Nothing, Break::NoCatchUp, Break::RegressIgnored, Break::StaleHeads] {
        let sum =
            run_all((0..SCHEDULES).map(|seed| Plan { finale: true, ..Plan::of(2 * seed, Some(what)) })).await;
        let wrong: usize = sum.broken.iter().map(|(_, broken)| broken.len()).sum();
        println!(
            "{what:?}: {wrong} of {} reads wrong, in {} of {SCHEDULES} schedules; the first in {:?}",
            sum.reads,
            sum.broken.len(),
            sum.broken.iter().map(|(seed, _)| seed).min(),
        );
        assert_eq!(wrong == 0, what == Break::Nothing, "{what:?}: {:?}", sum.broken.first());
    }
}
