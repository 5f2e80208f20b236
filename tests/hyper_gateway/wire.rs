//! The gateway, and HTTP/1.1 by hand on both of its sides.

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::program::Program;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

/// The gateway and the listener that is its upstream.
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) upstream: TcpListener,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A gateway that may have so many files open.
    pub(crate) async fn start_within(descriptors: usize) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", upstream.local_addr().unwrap());
        let program = Program::serve_within(descriptors, "hyper_gateway", &[("UPSTREAM", &url)]);
        Self { program, upstream }
    }

    /// A gateway with further variables.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", upstream.local_addr().unwrap());
        let mut all = vec![("UPSTREAM", url.as_str())];
        all.extend(variables);
        Self { program: Program::serve("hyper_gateway", None, &all), upstream }
    }

    /// A client's connection.
    pub(crate) async fn client(&self) -> Peer {
        Peer::new(TcpStream::connect(self.program.address).await.unwrap())
    }

    /// A client's connection that takes little at a time.
    pub(crate) async fn slow_client(&self) -> Peer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        Peer::new(socket.connect(self.program.address).await.unwrap())
    }

    /// The next connection to the upstream.
    pub(crate) async fn accept(&self) -> Peer {
        Peer::new(in_time(self.upstream.accept()).await.unwrap().0)
    }

    /// Sends a request on a connection of its own, lets the upstream answer, and gives what the upstream got and what the
    /// client did. The upstream's answer ends with its connection.
    pub(crate) async fn exchange(&self, request: &str, response: &str) -> (Head, Head, String) {
        let mut client = self.client().await;
        client.send(request).await;
        let mut upstream = self.accept().await;
        let got = upstream.head().await;
        upstream.send(response).await;
        drop(upstream);
        client.finish().await;
        let head = client.head().await;
        (got, head, client.rest().await)
    }

    /// Sends what the gateway answers by itself.
    pub(crate) async fn refused(&self, request: &str) -> (Head, String) {
        let mut client = self.client().await;
        client.send(request).await;
        client.finish().await;
        let head = client.head().await;
        (head, client.rest().await)
    }
}

/// A response without content, after which its connection is closed.
pub(crate) const EMPTY: &str =
    "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// One side of a connection.
pub(crate) struct Peer(BufReader<TcpStream>);

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    pub(crate) async fn send(&mut self, text: &str) {
        in_time(self.0.get_mut().write_all(text.as_bytes())).await.unwrap();
    }

    /// Sends up to `length` bytes, until the other side has closed the connection. Gives how many went.
    pub(crate) async fn send_until_closed(&mut self, length: usize) -> usize {
        let (mut sent, part) = (0, vec![b'x'; 1 << 16]);
        while sent < length && in_time(self.0.get_mut().write_all(&part)).await.is_ok() {
            sent += part.len();
        }
        sent
    }

    /// Ends what this side sends. The other side may go on.
    pub(crate) async fn finish(&mut self) {
        // It may have closed the connection already.
        let _ = self.0.get_mut().shutdown().await;
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Head {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            let read = in_time(self.0.read_line(&mut text)).await.unwrap();
            assert_ne!(read, 0, "the connection ended: {text:?}");
        }
        Head(text.trim_end().split("\r\n").map(str::to_owned).collect())
    }

    /// The next `length` bytes.
    pub(crate) async fn read(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        in_time(self.0.read_exact(&mut bytes)).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// What has come, `length` bytes at most; nothing at the end.
    pub(crate) async fn some(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let read = in_time(self.0.read(&mut bytes)).await.unwrap();
        bytes.truncate(read);
        bytes
    }

    /// What comes until the connection is reset.
    pub(crate) async fn until_reset(&mut self) -> String {
        let mut all = Vec::new();
        let error = in_time(self.0.read_to_end(&mut all)).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        String::from_utf8(all).unwrap()
    }

    /// All that comes until the connection ends, however it does.
    pub(crate) async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let _ = in_time(self.0.read_to_end(&mut all)).await;
        String::from_utf8(all).unwrap()
    }
}

/// The lines of a request's or response's head.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Head(pub(crate) Vec<String>);

impl Head {
    /// The request or status line.
    pub(crate) fn start(&self) -> &str {
        &self.0[0]
    }

    /// The values of a field, a line each.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.lines().filter(|(other, _)| *other == name).map(|(_, value)| value).collect()
    }

    /// A field's only value, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        match self.all(name)[..] {
            [] => "",
            [only] => only,
            _ => panic!("several {name}: {self:?}"),
        }
    }

    /// The fields but those that the gateway itself adds.
    pub(crate) fn others(&self) -> Vec<(&str, &str)> {
        self.lines().filter(|(name, _)| !["via", "date", "cache-status", "age"].contains(name)).collect()
    }

    fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0[1..].iter().map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
    }
}
