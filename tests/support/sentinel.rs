//! A master, two replicas, and three sentinels that watch them.

use super::RedisServer;
use super::redis::{TRIES, call_at, free_port, tls_settings, wait};
use std::path::Path;
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
    tls_port: Option<u16>,
    directory: std::path::PathBuf,
}

impl Watched {
    /// A master that two replicas follow, with sentinels that know of each other. `sentinel` are further lines of
    /// their configuration.
    pub fn start(sentinel: &[&str]) -> Self {
        Self::among(None, &[], sentinel)
    }

    /// The same with further arguments for each server.
    pub fn with_args(args: &[&str]) -> Self {
        Self::among(None, args, &[])
    }

    /// The same, and all speak TLS, also with each other, with these files: certificate, key and authority.
    pub fn with_tls(files: [&Path; 3]) -> Self {
        Self::among(Some(files), &[], &[])
    }

    fn among(files: Option<[&Path; 3]>, args: &[&str], sentinel: &[&str]) -> Self {
        let args = [&["--repl-diskless-sync-delay", "0"], args].concat();
        let servers: Vec<_> = (0..3).map(|_| RedisServer::among(files, &args)).collect();
        let master = servers[0].peers_port().to_string();
        for replica in &servers[1..] {
            assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", &master]), "OK");
        }
        wait("the replicas follow", || {
            servers[1..]
                .iter()
                .all(|replica| replica.cli(&["INFO", "replication"]).contains("link_status:up"))
        });
        let start = |server: &RedisServer| Sentinel::start(server.directory(), &master, files, sentinel);
        let sentinels = servers.iter().map(start).collect();
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

    /// The URL for TLS.
    pub fn tls_url(&self) -> String {
        let ports = self.sentinels.iter().map(|one| one.tls_port.expect("sentinels with TLS"));
        let hosts: Vec<_> = ports.map(|port| format!("127.0.0.1:{port}")).collect();
        format!("rediss-sentinel://{}/{NAME}", hosts.join(","))
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
        self.servers.iter().position(|server| server.peers_port() == port).unwrap()
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
    fn start(directory: &Path, master: &str, files: Option<[&Path; 3]>, further: &[&str]) -> Self {
        for _ in 0..5 {
            let (port, tls_port) = (free_port(), files.map(|_| free_port()));
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
            if let Some((files, port)) = files.zip(tls_port) {
                lines.extend([format!("tls-port {port}"), "tls-replication yes".to_owned()]);
                lines.extend(tls_settings(files).map(|(name, value)| format!("{name} {value}")));
            }
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
            let mut sentinel = Self { process, port, tls_port, directory };
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
