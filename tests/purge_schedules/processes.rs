//! The same between processes: each a node that reads and purges as its own seed says. What they record by one clock is put
//! together and held against the promise.

use std::fmt::Debug;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::node::{Marked, Node, PAGES, Setup};
use crate::random::Random;
use crate::support::RedisServer;
use crate::support::history::{About, Event, History, LATE, Moment};

const PROCESSES: usize = 3;

/// Rounds in which nothing is cut, by which the delay is measured; and rounds in which connections are.
const ROUNDS: [usize; 2] = [60, 4];

/// What a process begins in a round of either kind.
const STEPS: [u64; 2] = [16, 150];

/// What makes a process a worker: the Redis's port, and which one it is.
const VARIABLES: [&str; 2] = ["SCHEDULES_REDIS", "SCHEDULES_WORKER"];

/// Starts the lines by which a worker answers.
const MARK: &str = "worker: ";

fn say(what: &impl Serialize) {
    println!("\n{MARK}{}", serde_json::to_string(what).unwrap());
}

/// A worker's whole life, if this process is one.
async fn work() -> bool {
    let [Ok(port), Ok(number)] = VARIABLES.map(std::env::var) else { return false };
    let number = number.parse().unwrap();
    let history = Arc::new(History::default());
    let setup = Setup {
        port: port.parse().unwrap(),
        namespace: "processes",
        number,
        seed: 1,
        proxied: true,
        broken: None,
    };
    let node = Arc::new(Node::start(&setup, &history).await);
    let mut random = Random::new(number as u64);
    say(&"ready");
    loop {
        let word = tokio::task::spawn_blocking(|| {
            let mut word = String::new();
            std::io::stdin().read_line(&mut word).map(|_| word)
        });
        let word = word.await.unwrap().unwrap();
        match word.trim_end().split_once(' ').unwrap_or((word.trim_end(), "")) {
            ("run", cuts) => say(&run(&node, &mut random, cuts == "cuts").await),
            ("follow", _) => {
                node.follows().await;
                say(&"follows");
            }
            // It reads the marker, which it has, all the while until that is new.
            ("watch", _) => {
                let watched = Moment::now();
                say(&watched);
                say(&node.renews(watched).await);
            }
            ("mark", _) => say(&node.mark().await),
            ("know", marked) => {
                node.knows(&serde_json::from_str(marked).unwrap()).await;
                say(&"known");
            }
            ("read", _) => {
                for page in 0..PAGES {
                    node.read(page, false).await;
                    node.read(page, true).await;
                }
                say(&"read");
            }
            ("tell", _) => say(&history.events()),
            _ => return true,
        }
    }
}

/// A round: fills, reads, purges by tag, delays, and cuts of all connections; how many cuts there were.
async fn run(node: &Arc<Node>, random: &mut Random, cuts: bool) -> usize {
    let (mut work, mut cut) = (JoinSet::new(), 0);
    for _ in 0..STEPS[usize::from(cuts)] {
        let node = Arc::clone(node);
        let page = random.below(PAGES as u64) as usize;
        match random.below(20) {
            0..15 => {
                let strict = random.once_in(3);
                work.spawn(async move {
                    let _ = node.read(page, strict).await;
                });
            }
            15..19 => {
                let about = random.of(&[About::Page(page), About::Page(page), About::Pages]);
                let soft = random.once_in(3);
                work.spawn(async move {
                    let _ = node.purge(about, soft).await;
                });
            }
            _ if cuts => {
                cut += 1;
                node.proxy.as_ref().unwrap().cut();
            }
            _ => {}
        }
        sleep(Duration::from_millis(random.below(4))).await;
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    cut
}

/// A process of its own. Dropped, it is killed.
struct Worker {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(test: &str, redis: &RedisServer, number: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(VARIABLES.into_iter().zip([redis.port().to_string(), number.to_string()]));
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    fn tell(&mut self, word: &str) {
        self.process.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
    }

    /// What the worker answers next.
    fn told<T: DeserializeOwned>(&mut self) -> T {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(told) = line.trim_end().strip_prefix(MARK) {
                return serde_json::from_str(told).unwrap();
            }
            line.clear();
        }
        panic!("the worker ended: {:?}", self.process.wait())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells all workers, and then hears all: they work at once.
fn ask<T: DeserializeOwned + Debug>(workers: &mut [Worker], word: &str) -> Vec<T> {
    workers.iter_mut().for_each(|worker| worker.tell(word));
    workers.iter_mut().map(Worker::told).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_purges_no_other_serves() {
    if work().await {
        return;
    }
    let redis = RedisServer::start();
    let test = "processes::what_one_process_purges_no_other_serves";
    let mut workers: Vec<_> = (0..PROCESSES).map(|number| Worker::start(test, &redis, number)).collect();
    for worker in &mut workers {
        assert_eq!(worker.told::<String>(), "ready");
    }
    let (history, mut delays, mut cut) = (History::default(), Vec::new(), 0);
    for round in 0..ROUNDS[0] + ROUNDS[1] {
        let cuts = round >= ROUNDS[0];
        let (from, word) = (Moment::now(), if cuts { "run cuts" } else { "run" });
        cut += ask::<usize>(&mut workers, word).into_iter().sum::<usize>();
        ask::<String>(&mut workers, "follow");
        if cuts {
            history.add(Event::Fault { from, until: Moment::now() });
        }
        workers.rotate_left(1);
        let [own, other, ..] = &mut workers[..] else { unreachable!() };
        other.tell("watch");
        let _: Moment = other.told();
        own.tell("mark");
        let marked: Marked = own.told();
        let heard: Moment = other.told();
        if !cuts {
            delays.push(heard.since(marked.returned));
        }
        let know = format!("know {}", serde_json::to_string(&marked).unwrap());
        ask::<String>(&mut workers[1..], &know);
        ask::<String>(&mut workers, "read");
    }
    for events in ask::<Vec<Event>>(&mut workers, "tell") {
        events.into_iter().for_each(|event| history.add(event));
    }
    let broken = history.broken(LATE);
    assert!(broken.is_empty(), "{} wrong reads: {}", broken.len(), broken[0]);
    let ((reads, hits), (purges, failed)) = (history.reads(), history.purges());
    println!(
        "{PROCESSES} processes: {reads} reads, {hits} of them from what was stored; {purges} purges, {failed} kept for later; connections cut {cut} times; none wrong"
    );
    delays.sort();
    let (median, late) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100]);
    println!("told right after {median:?} (median), {late:?} (99th percentile) in {} cases", delays.len());
    assert!(hits > reads / 10 && cut > 0);
}
