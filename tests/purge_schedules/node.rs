//! A handle behind a proxy, with two services over the same entries: one whose reads are strict.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Response;
use bytes::Bytes;
use http::{Method, Uri};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};
use tower_query_cache::{
    CacheTags, JournalId, Policy, PurgeError, Purged, QueryCache, RedisConfig, RedisStore,
};

use crate::broken::{Break, BrokenStore};
use crate::random::Random;
use crate::support::eventually_within;
use crate::support::history::{About, Event, Fill, GRACE, History, Moment, Purge, Read};
use crate::support::http::{self as answers, text};
use crate::support::proxy::{Fault, Proxy};
use crate::support::site::{Answer, MINUTE, Req, request, stats};

/// The pages that are read, and purged by their tags, all the while.
pub(crate) const PAGES: usize = 2;

/// The page by which nodes show what they know.
pub(crate) const MARKER: usize = 2;

const PATHS: [&str; PAGES + 1] = ["/0", "/1", "/marker"];

/// How long a node may take to be back, with all of its waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a node is left alone to come back.
const ALONE: Duration = Duration::from_millis(300);

/// Later than any node may hear of a purge.
const TOO_LONG: Duration = Duration::from_secs(8);

/// What a node is to be.
pub(crate) struct Setup<'a> {
    /// The server's port.
    pub(crate) port: u16,
    pub(crate) namespace: &'a str,
    pub(crate) number: usize,
    pub(crate) seed: u64,
    /// Whether there is a proxy before the server.
    pub(crate) proxied: bool,
    /// How its journal is broken.
    pub(crate) broken: Option<Break>,
}

/// A purge of the marker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Marked {
    pub(crate) begun: Moment,
    /// Its two parts.
    pub(crate) id: (u64, u64),
    pub(crate) returned: Moment,
}

pub(crate) struct Node {
    pub(crate) proxy: Option<Proxy>,
    port: u16,
    purger: Purger,
    services: [BoxCloneSyncService<Req, Answer, Infallible>; 2],
}

/// What purges, from outside or inside of a fill.
#[derive(Clone)]
struct Purger {
    cache: QueryCache,
    number: usize,
    history: Arc<History>,
}

impl Purger {
    async fn purge(&self, about: About, soft: bool) -> (Moment, Result<Purged, PurgeError>) {
        let begun = Moment::now();
        let purge = match about {
            About::All => self.cache.purge_all(),
            About::Pages => self.cache.purge_tag("pages"),
            About::Page(0) => self.cache.purge_tag(&PATHS[0][1..]),
            About::Page(page) => self.cache.purge_url(&Uri::from_static(PATHS[page])),
        };
        let purged = if soft { purge.soft().await } else { purge.await };
        let (node, returned, ok) = (self.number, Moment::now(), purged.is_ok());
        self.history.add(Event::Purge(Purge { node, about, begun, returned, ok }));
        (begun, purged)
    }

    /// The service: it takes its time, and purges now and then what it is about to answer.
    async fn fill(
        self,
        request: Req,
        random: Arc<Mutex<Random>>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let begun = Moment::now();
        let path = request.uri().path();
        let page = PATHS.iter().position(|known| *known == path).unwrap();
        let (before, behind, purges, soft) = {
            let mut random = random.lock().unwrap();
            (random.below(4), random.below(4), page != MARKER && random.once_in(16), random.once_in(3))
        };
        sleep(Duration::from_millis(before)).await;
        if purges {
            self.purge(About::Page(page), soft).await.1.ok();
        }
        sleep(Duration::from_millis(behind)).await;
        let mut response = answers::ok(Fill { begun, ended: Moment::now() }.to_string());
        response.extensions_mut().insert(CacheTags::new(["pages", &path[1..]]));
        Ok(response)
    }
}

