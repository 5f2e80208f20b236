//! A TCP proxy in front of a real server: counts the commands that come through, and does to connections what networks
//! and broken servers do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// What the proxy does with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it forwards.
    None,
    /// Reads it and never answers. A connection that lost a command so stays silent for good.
    BlackHole,
    /// Does so with `XREAD`, by which the purge journal is waited for, and forwards all else.
    BlackHoleTails,
    /// Forwards it, and resets the connection after half of the reply.
    CutReplies,
    /// Answers with bytes that are no protocol.
    Garbage,
    /// Answers that the server is loading.
    Loading,
}

/// Commands by name. Those that set up a connection count as `handshake`, the stats' question for the uptime too, the circuit breaker's `GET` as `probe`, and
/// a connection itself as `connect`.
pub type Commands = BTreeMap<String, u64>;

/// The proxy, on a thread of its own. Dropped, it is gone with its connections.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    server: AtomicU16,
    fault: Mutex<Fault>,
    commands: Mutex<Commands>,
    /// Changes when connections that lost a command are reset.
    resets: watch::Sender<()>,
    /// Changes when all connections are reset.
    cuts: watch::Sender<()>,
}

impl Proxy {
    /// A proxy on a free loopback port that forwards to the server on the loopback port `server`.
    pub fn start(server: u16) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket for tokio");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            server: AtomicU16::new(server),
            fault: Mutex::new(Fault::None),
            commands: Mutex::default(),
            resets: watch::Sender::new(()),
            cuts: watch::Sender::new(()),
        });
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            }
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The URL, without credentials.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on every command meets this.
    pub fn inject(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = fault;
    }

    /// Resets the connections that lost a command.
    pub fn reset_lost(&self) {
        self.shared.resets.send_replace(());
    }

    /// From now on new connections lead to the server on the loopback port `server`.
    pub fn switch(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// Resets all connections.
    pub fn cut(&self) {
        self.shared.cuts.send_replace(());
    }

    /// The commands that came so far, whatever became of them; also those that no server was there for.
    pub fn commands(&self) -> Commands {
        self.shared.commands.lock().unwrap().clone()
    }

    /// The commands that came since `before`.
    pub fn commands_since(&self, before: &Commands) -> Commands {
        let mut commands = self.commands();
        for (name, count) in before {
            commands.entry(name.clone()).and_modify(|now| *now -= count);
        }
        commands.retain(|_, count| *count > 0);
        commands
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn count(&self, name: String) {
        *self.commands.lock().unwrap().entry(name).or_default() += 1;
    }

    /// Takes the first whole command out of `asked`, and counts it.
    fn take(&self, asked: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
        let (name, length) = command(asked)?;
        self.count(name.clone());
        Some((name, asked.drain(..length).collect()))
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a socket for tokio");
    while let Ok((client, _)) = listener.accept().await {
        let _ = client.set_nodelay(true);
        shared.count("connect".to_owned());
        tokio::spawn(serve(client, Arc::clone(&shared)));
    }
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", shared.server.load(Ordering::SeqCst))).await else {
        return lose(client, &shared).await;
    };
    let _ = server.set_nodelay(true);
    let mut noise = Noise(u64::from(client.peer_addr().map_or(1, |peer| peer.port())));
    let (mut asked, mut replied) = (Vec::new(), Vec::new());
    let (mut lost, mut resets) = (false, shared.resets.subscribe());
    let mut cuts = shared.cuts.subscribe();
    loop {
        tokio::select! {
            _ = cuts.changed() => return reset(client),
            _ = resets.changed() => {
                if lost {
                    return reset(client);
                }
            }
            read = client.read_buf(&mut asked) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                while let Some((name, bytes)) = shared.take(&mut asked) {
                    let fault = *shared.fault.lock().unwrap();
                    lost |= fault == Fault::BlackHole || (fault == Fault::BlackHoleTails && name == "XREAD");
                    let done = match fault {
                        _ if lost => Ok(()),
                        Fault::Garbage => client.write_all(&noise.bytes()).await,
                        Fault::Loading => {
                            client.write_all(b"-LOADING Redis is loading the dataset in memory\r\n").await
                        }
                        _ => server.write_all(&bytes).await,
                    };
                    if done.is_err() {
                        return;
                    }
                }
            }
            read = server.read_buf(&mut replied) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                let fault = *shared.fault.lock().unwrap();
                lost |= fault == Fault::BlackHole;
                if fault == Fault::CutReplies {
                    let half = replied.len().div_ceil(2);
                    let _ = client.write_all(&replied[..half]).await;
                    return reset(client);
                }
                if !lost && client.write_all(&replied).await.is_err() {
                    return;
                }
                replied.clear();
            }
        }
    }
}

/// No server is there: counts what the client sends at once, and closes.
async fn lose(mut client: TcpStream, shared: &Shared) {
    let mut asked = Vec::new();
    while matches!(client.read_buf(&mut asked).await, Ok(1..)) {
        let mut commands = 0;
        while shared.take(&mut asked).is_some() {
            commands += 1;
        }
        if commands > 0 {
            return;
        }
    }
}

/// With a linger of nothing, a close is a reset.
fn reset(client: TcpStream) {
    let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
}

/// What the first whole command in `bytes` counts as, and its length.
fn command(bytes: &[u8]) -> Option<(String, usize)> {
    let (parts, mut at) = number(bytes, 0, b'*')?;
    let mut words = Vec::new();
    for _ in 0..parts {
        let (length, start) = number(bytes, at, b'$')?;
        let word = bytes.get(start..start + length)?;
        at = start + length + 2;
        if words.len() < 2 {
            words.push(String::from_utf8_lossy(word).into_owned());
        }
    }
    if at > bytes.len() {
        return None;
    }
    let name = words.first()?.to_uppercase();
    let counted = match (name.as_str(), words.get(1)) {
        ("CLIENT" | "HELLO" | "AUTH" | "SELECT", _) => "handshake".to_owned(),
        ("INFO", Some(section)) if ["server", "replication"].contains(&section.as_str()) => {
            "handshake".to_owned()
        }
        ("GET", Some(key)) if key.ends_with(":v1:probe") => "probe".to_owned(),
        _ => name,
    };
    Some((counted, at))
}

/// The number in a line of this kind, and where the next line begins.
fn number(bytes: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?;
    let end = line.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(line[0], kind, "clients send arrays of bulk strings");
    let digits = std::str::from_utf8(&line[1..end]).expect("digits");
    Some((digits.parse().expect("a number"), at + end + 2))
}

/// Bytes that look random, and never like the start of a reply.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = vec![0];
        for _ in 0..63 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.push((self.0 >> 56) as u8);
        }
        bytes
    }
}
