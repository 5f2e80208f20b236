//! The examples as programs of their own.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Variables that the caller's environment must not bring in.
const VARIABLES: [&str; 18] = [
    "ADDR",
    "CLIENT_TIMEOUT",
    "LOOKUP_TIMEOUT",
    "UPSTREAM",
    "UPSTREAM_TIMEOUT",
    "ADMIN_TOKEN",
    "RUST_LOG",
    "ENABLE_CACHE",
    "REDIS_URL",
    "USE_LRU_CACHE",
    "LRU_CACHE_SIZE",
    "CACHE_TTL",
    "REDIS_MAX_CONNECTIONS",
    "REDIS_CONNECT_TIMEOUT",
    "REDIS_KEEPALIVE",
    "CACHE_NAMESPACE",
    "CACHE_APP",
    "CACHE_GENERATION",
];

/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The examples' directory. They are built once; where `cargo test` has built them already, that takes no time.
fn built() -> &'static Path {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    EXAMPLES.get_or_init(|| {
        // <target>/<profile>/deps/<test>
        let test = std::env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        let mut features = Vec::new();
        for (name, on) in [
            ("default", cfg!(feature = "default")),
            ("redis", cfg!(feature = "redis")),
            ("tls", cfg!(feature = "tls")),
            ("axum", cfg!(feature = "axum")),
            ("encrypt", cfg!(feature = "encrypt")),
            ("test-util", cfg!(feature = "test-util")),
        ] {
            if on {
                features.push(name);
            }
        }
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["build", "--quiet", "--offline", "--examples", "--no-default-features", "--features"])
            .arg(features.join(","))
            .arg("--target-dir")
            .arg(profile.parent().unwrap())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "the examples don't build");
        profile.join("examples")
    })
}

/// A command that runs an example with these variables and no others of ours.
pub fn command(example: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(built().join(example));
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Runs an example to its end.
pub fn run(command: &mut Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = wait(&mut child);
    let output = child.wait_with_output().unwrap();
    assert!(ended.is_some(), "it doesn't end: {output:?}");
    output
}

/// The status of a child that ends in time; one that doesn't is killed.
fn wait(child: &mut Child) -> Option<ExitStatus> {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    None
}

/// An example that serves. Dropped, it is killed.
pub struct Program {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it said when it began to listen.
    pub greeting: String,
    _output: Mutex<Receiver<String>>,
}

impl Program {
    /// Starts an example on a free loopback port and waits until it listens.
    pub fn serve(example: &str, argument: Option<&Path>, variables: &[(&str, &str)]) -> Self {
        let mut command = command(example, variables);
        command.args(argument);
        Self::start(example, command)
    }

    /// Starts an example that may open so many files, as [`serve`](Self::serve) does.
    pub fn serve_within(descriptors: usize, example: &str, variables: &[(&str, &str)]) -> Self {
        let plain = command(example, variables);
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n \"$1\" && exec \"$0\""])
            .arg(plain.get_program())
            .arg(descriptors.to_string());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.stdin(Stdio::null());
        Self::start(example, command)
    }

    fn start(example: &str, mut command: Command) -> Self {
        command.env("ADDR", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, output) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let greeting = output.recv_timeout(PATIENCE).unwrap_or_default();
        let address = greeting
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(',').next()?.parse::<SocketAddr>().ok());
        let Some(address) = address else {
            let _ = child.kill();
            panic!("{example} doesn't listen: {greeting:?} {:?}", child.wait());
        };
        Self { child, address, greeting, _output: Mutex::new(output) }
    }

    /// How many files it has open, where the system tells it like Linux.
    pub fn descriptors(&self) -> Option<usize> {
        Some(std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?.count())
    }

    /// Sends what Ctrl-C sends, and waits for the end.
    pub fn interrupt(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        wait(&mut self.child).expect("it ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory of text files. Dropped, it is removed.
pub struct Corpus(PathBuf);

impl Corpus {
    /// A directory with these files, by name and text.
    pub fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let directory =
            std::env::temp_dir().join(format!("tower-query-cache-corpus-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for (file, text) in files {
            std::fs::write(directory.join(file), text).unwrap();
        }
        Self(directory)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Corpus {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
