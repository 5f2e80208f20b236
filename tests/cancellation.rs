//! The cancellation matrix: the first client hangs up at each point where a fill waits, as a future that is dropped and
//! as a socket that closes, with followers that wait by then and followers that come after. They get whole answers, from
//! one call of the inner service, and what was filled reaches the shared tier.
#![cfg(feature = "redis")]

mod support;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use support::http::{cache_status, get_with, text};
use support::net::{HyperServer, Wire};
use support::site::{MINUTE, stats};
use support::{Hoard, eventually, eventually_async};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::timeout;
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt as _};
use tower_layer::Layer as _;
use tower_query_cache::{
    Cache, Key, LimitsConfig, Policy, PoolStatus, QueryCache, RedisConfig, Store, StoreFuture, StoreStatus,
};

const HALF: &str = "one half, ";
const REST: &str = "and the other";
const FOLLOWERS: usize = 3;

/// Where a fill waits, in the order of its way. At each there is a gate that the test opens.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Lookup,
    NotReady,
    Called,
    HeadSent,
    HalfABody,
    Committing,
    Writing,
}

const STAGES: [Stage; 7] = [
    Stage::Lookup,
    Stage::NotReady,
    Stage::Called,
    Stage::HeadSent,
    Stage::HalfABody,
    Stage::Committing,
    Stage::Writing,
];

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lookup => "lookup under way",
            Self::NotReady => "inner service not ready",
            Self::Called => "inner service pending",
            Self::HeadSent => "head sent, body pending",
            Self::HalfABody => "half a body",
            Self::Committing => "committing",
            Self::Writing => "shared tier's write under way",
        })
    }
}

/// Stops whoever comes until it is opened.
struct Gate {
    arrived: AtomicUsize,
    open: Semaphore,
}

impl Gate {
    async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        drop(self.open.acquire().await.expect("never closed"));
    }

    fn arrived(&self) -> usize {
        self.arrived.load(Ordering::SeqCst)
    }
}

struct Gates([Gate; STAGES.len()]);

impl Gates {
    fn closed() -> Arc<Self> {
        let gate = |_| Gate { arrived: AtomicUsize::new(0), open: Semaphore::new(0) };
        Arc::new(Self(STAGES.map(gate)))
    }

    fn at(&self, stage: Stage) -> &Gate {
        &self.0[stage as usize]
    }

    fn open(&self, stage: Stage) {
        self.at(stage).open.add_permits(1);
    }
}

/// A shared tier with a gate before lookups and one before writes.
struct GatedStore {
    hoard: Hoard,
    gates: Arc<Gates>,
}

impl Store for GatedStore {
    fn get<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, Option<Bytes>> {
        Box::pin(async {
            self.gates.at(Stage::Lookup).pass().await;
            self.hoard.get(key).await
        })
    }

    fn set<'a>(&'a self, key: &'a Key, value: Bytes, life: std::time::Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.gates.at(Stage::Writing).pass().await;
            self.hoard.set(key, value, life).await
        })
    }

    fn remove<'a>(&'a self, key: &'a Key) -> StoreFuture<'a, ()> {
        self.hoard.remove(key)
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        self.hoard.ready()
    }

    fn status(&self) -> StoreFuture<'_, StoreStatus> {
        self.hoard.status()
    }

    fn pool(&self) -> PoolStatus {
        self.hoard.pool()
    }
}

type OriginBody = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// The inner service: a gate before it is ready, before its head, and before each half of its body.
struct Origin {
    gates: Arc<Gates>,
    calls: Arc<AtomicUsize>,
    readiness: Option<BoxFuture<'static, ()>>,
}

impl Clone for Origin {
    fn clone(&self) -> Self {
        Self { gates: Arc::clone(&self.gates), calls: Arc::clone(&self.calls), readiness: None }
    }
}

impl<B> Service<Request<B>> for Origin {
    type Response = Response<OriginBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let gates = &self.gates;
        let readiness = self.readiness.get_or_insert_with(|| {
            let gates = Arc::clone(gates);
            Box::pin(async move { gates.at(Stage::NotReady).pass().await })
        });
        ready!(readiness.as_mut().poll(cx));
        self.readiness = None;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let gates = Arc::clone(&self.gates);
        Box::pin(async move {
            gates.at(Stage::Called).pass().await;
            let halves = stream::iter([(Stage::HeadSent, HALF), (Stage::HalfABody, REST)]);
            let frames = halves.then(move |(stage, half)| {
                let gates = Arc::clone(&gates);
                async move {
                    gates.at(stage).pass().await;
                    Ok(Frame::data(Bytes::from_static(half.as_bytes())))
                }
            });
            Ok(Response::new(StreamBody::new(frames.boxed())))
        })
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The cached service as a client meets it. The first client reads half a body and no more, and is counted while it is
/// there.
#[derive(Clone)]
struct Entrance {
    cached: Cache<Origin>,
    first: Option<Arc<AtomicUsize>>,
}

impl<B: Body + Send + 'static> Service<Request<B>> for Entrance {
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let present = self.first.as_ref().map(Present::new);
        let answer = self.cached.call(request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| match present {
                Some(present) => {
                    Stalling { body: body.boxed_unsync(), stalled: false, _present: present }.boxed_unsync()
                }
                None => body.boxed_unsync(),
            }))
        })
    }
}

