//! What can go wrong between the gateway and its upstream.

use std::io;

use http::StatusCode;

/// Why there is no response, or no whole one, from the upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    /// No connection could be made.
    #[error("the upstream can't be reached")]
    Connect(#[source] io::Error),
    /// No connection was made in time.
    #[error("the upstream can't be reached in time")]
    ConnectTimeout,
    /// The head of a response, or the next part of its body, didn't come in time.
    #[error("the upstream doesn't answer in time")]
    Timeout,
    /// The connection was closed, or what came over it wasn't a valid response.
    #[error("the upstream gave no valid response")]
    Response(#[source] hyper::Error),
    /// A 101 to a request that had no `Upgrade`.
    #[error("the upstream switched protocols unasked")]
    Switched,
    /// The next part of a request's body didn't come from the client in time.
    #[error("the request's body doesn't come in time")]
    RequestTimeout,
    /// The client's request ended before its end.
    #[error("the request's body is broken")]
    RequestBody(#[source] hyper::Error),
}

impl From<hyper::Error> for GatewayError {
    fn from(error: hyper::Error) -> Self {
        // To hyper's client, the body that it sends is its user's.
        if error.is_user() { Self::RequestBody(error) } else { Self::Response(error) }
    }
}

impl GatewayError {
    /// The status that tells the client of it.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Connect(_) | Self::Response(_) | Self::Switched => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::RequestBody(_) => StatusCode::BAD_REQUEST,
        }
    }
}