impl Node {
    /// A node that knows the journal.
    pub(crate) async fn start(setup: &Setup<'_>, history: &Arc<History>) -> Self {
        let proxy = setup.proxied.then(|| Proxy::start(setup.port));
        let url = proxy.as_ref().map_or_else(|| format!("redis://127.0.0.1:{}", setup.port), Proxy::url);
        let mut config = RedisConfig::new(url);
        config.partition_grace = GRACE;
        config.lookup_timeout = Duration::from_secs(1);
        let mut builder = QueryCache::builder().namespace(setup.namespace).redis(config.clone());
        if let Some(what) = setup.broken {
            let store = RedisStore::new(&config, setup.namespace).unwrap();
            builder = builder.store(Arc::new(BrokenStore::new(store, what)));
        }
        let cache = builder.build().unwrap();
        assert!(cache.ready(MINUTE).await, "the node isn't ready");
        let seed = setup.seed.wrapping_mul(8).wrapping_add(setup.number as u64);
        let random = Arc::new(Mutex::new(Random::new(seed)));
        let purger = Purger { cache: cache.clone(), number: setup.number, history: Arc::clone(history) };
        let services = [Policy::ttl(MINUTE), Policy::ttl(MINUTE).strict()].map(|policy| {
            let (purger, random) = (purger.clone(), Arc::clone(&random));
            let inner = service_fn(move |request| purger.clone().fill(request, Arc::clone(&random)));
            BoxCloneSyncService::new(ServiceBuilder::new().layer(cache.layer(policy)).service(inner))
        });
        Self { proxy, port: setup.port, purger, services }
    }

    /// Reads a page; when the fill began that answered.
    pub(crate) async fn read(&self, page: usize, strict: bool) -> Moment {
        let begun = Moment::now();
        let service = self.services[usize::from(strict)].clone();
        let answer = service.oneshot(request(Method::GET, PATHS[page], &[], "")).await.unwrap();
        let stored = answers::cache_status(&answer).ends_with("stored");
        let fill = Fill::parse(&text(answer).await).unwrap();
        let node = self.purger.number;
        self.purger.history.add(Event::Read(Read { node, strict, page, begun, fill, stored }));
        fill.begun
    }

    pub(crate) async fn purge(&self, about: About, soft: bool) -> bool {
        self.purger.purge(about, soft).await.1.is_ok()
    }

    /// Purges the marker, as often as it takes.
    pub(crate) async fn mark(&self) -> Marked {
        loop {
            let (begun, purged) = self.purger.purge(About::Page(MARKER), false).await;
            if let Ok(purged) = purged {
                return Marked { begun, id: (purged.id.ms, purged.id.seq), returned: Moment::now() };
            }
            // Its lanes come back with requests.
            self.read(MARKER, false).await;
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Reads the marker until that was filled after `old`; the moment. If that takes too long, it is for the checker to say so.
    pub(crate) async fn renews(&self, old: Moment) -> Moment {
        let started = Moment::now();
        while self.read(MARKER, false).await <= old {
            match started.elapsed() {
                waited if waited > TOO_LONG => break,
                waited if waited > ALONE => sleep(Duration::from_millis(5)).await,
                _ => tokio::task::yield_now().await,
            }
        }
        Moment::now()
    }

    /// Waits until it knows of that purge. That its marker is new doesn't show it: an earlier purge may have taken that.
    pub(crate) async fn knows(&self, marked: &Marked) {
        let marked_id = JournalId::new(marked.id.0, marked.id.1);
        self.comes_to("id", |id| JournalId::parse(id.as_str().unwrap()).unwrap() >= marked_id).await;
        let (node, at, of) = (self.purger.number, Moment::now(), marked.begun);
        self.purger.history.add(Event::Heard { node, at, of });
    }

    /// Waits until that is so of one of the journal's figures. If it takes long, requests go on, which start the circuit breaker's
    /// probes; but a node that is asked may learn from the journal what its tail has missed.
    async fn comes_to(&self, name: &str, is_so: impl Fn(&Value) -> bool) {
        let started = Moment::now();
        eventually_within(PATIENCE, name, || async {
            if started.elapsed() > ALONE {
                self.read(MARKER, false).await;
            }
            is_so(&stats(&self.purger.cache).await["journal"][name])
        })
        .await;
    }

    /// Whatever was done to its connections is over.
    pub(crate) fn heal(&self) {
        let Some(proxy) = &self.proxy else { return };
        proxy.inject(Fault::None);
        proxy.switch(self.port);
        proxy.reset_lost();
    }

    /// Waits until it follows the journal, which has all that it purged, and has the marker. Nothing may be purged meanwhile.
    pub(crate) async fn follows(&self) {
        self.comes_to("followed", |followed| *followed == true).await;
        self.comes_to("pending", |pending| *pending == 0).await;
        self.purger.history.add(Event::Replayed { node: self.purger.number, at: Moment::now() });
        self.read(MARKER, false).await;
    }

    pub(crate) async fn stop(self) {
        self.purger.cache.shutdown().await;
        if let Some(proxy) = self.proxy {
            // Its thread is waited for.
            tokio::task::spawn_blocking(move || drop(proxy)).await.unwrap();
        }
    }
}
