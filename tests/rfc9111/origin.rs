//! An origin that answers what it is told, byte for byte, and keeps what it is asked.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::message::{self, Head};

/// How long an answer waits for what it depends on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a request for which nothing is scripted gets.
const UNSCRIPTED: &str = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 10\r\n\r\n";

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: Head,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn method(&self) -> &str {
        self.head.start.split(' ').next().unwrap_or_default()
    }

    fn target(&self) -> &str {
        self.head.start.split(' ').nth(1).unwrap_or_default()
    }
}

/// An answer's bytes, and when they go.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    /// Head and body are apart: a HEAD request gets no body.
    pub(crate) head: String,
    pub(crate) body: String,
    /// The connection ends after it.
    pub(crate) closes: bool,
    pub(crate) delay: Duration,
    /// How many requests of the case must have come.
    pub(crate) together: usize,
    /// It waits until the script that it is of is released.
    pub(crate) held: bool,
    /// What goes instead to a request that has this field; of several the first counts.
    pub(crate) instead: Vec<(&'static str, Scripted)>,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Scripted>,
    seen: Vec<Seen>,
    /// How many scripts there were, and how many of them are released.
    written: usize,
    released: usize,
}

type Scripts = Arc<Mutex<HashMap<String, Script>>>;

/// Serves the scripts of many cases, each under the first segment of its paths. Dropped, it is gone with its connections.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    scripts: Scripts,
    changed: watch::Sender<()>,
    _task: JoinSet<()>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripts = Scripts::default();
        let (changed, _) = watch::channel(());
        let (shared, sender) = (Arc::clone(&scripts), changed.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = Connection { scripts: Arc::clone(&shared), changed: sender.clone() };
                connections.spawn(async move { drop(connection.serve(stream).await) });
            }
        });
        Self { address, scripts, changed, _task: task }
    }

    /// What the next requests of a case get, in this order; held answers wait for [`release`](Self::release).
    pub(crate) fn script(&self, case: &str, answers: Vec<Scripted>) {
        let mut scripts = self.scripts.lock().unwrap();
        let script = scripts.entry(case.to_owned()).or_default();
        script.answers = answers.into();
        script.written += 1;
    }

    /// Lets the held answers of a case go.
    pub(crate) fn release(&self, case: &str) {
        let mut scripts = self.scripts.lock().unwrap();
        let script = scripts.entry(case.to_owned()).or_default();
        script.released = script.written;
        drop(scripts);
        self.changed.send_replace(());
    }

    /// The requests of a case so far.
    pub(crate) fn seen(&self, case: &str) -> Vec<Seen> {
        self.scripts.lock().unwrap().get(case).map(|script| script.seen.clone()).unwrap_or_default()
    }

    /// Waits until so many requests of a case have come, a few seconds at most.
    pub(crate) async fn reached(&self, case: &str, requests: usize) {
        reached(&self.scripts, &self.changed, case, |script| script.seen.len() >= requests).await;
    }
}

async fn reached(
    scripts: &Scripts,
    changed: &watch::Sender<()>,
    case: &str,
    condition: impl Fn(&Script) -> bool,
) {
    let mut changes = changed.subscribe();
    let come = async {
        while !scripts.lock().unwrap().get(case).is_some_and(&condition) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    // If it doesn't come, the case tells by what it counts.
    let _ = tokio::time::timeout(PATIENCE, come).await;
}

struct Connection {
    scripts: Scripts,
    changed: watch::Sender<()>,
}

impl Connection {
    async fn serve(self, stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(head) = message::head(&mut reader).await? {
            let (body, _) = message::body(&mut reader, &head, false).await?;
            let seen = Seen { head, body };
            let is_head = seen.method() == "HEAD";
            let (case, written, answer) = self.next(seen);
            tokio::time::sleep(answer.delay).await;
            reached(&self.scripts, &self.changed, &case, |script| {
                script.seen.len() >= answer.together && (script.released >= written || !answer.held)
            })
            .await;
            let stream = reader.get_mut();
            stream.write_all(answer.head.as_bytes()).await?;
            if !is_head {
                stream.write_all(answer.body.as_bytes()).await?;
            }
            if answer.closes {
                stream.shutdown().await?;
                break;
            }
        }
        Ok(())
    }

    /// Keeps a request; its case, the number of its script, and what it gets.
    fn next(&self, seen: Seen) -> (String, usize, Scripted) {
        let path = seen.target().split("://").last().unwrap_or_default();
        let path = path.split_once('/').map_or(path, |(_, path)| path);
        let case = path.split(['/', '?']).next().unwrap_or_default().to_owned();
        let mut scripts = self.scripts.lock().unwrap();
        let script = scripts.entry(case.clone()).or_default();
        let mut answer = script.answers.pop_front().unwrap_or_else(|| Scripted {
            head: UNSCRIPTED.into(),
            body: "unscripted".into(),
            ..Scripted::default()
        });
        let has = |field: &str| seen.head.all(field).next().is_some();
        if let Some(at) = answer.instead.iter().position(|(field, _)| has(field)) {
            answer = answer.instead.swap_remove(at).1;
        }
        script.seen.push(seen);
        let written = script.written;
        drop(scripts);
        self.changed.send_replace(());
        (case, written, answer)
    }
}