/// Counts as one until it is dropped.
struct Present(Arc<AtomicUsize>);

impl Present {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body that nobody reads on after its first frame, as of a client whose window is full.
struct Stalling {
    body: UnsyncBoxBody<Bytes, Infallible>,
    stalled: bool,
    _present: Present,
}

impl Body for Stalling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.stalled {
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.stalled = true;
        Poll::Ready(frame)
    }
}

/// How a client reaches the service, and so how it hangs up.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Future,
    Socket,
}

enum Door {
    Call(BoxCloneService<Request<Empty<Bytes>>, Answer, Infallible>),
    Connect(HyperServer),
}

impl Door {
    async fn new(way: Way, entrance: Entrance) -> Self {
        match way {
            Way::Future => Self::Call(BoxCloneService::new(entrance)),
            Way::Socket => Self::Connect(HyperServer::start(entrance).await),
        }
    }

    /// Sends a client in.
    fn enter(&self) -> Client {
        let seen = Arc::new(AtomicUsize::new(0));
        let task = match self {
            Self::Call(service) => tokio::spawn(call(service.clone(), Arc::clone(&seen))),
            Self::Connect(server) => tokio::spawn(connect(server.address, Arc::clone(&seen))),
        };
        Client { task, seen }
    }
}

/// A client, and what it has: 1 for the head, and the bytes of the body. Aborted, it drops what it holds.
struct Client {
    task: JoinHandle<String>,
    seen: Arc<AtomicUsize>,
}

async fn call(
    service: BoxCloneService<Request<Empty<Bytes>>, Answer, Infallible>,
    seen: Arc<AtomicUsize>,
) -> String {
    let answer = service.oneshot(get_with("/x", &[("host", "site")])).await.unwrap();
    seen.fetch_add(1, Ordering::SeqCst);
    let (mut body, mut text) = (pin!(answer.into_body()), String::new());
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&data).unwrap());
        seen.fetch_add(data.len(), Ordering::SeqCst);
    }
    text
}

async fn connect(address: SocketAddr, seen: Arc<AtomicUsize>) -> String {
    let mut wire = Wire::connect(address).await;
    wire.ask("GET", "/x").await;
    let head = wire.head().await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    seen.fetch_add(1, Ordering::SeqCst);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        return wire.bytes(length.parse().unwrap()).await;
    }
    let mut text = String::new();
    loop {
        let chunk = wire.chunk().await;
        if chunk.is_empty() {
            return text;
        }
        seen.fetch_add(chunk.len(), Ordering::SeqCst);
        text.push_str(&chunk);
    }
}

/// One cell of the matrix.
struct Scene {
    name: String,
    stage: Stage,
    gates: Arc<Gates>,
    cache: QueryCache,
}

impl Scene {
    /// Lets the fill go on until it waits at `stage`, with everything that came before it received by `first`.
    async fn advance(&self, from: Stage, to: Stage, first: &Client) {
        for stage in STAGES.into_iter().filter(|stage| from <= *stage && *stage < to) {
            self.arrive(stage, first).await;
            self.gates.open(stage);
        }
        self.arrive(to, first).await;
    }

    async fn arrive(&self, stage: Stage, first: &Client) {
        let received = match stage {
            Stage::Lookup | Stage::NotReady | Stage::Called => 0,
            Stage::HeadSent => 1,
            Stage::HalfABody | Stage::Committing | Stage::Writing => 1 + HALF.len(),
        };
        eventually(&format!("{}: arrival at: {stage}", self.name), || {
            self.gates.at(stage).arrived() > 0 && first.seen.load(Ordering::SeqCst) == received
        })
        .await;
    }

    /// Sends followers in, and waits until all of them wait.
    async fn follow(&self, door: &Door) -> Vec<Client> {
        let followers = (0..FOLLOWERS).map(|_| door.enter()).collect();
        let looked = || self.gates.at(Stage::Lookup).arrived() == 1 + FOLLOWERS;
        match self.stage {
            Stage::Lookup => eventually(&format!("{}: followers look, too", self.name), looked).await,
            _ => {
                eventually_async(&format!("{}: followers wait", self.name), || async {
                    stats(&self.cache).await["flights"]["waiters"] == FOLLOWERS
                })
                .await;
            }
        }
        followers
    }
}

