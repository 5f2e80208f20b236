//! Real loopback sockets: a hyper server, a pooled client, and HTTP/1.1 by hand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower_service::Service;

/// A hyper server on a free loopback port. Dropped, it is gone with its connections.
pub struct HyperServer {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl HyperServer {
    /// Serves `service` over HTTP/1.1.
    pub async fn start<S, R>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: std::error::Error + Send + Sync,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                let service = TowerToHyperService::new(service.clone());
                served.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, connections, _tasks: tasks }
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A pooled client.
pub fn client<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

/// A whole answer that came over a socket.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    /// A field's value, or nothing.
    pub fn field(&self, name: &str) -> &str {
        super::http::field(&self.headers, name)
    }

    /// Whether the answer came from the cache.
    pub fn is_hit(&self) -> bool {
        self.field("cache-status").starts_with("tower-query-cache; hit; ttl=")
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }
}

/// Sends a request to a server and reads its whole answer.
pub async fn fetch(address: SocketAddr, method: Method, target: &str, body: &str) -> Reply {
    fetch_with(address, method, target, &[], body).await
}

/// [`fetch`] with fields.
pub async fn fetch_with(
    address: SocketAddr,
    method: Method,
    target: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{target}"))
        .header("content-type", "application/json");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    let answered = async {
        let (parts, body) = client().request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    };
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, answered).await.expect("an answer in time")
}

/// A connection on which HTTP/1.1 is spoken by hand.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Connects.
    pub async fn connect(address: SocketAddr) -> Self {
        Self(BufReader::new(TcpStream::connect(address).await.unwrap()))
    }

    /// Sends a request without a body.
    pub async fn ask(&mut self, method: &str, target: &str) {
        self.ask_with(method, target, "").await;
    }

    /// Sends a request with further field lines, each ended by CRLF.
    pub async fn ask_with(&mut self, method: &str, target: &str, fields: &str) {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: site\r\n{fields}\r\n");
        self.0.get_mut().write_all(request.as_bytes()).await.unwrap();
    }

    /// The status line and the fields of the next answer, in small letters, a line each.
    pub async fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).await.unwrap(), 0, "the connection ended: {head}");
        }
        head.to_ascii_lowercase()
    }

    /// The next chunk of a chunked body; empty at its end.
    pub async fn chunk(&mut self) -> String {
        let mut size = String::new();
        self.0.read_line(&mut size).await.unwrap();
        let chunk = self.bytes(usize::from_str_radix(size.trim_end(), 16).unwrap()).await;
        assert_eq!(self.bytes(2).await, "\r\n");
        chunk
    }

    /// The next `length` bytes.
    pub async fn bytes(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }
}
