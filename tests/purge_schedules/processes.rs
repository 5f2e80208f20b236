//! The same between processes: each a node, reading all the while; one after the other is told to purge.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use http_body_util::Full;
use tokio::time::Instant;
use tower_query_cache::{Policy, QueryCache, RedisConfig};

use crate::support::RedisServer;
use crate::support::http::text;
use crate::support::site::{MINUTE, Site};

const PROCESSES: usize = 3;

const PURGES: usize = 100;

/// What makes a process a worker: the Redis, and the file that has the truth.
const VARIABLES: [&str; 2] = ["SCHEDULES_REDIS", "SCHEDULES_TRUTH"];

/// Starts the lines by which a worker answers.
const MARK: &str = "worker: ";

/// A worker's whole life, if this process is one.
async fn work() -> bool {
    let [Ok(redis), Ok(truth)] = VARIABLES.map(std::env::var) else { return false };
    let mut config = RedisConfig::new(redis);
    config.lookup_timeout = Duration::from_secs(1);
    let cache = QueryCache::builder().app("schedules").redis(config).build().unwrap();
    assert!(cache.ready(MINUTE).await);
    let truth = PathBuf::from(truth);
    let [default, strict] = [Policy::ttl(MINUTE), Policy::ttl(MINUTE).strict()].map(|policy| {
        let truth = truth.clone();
        Site::new(&cache, policy, move |_| {
            Response::new(Full::new(Bytes::from(std::fs::read(&truth).unwrap())))
        })
    });
    let reading = tokio::spawn({
        let default = default.clone();
        async move {
            loop {
                default.get("/page").await;
                tokio::task::yield_now().await;
            }
        }
    });
    println!("\n{MARK}ready");
    loop {
        let word = tokio::task::spawn_blocking(|| {
            let mut word = String::new();
            std::io::stdin().read_line(&mut word).map(|_| word)
        });
        let answer = match word.await.unwrap().unwrap().trim_end() {
            "strict" => text(strict.get("/page").await).await,
            "default" => text(default.get("/page").await).await,
            "purge" => cache.purge_all().await.unwrap().id.to_string(),
            _ => break,
        };
        println!("\n{MARK}{answer}");
    }
    reading.abort();
    true
}

/// A process of its own. Dropped, it is killed.
struct Worker {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start(test: &str, redis: &RedisServer, truth: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.envs(VARIABLES.into_iter().zip([redis.url(), truth.display().to_string()]));
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, output }
    }

    /// What the worker answers next.
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

    fn ask(&mut self, word: &str) -> String {
        self.process.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
        self.told()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_purges_no_other_serves() {
    if work().await {
        return;
    }
    let redis = RedisServer::start();
    let truth = redis.directory().join("truth");
    std::fs::write(&truth, "0").unwrap();
    let test = "processes::what_one_process_purges_no_other_serves";
    let mut workers: Vec<_> = (0..PROCESSES).map(|_| Worker::start(test, &redis, &truth)).collect();
    for worker in &mut workers {
        assert_eq!(worker.told(), "ready");
    }
    let mut delays = Vec::new();
    for purge in 1..=PURGES {
        let new = purge.to_string();
        // Whoever reads it, reads it whole.
        let next = redis.directory().join("next");
        std::fs::write(&next, &new).unwrap();
        std::fs::rename(&next, &truth).unwrap();
        let own = purge % PROCESSES;
        workers[own].ask("purge");
        let returned = Instant::now();
        assert_eq!(workers[own].ask("default"), new, "the process that purged");
        let other = (own + 1) % PROCESSES;
        while workers[other].ask("default") != new {
            assert!(returned.elapsed() < Duration::from_secs(1), "it never hears of it");
        }
        delays.push(returned.elapsed());
        for worker in &mut workers {
            assert_eq!(worker.ask("strict"), new);
        }
    }
    delays.sort();
    let (median, late) = (delays[PURGES / 2], delays[PURGES * 99 / 100]);
    println!(
        "{PURGES} purges, {PROCESSES} processes: told right after {median:?} (median), {late:?} (99th percentile)"
    );
}
