//! A master, two replicas, and three sentinels that watch them.

use super::RedisServer;
use super::redis::{TRIES, call_at, free_port, wait};
use std::process::{Child, Command, Stdio};

/// The name of what the sentinels watch.
const NAME: &str = "mymaster";

/// Dropped, all is stopped.
pub struct Watched {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    process: Child,
    port: u16,
    directory: std::path::PathBuf,
}

impl Watched {
    /// A master that two replicas follow, with sentinels that know of each other. `sentinel` are further lines of
    /// their configuration.
    pub fn start(sentinel: &[&str]) -> Self {
        let servers: Vec<_> =
            (0..3).map(|_| RedisServer::with_args(&["--repl-diskless-sync-delay", "0"])).collect();
        let master = servers[0].port().to_string();
        for replica in &servers[1..] {
            assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", &master]), "OK");
        }
        wait("the replicas follow", || {
            servers[1..]
                .iter()
                .all(|replica| replica.cli(&["INFO", "replication"]).contains("link_status:up"))
        });
        let sentinels =
            servers.iter().map(|server| Sentinel::start(server.directory(), &master, sentinel)).collect();
        let watched = Self { servers, sentinels };
        wait("the sentinels know each other and the replicas", || {
            watched.sentinels.iter().all(|one| {
                let told = one.cli(&["INFO", "sentinel"]);
                told.contains("slaves=2,sentinels=3")
            })
        });
        watched
    }

    /// The URL that names all sentinels. `query` is without its `?`.
    pub fn url(&self, credentials: &str, query: &str) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("redis-sentinel://{credentials}{}/{NAME}?{query}", hosts.join(","))
    }

    /// The servers; the first was made the master.
    pub fn servers(&self) -> &[RedisServer] {
        &self.servers
    }

    /// The servers.
    pub fn servers_mut(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    /// The place of the server that a sentinel says is the master.
    pub fn master(&self) -> usize {
        let told = self.sentinels[0].cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let port: u16 = told.lines().last().unwrap().parse().unwrap();
        self.servers.iter().position(|server| server.port() == port).unwrap()
    }

    /// Stops a sentinel.
    pub fn stop_sentinel(&mut self, index: usize) {
        self.sentinels[index].stop();
    }

    /// Has the sentinels make another server the master, though the present one is well.
    pub fn fail_over(&self) {
        assert_eq!(self.sentinels[0].cli(&["SENTINEL", "FAILOVER", NAME]), "OK");
    }
}

impl Sentinel {
    fn start(directory: &std::path::Path, master: &str, further: &[&str]) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let directory = directory.join(format!("sentinel-{port}"));
            std::fs::create_dir_all(&directory).unwrap();
            let file = directory.join("sentinel.conf");
            let mut lines = vec![
                format!("port {port}"),
                "bind 127.0.0.1".to_owned(),
                format!("dir {}", directory.display()),
                format!("sentinel monitor {NAME} 127.0.0.1 {master} 2"),
                format!("sentinel down-after-milliseconds {NAME} 700"),
                format!("sentinel failover-timeout {NAME} 3000"),
            ];
            lines.extend(further.iter().map(|line| (*line).to_owned()));
            std::fs::write(&file, lines.join("\n") + "\n").unwrap();
            let process = Command::new("redis-server")
                .arg(&file)
                .arg("--sentinel")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("redis-server");
            let mut sentinel = Self { process, port, directory };
            for _ in 0..TRIES {
                if !matches!(sentinel.process.try_wait(), Ok(None)) {
                    break;
                }
                if call_at(port, &[b"PING"]).is_ok() {
                    return sentinel;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        panic!("the sentinel doesn't start");
    }

    /// The reply to a command, asked without credentials: errors are texts too.
    fn cli(&self, command: &[&str]) -> String {
        let command: Vec<_> = command.iter().map(|part| part.as_bytes()).collect();
        String::from_utf8_lossy(&call_at(self.port, &command).expect("the sentinel's reply")).into_owned()
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
