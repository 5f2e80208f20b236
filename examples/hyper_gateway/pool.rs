//! Connections to the upstream.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval, timeout};

use crate::error::GatewayError;
use crate::informational::Relay;
use crate::server::{MAX_FIELDS, MAX_HEAD};
use crate::upload::{Awaited, Upload};
use crate::upstream::Address;
use crate::upstream_stream::{Socket, UpstreamStream};

/// Connections that are kept for later requests.
const MAX_IDLE: usize = 64;
/// How long a connection is kept without a request. Servers keep theirs for five seconds and more.
const IDLE: Duration = Duration::from_secs(4);
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// For how many times the patience, since the first interim response, others extend it.
const INTERIM: u32 = 3;

/// How long the head of a response may take in all, from the last of its request on, with all interim responses before it.
pub(crate) const fn longest(patience: Duration) -> Duration {
    patience.saturating_mul(INTERIM + 2)
}

/// Connections to one upstream: each serves a request at a time, and several requests one after the other.
pub(crate) struct Pool<B> {
    address: Address,
    /// How long the head of a response may take, from the last of its request or the last interim response on.
    patience: Duration,
    idle: Mutex<Vec<Idle<B>>>,
}

/// A connection, for as long as its task drives it.
struct Connection<B> {
    /// What it takes requests by.
    sender: SendRequest<Upload<B>>,
    socket: Socket,
    /// The task that drives it.
    driver: AbortHandle,
}

impl<B> Connection<B> {
    /// Whether nothing came that wasn't asked for: neither bytes nor the end.
    fn is_quiet(&self) -> bool {
        !self.sender.is_closed() && self.socket.is_quiet()
    }
}

/// A connection whose answer is waited for. Dropped before that, it is closed at once: hyper would wait until all that it began
/// to write is read.
struct Unanswered(Option<AbortHandle>);

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(driver) = &self.0 {
            driver.abort();
        }
    }
}

/// A connection that waits for its next request.
struct Idle<B> {
    connection: Connection<B>,
    since: Instant,
}

impl<B> Idle<B> {
    fn is_usable(&self) -> bool {
        self.since.elapsed() < IDLE && self.connection.is_quiet()
    }
}

impl<B: Send + 'static> Pool<B> {
    /// An empty pool, and the task that closes what is idle for too long. The task ends with the pool.
    pub(crate) fn new(address: Address, patience: Duration) -> Arc<Self> {
        let pool = Arc::new(Self { address, patience, idle: Mutex::default() });
        let weak = Arc::downgrade(&pool);
        tokio::spawn(async move {
            let mut ticks = interval(IDLE / 3);
            loop {
                ticks.tick().await;
                let Some(pool) = weak.upgrade() else { break };
                pool.idle().retain(Idle::is_usable);
            }
        });
        pool
    }
}

impl<B> Pool<B> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Pool<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Sends a request and waits for the head of its response.
    ///
    /// An interim response shows that the upstream is at work, so the time for the head begins anew with it, within
    /// [`longest`]. It goes on through `relay`.
    ///
    /// A request goes out once. Only where hyper gives it back, having written no byte of it, another connection is tried:
    /// the upstream had closed that one while it was idle.
    ///
    /// # Errors
    ///
    /// [`GatewayError`], where there is no response.
    pub(crate) async fn send(
        self: Arc<Self>,
        request: Request<B>,
        relay: Option<Relay>,
    ) -> Result<Response<Incoming>, GatewayError> {
        let (parts, body) = request.into_parts();
        let (body, mut moved, interim) = Upload::new(body);
        let mut request = Request::from_parts(parts, body);
        let (first, most) = (OnceLock::new(), self.patience.saturating_mul(INTERIM));
        hyper::ext::on_informational(&mut request, move |response| {
            if first.get_or_init(Instant::now).elapsed() < most {
                interim.moved();
            }
            if let Some(relay) = &relay {
                relay.send(response.status(), response.headers());
            }
        });
        loop {
            let (mut connection, reused) = match self.take() {
                Some(connection) => (connection, true),
                None => (self.connect().await?, false),
            };
            let mut unanswered = Unanswered(Some(connection.driver.clone()));
            let answered = self.answer(connection.sender.try_send_request(request), &mut moved).await?;
            unanswered.0 = None;
            match answered {
                // Without an `Upgrade` in the request there is nothing to switch to.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(GatewayError::Switched);
                }
                Ok(response) => {
                    // To an HTTP/1.0 server, hyper sends no body of unknown length.
                    if response.version() == Version::HTTP_11 {
                        self.keep(connection);
                    }
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    /// Waits for `sent`, and no longer than it may take.
    async fn answer<T>(
        &self,
        sent: impl Future<Output = T>,
        moved: &mut watch::Receiver<Awaited>,
    ) -> Result<T, GatewayError> {
        let mut sent = pin!(sent);
        loop {
            tokio::select! {
                answered = &mut sent => return Ok(answered),
                changed = timeout(self.patience, moved.changed()) => match changed {
                    Ok(Ok(())) => {}
                    // All of the request is sent.
                    Ok(Err(_)) => break,
                    Err(_) => return Err(match *moved.borrow() {
                        Awaited::Client => GatewayError::RequestTimeout,
                        Awaited::Upstream => GatewayError::Timeout,
                    }),
                },
            }
        }
        timeout(self.patience, sent).await.map_err(|_| GatewayError::Timeout)
    }

    /// The connection that was idle for the shortest time.
    fn take(&self) -> Option<Connection<B>> {
        let mut idle = self.idle();
        while let Some(last) = idle.pop() {
            if last.is_usable() {
                return Some(last.connection);
            }
        }
        None
    }

    async fn connect(&self) -> Result<Connection<B>, GatewayError> {
        let stream = timeout(CONNECT, TcpStream::connect(self.address.socket()))
            .await
            .map_err(|_| GatewayError::ConnectTimeout)?
            .map_err(GatewayError::Connect)?;
        stream.set_nodelay(true).map_err(GatewayError::Connect)?;
        let stream = UpstreamStream::new(stream);
        let socket = stream.socket();
        let (sender, connection) = Builder::new()
            .max_headers(MAX_FIELDS)
            .max_buf_size(MAX_HEAD)
            // RFC 9112 §5.1 and §5.2: a gateway removes the one and replaces the other.
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(stream))
            .await?;
        // Its error is told to the request that it concerns.
        let driver = tokio::spawn(connection).abort_handle();
        Ok(Connection { sender, socket, driver })
    }

    /// Keeps a connection once the response on it is whole. One that is closed, by either side, isn't; nor is one on which
    /// more came than the response's length: hyper closes that.
    fn keep(self: &Arc<Self>, mut connection: Connection<B>) {
        let pool = Arc::downgrade(self);
        tokio::spawn(async move {
            if connection.sender.ready().await.is_err() {
                return;
            }
            if let Some(pool) = pool.upgrade() {
                let mut idle = pool.idle();
                if idle.len() < MAX_IDLE {
                    idle.push(Idle { connection, since: Instant::now() });
                }
            }
        });
    }
}
