//! A handle behind a proxy, with two services over the same entries: one whose reads are strict.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Response;
use http::{Method, Uri};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{CacheTags, Policy, PurgeError, Purged, QueryCache, RedisConfig};

use crate::support::history::{About, History};
use crate::support::http::text;
use crate::support::proxy::Proxy;
use crate::support::site::{Answer, MINUTE, Req, request};
use crate::support::{RedisServer, http as answers};

const PAGES: [&str; 2] = ["/0", "/1"];

pub(crate) struct Node {
    pub(crate) cache: QueryCache,
    pub(crate) proxy: Option<Proxy>,
    number: usize,
    history: Arc<History>,
    services: [BoxCloneSyncService<Req, Answer, Infallible>; 2],
}

impl Node {
    /// A node that knows the journal.
    pub(crate) async fn start(
        server: &RedisServer,
        namespace: &str,
        number: usize,
        history: &Arc<History>,
        proxied: bool,
    ) -> Self {
        let proxy = proxied.then(|| Proxy::start(server.port()));
        let mut config = RedisConfig::new(proxy.as_ref().map_or_else(|| server.url(), Proxy::url));
        config.partition_grace = Duration::from_secs(1);
        config.lookup_timeout = Duration::from_secs(1);
        let cache = QueryCache::builder().namespace(namespace).redis(config).build().unwrap();
        assert!(cache.ready(MINUTE).await, "the node isn't ready");
        let services = [Policy::ttl(MINUTE), Policy::ttl(MINUTE).strict()].map(|policy| {
            let history = Arc::clone(history);
            let inner = service_fn(move |request: Req| {
                let history = Arc::clone(&history);
                async move {
                    let fill = history.fill();
                    // As long as the work takes that is cached.
                    tokio::time::sleep(Duration::from_millis(fill as u64 * 7 % 6)).await;
                    let mut response: Response<_> = answers::ok(fill.to_string());
                    response.extensions_mut().insert(CacheTags::new(["pages", &request.uri().path()[1..]]));
                    Ok::<_, Infallible>(response)
                }
            });
            BoxCloneSyncService::new(ServiceBuilder::new().layer(cache.layer(policy)).service(inner))
        });
        Self { cache, proxy, number, history: Arc::clone(history), services }
    }

    /// Reads a page; the number of the fill that answered.
    pub(crate) async fn read(&self, page: usize, strict: bool) -> usize {
        let begun = self.history.now();
        let service = self.services[usize::from(strict)].clone();
        let answer = service.oneshot(request(Method::GET, PAGES[page], &[], "")).await.unwrap();
        let fill = text(answer).await.parse().unwrap();
        self.history.read(self.number, strict, page, begun, fill);
        fill
    }

    pub(crate) async fn purge(&self, about: About, soft: bool) -> Result<Purged, PurgeError> {
        let number = self.history.purge(self.number, about);
        let purge = match about {
            About::All => self.cache.purge_all(),
            About::Pages => self.cache.purge_tag("pages"),
            About::Page(0) => self.cache.purge_tag("0"),
            About::Page(page) => self.cache.purge_url(&Uri::from_static(PAGES[page])),
        };
        let purged = if soft { purge.soft().await } else { purge.await };
        self.history.purged(number, purged.is_ok());
        purged
    }

    pub(crate) async fn stop(self) {
        self.cache.shutdown().await;
        if let Some(proxy) = self.proxy {
            // Its thread is waited for.
            tokio::task::spawn_blocking(move || drop(proxy)).await.unwrap();
        }
    }
}
