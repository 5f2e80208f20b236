//! Filling the cache before users ask.

use std::future::poll_fn;
use std::pin::pin;

use futures_util::StreamExt as _;
use futures_util::stream;
use http::{Request, Response};
use http_body::Body;
use tower::ServiceExt as _;
use tower_service::Service;

use crate::cache::QueryCache;

/// Requests under way at once.
const CONCURRENT: usize = 8;

/// What became of the requests of [`QueryCache::warm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warmed {
    /// Answered, with a whole body. `Cache-Status` would tell which are stored.
    pub answered: usize,
    /// Ended by an error of the service or of the body.
    pub failed: usize,
}

impl QueryCache {
    /// Sends `requests` through `service`, eight at a time, and reads each answer to its end: memory has it then, and Redis
    /// soon after.
    ///
    /// `service` is one with a layer of this handle on it; the requests should look as users' will, because their
    /// fields are part of the key.
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::{Empty, Full};
    /// # use tower::{ServiceBuilder, service_fn};
    /// # use tower_query_cache::{Policy, QueryCache};
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let handler = service_fn(|_: Request<Empty<Bytes>>| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("page")))) });
    /// let cache = QueryCache::builder().build()?;
    /// let service = ServiceBuilder::new().layer(cache.layer(Policy::ttl(Duration::from_secs(60)))).service(handler);
    /// let pages = ["/", "/about"].map(|path| Request::get(path).body(Empty::new()).unwrap());
    /// assert_eq!(cache.warm(service, pages).await.answered, 2);
    /// # Ok(()) }
    /// ```
    pub async fn warm<S, B, R>(&self, service: S, requests: impl IntoIterator<Item = Request<B>>) -> Warmed
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
        R: Body,
    {
        let answers = stream::iter(requests).map(|request| {
            let service = service.clone();
            async move {
                let Ok(response) = service.oneshot(request).await else { return false };
                let mut body = pin!(response.into_body());
                while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                    if frame.is_err() {
                        return false;
                    }
                }
                true
            }
        });
        let mut warmed = Warmed::default();
        let mut answers = pin!(answers.buffer_unordered(CONCURRENT));
        while let Some(whole) = answers.next().await {
            *(if whole { &mut warmed.answered } else { &mut warmed.failed }) += 1;
        }
        warmed
    }
}
