//! A real `redis-server` on a free loopback port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Counts servers, so that each has a directory of its own.
static SERVERS: AtomicU32 = AtomicU32::new(0);

/// How often a new server is asked whether it is up, 10 ms apart.
pub(super) const TRIES: u32 = 1000;

/// A server with its own directory and without persistence. Dropped, it is stopped and its directory removed.
pub struct RedisServer {
    process: Option<Child>,
    port: u16,
    /// A second port, for TLS.
    tls_port: Option<u16>,
    directory: PathBuf,
    args: Vec<String>,
    password: Option<String>,
}

impl RedisServer {
    /// A server that answers `PING`.
    pub fn start() -> Self {
        Self::with_args(&[])
    }

    /// A server with further arguments, such as `["--requirepass", "secret"]`.
    pub fn with_args(args: &[&str]) -> Self {
        Self::on_ports(args, false)
    }

    /// A server that speaks TLS on a port of its own, with these files: its certificate and key, and its clients'
    /// authority. It asks for no client certificate unless further arguments, such as `["--tls-auth-clients", "yes"]`,
    /// say so.
    pub fn with_tls(files: [&Path; 3], args: &[&str]) -> Self {
        let tls = tls_settings(files).map(|(name, value)| [format!("--{name}"), value]).concat();
        let tls: Vec<_> = tls.iter().map(String::as_str).collect();
        Self::on_ports(&[&tls[..], args].concat(), true)
    }

    /// A server that speaks TLS with its like, and with clients on a port of its own, if there are files for it.
    pub(super) fn among(files: Option<[&Path; 3]>, args: &[&str]) -> Self {
        match files {
            Some(files) => {
                Self::with_tls(files, &[&["--tls-replication", "yes", "--tls-cluster", "yes"], args].concat())
            }
            None => Self::with_args(args),
        }
    }

    fn on_ports(args: &[&str], tls: bool) -> Self {
        let number = SERVERS.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("tower-query-cache-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for the server");
        let password = args.windows(2).find(|pair| pair[0] == "--requirepass").map(|pair| pair[1].to_owned());
        let mut server = Self {
            process: None,
            port: port_for(args),
            tls_port: tls.then(|| port_for(args)),
            directory,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            password,
        };
        // Another process may take the free port first.
        for _ in 0..5 {
            if server.launch() {
                return server;
            }
            server.port = port_for(args);
            server.tls_port = tls.then(|| port_for(args));
        }
        panic!("redis-server doesn't start");
    }

    /// The URL, with the password if there is one.
    pub fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    /// The URL for TLS, with the password if there is one.
    pub fn tls_url(&self) -> String {
        let port = self.tls_port();
        match &self.password {
            Some(password) => format!("rediss://:{password}@127.0.0.1:{port}"),
            None => format!("rediss://127.0.0.1:{port}"),
        }
    }

    /// The port for TLS on loopback.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.expect("a server with TLS")
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port by which others of its kind reach it.
    pub fn peers_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// The server's own directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Kills the server. What it held is gone.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts the server again, empty, on the same port.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.launch(), "redis-server doesn't start again on port {}", self.port);
    }

    /// Whether the server wasn't stopped.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Freezes the server: connections stay, and nothing answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// The reply to a command as text: bulk strings as they are, integers in digits, errors with their code, null
    /// as `(nil)`, arrays by lines.
    pub fn cli(&self, command: &[&str]) -> String {
        self.try_cli(command).expect("the server's reply")
    }

    /// The reply to a command of any bytes, as [`cli`](Self::cli) tells it.
    pub fn call(&self, command: &[&[u8]]) -> Vec<u8> {
        self.try_call(command).expect("the server's reply")
    }

    /// The names of all keys but those of purge journals, sorted.
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.cli(&["KEYS", "*"]).lines().map(str::to_owned).collect();
        keys.retain(|key| !key.ends_with(":v1:j}") && !key.ends_with(":v1:j}:h"));
        keys.sort();
        keys
    }

    fn try_cli(&self, command: &[&str]) -> std::io::Result<String> {
        let command: Vec<_> = command.iter().map(|part| part.as_bytes()).collect();
        Ok(String::from_utf8_lossy(&self.try_call(&command)?).into_owned())
    }

    fn try_call(&self, command: &[&[u8]]) -> std::io::Result<Vec<u8>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut reader = BufReader::new(stream);
        if let Some(password) = &self.password {
            ask(&mut reader, &[b"AUTH", password.as_bytes()])?;
        }
        ask(&mut reader, command)
    }

    /// Whether the server is up before it gives up or the tries end.
    fn launch(&mut self) -> bool {
        let child = Command::new("redis-server")
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(&self.directory)
            .args(self.tls_port.iter().flat_map(|port| ["--tls-port".to_owned(), port.to_string()]))
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("redis-server can't be run ({error}); tests/run.sh installs it, or: apt-get install redis-server")
        });
        let process = self.process.insert(child);
        let pid = process.id().to_string();
        for _ in 0..TRIES {
            let ended = self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None)));
            if ended {
                self.process = None;
                return false;
            }
            // Another server on this port would answer too: ask for the process id.
            if let Ok(info) = self.try_cli(&["INFO", "server"])
                && info.lines().any(|line| line.strip_prefix("process_id:") == Some(pid.as_str()))
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop();
        false
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("a running server");
        let status = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// What a server with these files for TLS is told: its certificate and key, and its clients' authority.
pub(super) fn tls_settings(files: [&Path; 3]) -> [(&'static str, String); 4] {
    let [cert, key, ca] = files.map(|path| path.to_str().expect("UTF-8").to_owned());
    [
        ("tls-cert-file", cert),
        ("tls-key-file", key),
        ("tls-ca-cert-file", ca),
        ("tls-auth-clients", "no".to_owned()),
    ]
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// A free port; for a Cluster's node one whose bus, ten thousand above, is free too.
fn port_for(args: &[&str]) -> u16 {
    if !args.contains(&"--cluster-enabled") {
        return free_port();
    }
    let has_bus = |port: &u16| *port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok();
    (0..1000).map(|_| free_port()).find(has_bus).expect("two free ports")
}

/// Waits until servers agree, half a minute at most.
pub(super) fn wait(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..3 * TRIES {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not in time: {what}");
}

/// The reply of whoever listens on this port, as [`RedisServer::call`] gives it.
pub(super) fn call_at(port: u16, command: &[&[u8]]) -> std::io::Result<Vec<u8>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    ask(&mut BufReader::new(stream), command)
}

fn ask(server: &mut BufReader<TcpStream>, command: &[&[u8]]) -> std::io::Result<Vec<u8>> {
    let mut request = format!("*{}\r\n", command.len()).into_bytes();
    for part in command {
        request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    server.get_mut().write_all(&request)?;
    reply(server)
}

fn reply(server: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut line = String::new();
    if server.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let (kind, rest) = line.split_at(1);
    let length = || rest.parse::<i64>().expect("a length");
    Ok(match kind {
        "$" | "*" if length() < 0 => b"(nil)".to_vec(),
        "$" => {
            let mut bytes = vec![0; usize::try_from(length()).expect("a length") + 2];
            server.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            bytes
        }
        "*" => (0..length()).map(|_| reply(server)).collect::<Result<Vec<_>, _>>()?.join(&b'\n'),
        _ => rest.as_bytes().to_vec(),
    })
}