fn handle(store: Arc<GatedStore>) -> QueryCache {
    // Time limits that the test's own patience ends before.
    let mut times = RedisConfig::default();
    times.lookup_timeout = MINUTE;
    let mut limits = LimitsConfig::default();
    limits.coalesce_timeout = MINUTE;
    QueryCache::builder().store(store).redis(times).limits(limits).build().unwrap()
}

/// Plays a cell, and gives its line of the table.
async fn play(stage: Stage, way: Way, before: bool) -> String {
    let hang_up = if way == Way::Future { "future dropped" } else { "socket closed" };
    let followers = if before { "wait already" } else { "come after" };
    let name = format!("{stage:<30} {hang_up:<15} {followers:<13}");

    let gates = Gates::closed();
    let store = Arc::new(GatedStore { hoard: Hoard::open(), gates: Arc::clone(&gates) });
    let cache = handle(Arc::clone(&store));
    let calls = Arc::new(AtomicUsize::new(0));
    let origin = Origin { gates: Arc::clone(&gates), calls: Arc::clone(&calls), readiness: None };
    let committing = Arc::clone(&gates);
    let policy = Policy::ttl(MINUTE).store_if(move |_, _| {
        block_in_place(|| Handle::current().block_on(committing.at(Stage::Committing).pass()));
        true
    });
    let cached = cache.layer(policy.clone()).layer(origin.clone());
    let present = Arc::new(AtomicUsize::new(0));
    let firsts = Door::new(way, Entrance { cached: cached.clone(), first: Some(Arc::clone(&present)) }).await;
    let others = Door::new(way, Entrance { cached, first: None }).await;
    let scene = Scene { name, stage, gates, cache };
    let Scene { name, gates, cache, .. } = &scene;

    // Nobody waits for a write: who shall follow must have joined before.
    let joined = if stage == Stage::Writing { Stage::Committing } else { stage };
    let first = firsts.enter();
    scene.advance(Stage::Lookup, joined, &first).await;
    let mut clients = Vec::new();
    if before {
        clients = scene.follow(&others).await;
    }
    scene.advance(joined, stage, &first).await;

    assert_eq!(present.load(Ordering::SeqCst), 1, "{name}: the first client is there");
    first.task.abort();
    eventually(&format!("{name}: the hang-up is noticed"), || present.load(Ordering::SeqCst) == 0).await;
    assert!(first.task.await.unwrap_err().is_cancelled(), "{name}");

    if !before {
        clients = match stage {
            Stage::Writing => (0..FOLLOWERS).map(|_| others.enter()).collect(),
            _ => scene.follow(&others).await,
        };
    }
    STAGES
        .into_iter()
        .filter(|gate| stage <= *gate && *gate < Stage::Writing)
        .for_each(|gate| gates.open(gate));
    let mut whole = 0;
    for client in clients {
        let answer =
            timeout(MINUTE, client.task).await.unwrap_or_else(|_| panic!("{name}: a follower hangs"));
        whole += usize::from(answer.unwrap() == [HALF, REST].concat());
    }
    let calls = calls.load(Ordering::SeqCst);
    assert_eq!((whole, calls), (FOLLOWERS, 1), "{name}: whole answers and calls");

    // The answers didn't wait for the write, and the hang-up didn't end it.
    eventually(&format!("{name}: the write begins"), || gates.at(Stage::Writing).arrived() == 1).await;
    assert_eq!(store.hoard.len(), 0, "{name}");
    gates.open(Stage::Writing);
    timeout(MINUTE, cache.settled()).await.unwrap_or_else(|_| panic!("{name}: it doesn't settle"));
    let figures = stats(cache).await;
    for figure in ["fills", "waiters", "orphan_fills", "recording_bytes"] {
        assert_eq!(figures["flights"][figure], 0, "{name}: {figures}");
    }
    let elsewhere = handle(store).layer(policy).layer(origin);
    let found = elsewhere.oneshot(get_with("/x", &[("host", "site")])).await.unwrap();
    assert!(cache_status(&found).starts_with("tower-query-cache; hit"), "{name}: {:?}", found.headers());
    assert_eq!(text(found).await, [HALF, REST].concat(), "{name}");
    format!("{name} {whole}/{FOLLOWERS} whole  {calls} call")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hang_up_of_the_first_client_changes_nothing_for_its_followers() {
    println!("{:<30} {:<15} {:<13} answers    inner service", "the first leaves when", "as a", "followers");
    let mut cells = 0;
    for stage in STAGES {
        for way in [Way::Future, Way::Socket] {
            for before in [true, false] {
                println!("{}", play(stage, way, before).await);
                cells += 1;
            }
        }
    }
    println!("{cells} cells");
    assert_eq!(cells, 28);
}
