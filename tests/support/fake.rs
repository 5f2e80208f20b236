//! A scripted server, for answers that a real one can't be made to give on demand.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Answers every command with the same bytes, or never. Dropped, it closes its connections.
pub struct FakeRedis {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

struct Shared {
    reply: Mutex<Option<String>>,
    /// By command.
    replies: Mutex<HashMap<String, String>>,
    commands: Mutex<Vec<Vec<String>>>,
    connections: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

impl FakeRedis {
    /// A server that answers every command with `reply`, raw RESP such as `-LOADING …\r\n`.
    pub fn answering(reply: &str) -> Self {
        Self::start(Some(reply.to_owned()))
    }

    /// A server that accepts connections and never answers.
    pub fn silent() -> Self {
        Self::start(None)
    }

    fn start(reply: Option<String>) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = socket.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            reply: Mutex::new(reply),
            replies: Mutex::default(),
            commands: Mutex::default(),
            connections: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let listener = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || listen(&socket, &shared)
        });
        Self { port, shared, listener: Some(listener) }
    }

    /// The URL, without credentials.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on every command is answered with `reply`; `None`: never.
    pub fn answer(&self, reply: Option<&str>) {
        *self.shared.reply.lock().unwrap() = reply.map(str::to_owned);
    }

    /// From now on this command is answered with `reply`, whatever the others are.
    pub fn answer_to(&self, command: &str, reply: &str) {
        self.shared.replies.lock().unwrap().insert(command.to_owned(), reply.to_owned());
    }

    /// The commands that came, oldest first, with their arguments.
    pub fn commands(&self) -> Vec<Vec<String>> {
        self.shared.commands.lock().unwrap().clone()
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        for connection in self.shared.connections.lock().unwrap().iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn listen(socket: &TcpListener, shared: &Arc<Shared>) {
    for connection in socket.incoming() {
        let Ok(connection) = connection else { return };
        let Ok(handle) = connection.try_clone() else { return };
        shared.connections.lock().unwrap().push(handle);
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(connection, &shared));
    }
}

fn serve(connection: TcpStream, shared: &Shared) {
    let mut connection = BufReader::new(connection);
    while let Some(command) = command(&mut connection) {
        let own = command.first().and_then(|name| shared.replies.lock().unwrap().get(name).cloned());
        shared.commands.lock().unwrap().push(command);
        let reply = own.or_else(|| shared.reply.lock().unwrap().clone());
        if let Some(reply) = reply
            && connection.get_mut().write_all(reply.as_bytes()).is_err()
        {
            return;
        }
    }
}

/// The next command, an array of bulk strings; `None` when the client is gone.
fn command(connection: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let parts = number(connection, '*')?;
    (0..parts).map(|_| part(connection)).collect()
}

fn part(connection: &mut BufReader<TcpStream>) -> Option<String> {
    let mut bytes = vec![0; number(connection, '$')? + 2];
    connection.read_exact(&mut bytes).ok()?;
    bytes.truncate(bytes.len() - 2);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn number(connection: &mut BufReader<TcpStream>, kind: char) -> Option<usize> {
    let mut line = String::new();
    connection.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(kind)?.parse().ok()
}
