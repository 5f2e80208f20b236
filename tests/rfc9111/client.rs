//! A client that reads responses exactly as they come over the wire.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::case::Fields;
use crate::message::{self, Head};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    /// The heads of the responses before the final one.
    pub(crate) interim: Vec<Head>,
    pub(crate) head: Head,
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) trailers: Fields,
}

/// Sends a request's bytes on a connection of its own and reads the answer. An error tells of one that broke, came
/// late, or isn't HTTP.
pub(crate) async fn ask(address: SocketAddr, request: &str) -> io::Result<Reply> {
    let is_head = request.starts_with("HEAD ");
    let answered = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut reader = BufReader::new(stream);
        let mut reply = Reply::default();
        loop {
            let head = message::head(&mut reader).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            reply.status = status(&head.start)?;
            if reply.status >= 200 {
                reply.head = head;
                break;
            }
            reply.interim.push(head);
        }
        if !is_head && !matches!(reply.status, 204 | 304) {
            (reply.body, reply.trailers) = message::body(&mut reader, &reply.head, true).await?;
        }
        Ok(reply)
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

pub(crate) fn status(line: &str) -> io::Result<u16> {
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("a status line: {line}")))
}
