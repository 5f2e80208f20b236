//! Real processes: this test's program runs itself, with a variable that makes it a worker.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{LimitsConfig, Policy, QueryCache};

use crate::support::http::{ok, text};
use crate::support::site::{MINUTE, Req, request};
use crate::support::store::patient;
use crate::support::{RedisServer, eventually, eventually_within};

const PROCESSES: usize = 4;

/// Requests at once in each process.
const REQUESTS: usize = 64;

/// What makes a process a worker: the Redis, the directory in which calls are noted, the lease in seconds.
const VARIABLES: [&str; 3] = ["LEASES_REDIS", "LEASES_CALLS", "LEASES_SECONDS"];

/// Starts the lines by which a worker tells something.
const MARK: &str = "worker: ";

/// A worker's whole life, if this process is one.
async fn work() -> bool {
    let [Ok(redis), Ok(calls), Ok(seconds)] = VARIABLES.map(std::env::var) else { return false };
    let lease = Duration::from_secs(seconds.parse().unwrap());
    let mut limits = LimitsConfig::default();
    limits.coalesce_timeout = MINUTE;
    let cache = QueryCache::builder().redis(patient(redis)).app("leases").limits(limits).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let calls = PathBuf::from(calls);
    let inner = service_fn(move |_: Req| {
        let calls = calls.clone();
        async move {
            let note = tempfile(&calls);
            eventually_within(MINUTE, "the test lets the call end", || async {
                calls.join("answer").exists()
            })
            .await;
            Ok::<_, Infallible>(ok(note))
        }
    });
    let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(MINUTE).lease(lease))).service(inner);
    println!("\n{MARK}ready");
    let mut word = String::new();
    std::io::stdin().read_line(&mut word).unwrap();

    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let service = service.clone();
        requests.spawn(async move {
            let answer = service.oneshot(request(http::Method::GET, "/cold", &[], "")).await.unwrap();
            text(answer).await
        });
    }
    let answers = requests.join_all().await;
    cache.shutdown().await;
    let same = answers.iter().all(|answer| *answer == answers[0]);
    println!("\n{MARK}{} answers, {}", answers.len(), if same { &answers[0] } else { "not the same" });
    true
}

/// Notes a call of the service: a file with a name of its own, which is the answer's body.
fn tempfile(calls: &Path) -> String {
    for number in 0.. {
        let note = format!("call-{}-{number}", std::process::id());
        if std::fs::File::create_new(calls.join(&note)).is_ok() {
            return note;
        }
    }
    unreachable!("there are as many names as numbers")
}

/// A process of its own. Dropped, it is killed.
struct Worker {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(test: &str, redis: &RedisServer, calls: &Path, lease: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let values = [redis.url(), calls.display().to_string(), lease.to_string()];
        command.envs(VARIABLES.into_iter().zip(values));
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// What the worker tells next.
    fn told(&mut self) -> String {
        let mut line = String::new();
        while self.output.read_line(&mut line).unwrap() > 0 {
            if let Some(told) = line.trim_end().strip_prefix(MARK) {
                return told.to_owned();
            }
            line.clear();
        }
        panic!("the worker ended: {:?}", self.process.wait())
    }

    fn go(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The names of the calls so far.
fn calls(directory: &Path) -> Vec<String> {
    let names =
        std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("call-")).collect()
}

/// Workers that all asked for the same cold key: one calls the service, the others wait for it.
async fn all_ask(test: &str, redis: &RedisServer, directory: &Path, lease: u64) -> Vec<Worker> {
    std::fs::create_dir_all(directory).unwrap();
    let start = || Worker::start(test, redis, directory, lease);
    let mut workers: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
    for worker in &mut workers {
        assert_eq!(worker.told(), "ready");
    }
    workers.iter_mut().for_each(Worker::go);
    eventually("a call", || !calls(directory).is_empty()).await;
    eventually("all the others wait", || {
        redis.cli(&["PUBSUB", "NUMSUB", "tqc:v1:w"]).ends_with(&format!("\n{}", PROCESSES - 1))
    })
    .await;
    assert_eq!(calls(directory).len(), 1);
    workers
}

#[tokio::test]
async fn a_cold_key_costs_one_call_over_four_processes() {
    if work().await {
        return;
    }
    let redis = RedisServer::start();
    let directory = redis.directory().join("calls");
    let test = "processes::a_cold_key_costs_one_call_over_four_processes";
    let mut workers = all_ask(test, &redis, &directory, 60).await;
    std::fs::write(directory.join("answer"), "").unwrap();
    let [call] = calls(&directory).try_into().unwrap();
    for worker in &mut workers {
        assert_eq!(worker.told(), format!("{REQUESTS} answers, {call}"));
    }
    let requests = PROCESSES * REQUESTS;
    println!("{PROCESSES} processes, {requests} requests for one cold key: {} call", calls(&directory).len());
    assert_eq!(calls(&directory).len(), 1);
}

#[tokio::test]
async fn a_holder_that_is_killed_costs_one_more_call() {
    if work().await {
        return;
    }
    // Long enough that all have asked before it ends, on a busy machine too.
    const LEASE: u64 = 10;
    let redis = RedisServer::start();
    let directory = redis.directory().join("calls");
    let test = "processes::a_holder_that_is_killed_costs_one_more_call";
    let mut workers = all_ask(test, &redis, &directory, LEASE).await;
    let first = calls(&directory).remove(0);
    let is_holder = |worker: &Worker| first.contains(&format!("-{}-", worker.process.id()));
    let holder = workers.iter().position(is_holder).expect("one of ours called");
    // SIGKILL: it can give nothing back.
    drop(workers.remove(holder));
    let killed = Instant::now();
    eventually_within(MINUTE, "another call", || async { calls(&directory).len() > 1 }).await;
    let took = killed.elapsed();
    std::fs::write(directory.join("answer"), "").unwrap();
    let second = calls(&directory).into_iter().find(|call| *call != first).unwrap();
    for worker in &mut workers {
        assert_eq!(worker.told(), format!("{REQUESTS} answers, {second}"));
    }
    let calls = calls(&directory).len();
    println!(
        "{PROCESSES} processes, the holder killed: {calls} calls, the second after {took:?} of a lease of {LEASE} s"
    );
    assert_eq!(calls, 2);
}
