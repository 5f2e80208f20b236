//! Pages that are read and purged all the while, on nodes of their own, however their servers fare; and the promise that no
//! answer is older than a purge that returned.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower_query_cache::{JournalId, MemoryConfig, Policy, QueryCache, RedisConfig, Routes};

use super::eventually_within;
use super::history::{About, Event, Fill, GRACE, History, LATE, Moment, Purge, Read};
use super::http::{cache_status, ok, text};
use super::site::{MINUTE, Site, Takes, stats};

/// How long servers may take to be well again.
const RECOVERY: Duration = Duration::from_secs(40);

const PAGES: usize = 48;

/// Two have all pages in memory, and one next to none, so that what it reads is Redis's.
const MEMORY: [usize; 3] = [256, 256, 2];

/// Clients of each node.
const CLIENTS: usize = 2;

/// Between a client's requests, and between a node's purges: most pages are older than [`LATE`] when they are purged again.
const PAUSES: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(150)];

/// The pages, their nodes and clients.
pub struct Pages {
    nodes: Vec<Arc<Node>>,
    history: Arc<History>,
    /// Clients purge under a share of it.
    purging: Arc<RwLock<()>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

struct Node {
    cache: QueryCache,
    site: Site,
    number: usize,
    history: Arc<History>,
    failed: AtomicUsize,
    wrong: AtomicUsize,
}

/// What came of it.
#[derive(Debug)]
pub struct Figures {
    pub reads: usize,
    pub hits: usize,
    pub failed: usize,
    pub wrong: usize,
    pub purges: usize,
    /// Of the purges, those that the journal couldn't take at once.
    pub kept: usize,
    /// The answers that were too old.
    pub broken: Vec<String>,
}

impl Pages {
    /// Nodes that know the journal, and clients that read and purge.
    pub async fn start(mut config: RedisConfig) -> Self {
        config.partition_grace = GRACE;
        let (history, mut nodes) = (Arc::<History>::default(), Vec::new());
        for (number, entries) in MEMORY.into_iter().enumerate() {
            nodes.push(Arc::new(Node::start(&config, number, entries, &history).await));
        }
        let (purging, stop) = (Arc::<RwLock<()>>::default(), Arc::<AtomicBool>::default());
        let mut clients = JoinSet::new();
        for node in &nodes {
            for client in 0..CLIENTS {
                let (node, stop) = (Arc::clone(node), Arc::clone(&stop));
                clients.spawn(async move {
                    let mut random = Random(client * 31 + node.number * 7919);
                    while !stop.load(SeqCst) {
                        node.read(random.below(PAGES), random.below(4) == 0).await;
                        sleep(PAUSES[0]).await;
                    }
                });
            }
            let (node, stop, purging) = (Arc::clone(node), Arc::clone(&stop), Arc::clone(&purging));
            clients.spawn(async move {
                let mut random = Random(node.number * 104_729 + 7);
                while !stop.load(SeqCst) {
                    let share = purging.read().await;
                    node.purge(random.below(PAGES)).await;
                    drop(share);
                    sleep(PAUSES[1]).await;
                }
            });
        }
        Self { nodes, history, purging, stop, clients }
    }

    /// What failed from `from` on is well again: waits until all nodes' purges are in the journal, those that were kept too, and
    /// each node hears of the others'.
    pub async fn fault_ends(&self, from: Moment) {
        let _no_others = self.purging.write().await;
        purges_go_round(&self.nodes.iter().map(|node| &node.cache).collect::<Vec<_>>()).await;
        for node in &self.nodes {
            let replayed = || async { stats(&node.cache).await["journal"]["pending"] == 0 };
            eventually_within(RECOVERY, "purges that were kept are in the journal", replayed).await;
            self.history.add(Event::Replayed { node: node.number, at: Moment::now() });
        }
        self.history.add(Event::Fault { from, until: Moment::now() });
    }

    /// Each page is purged once more, by one node, and read by all when they must have heard of it.
    pub async fn purge_each_once(&self) {
        let _no_others = self.purging.write().await;
        for page in 0..PAGES {
            let node = &self.nodes[page % self.nodes.len()];
            assert!(node.purge(page).await, "{page}: all is well");
        }
        // Nothing but time tells whether the others are late.
        sleep(LATE.calm + Duration::from_millis(100)).await;
        for node in &self.nodes {
            for page in 0..PAGES {
                node.read(page, false).await;
                node.read(page, true).await;
            }
        }
    }

    /// Ends the clients; what came of it.
    pub async fn stop(self) -> Figures {
        self.stop.store(true, SeqCst);
        self.clients.join_all().await;
        let sum = |of: fn(&Node) -> &AtomicUsize| self.nodes.iter().map(|node| of(node).load(SeqCst)).sum();
        let ((reads, hits), (purges, kept)) = (self.history.reads(), self.history.purges());
        let (failed, wrong) = (sum(|node| &node.failed), sum(|node| &node.wrong));
        Figures { reads, hits, failed, wrong, purges, kept, broken: self.history.broken(LATE) }
    }
}

impl Figures {
    /// Asserts the promise; and that there was something to break it.
    pub fn assert_kept(&self) {
        let broken = &self.broken;
        assert!(broken.is_empty(), "{} wrong reads: {}", broken.len(), broken[0]);
        assert_eq!((self.failed, self.wrong), (0, 0));
        assert!(self.hits > self.reads / 4 && self.purges > self.kept + 2 * PAGES, "{self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reads, hits, failed, wrong, purges, kept, broken } = self;
        let old = broken.len();
        write!(
            f,
            "pages: {reads} requests, {hits} answered by what was stored, {failed} failed, {wrong} wrong, {old} older \
             than promised; "
        )?;
        write!(f, "{} purges ok, {kept} kept for later and replayed", purges - kept)
    }
}

impl Node {
    async fn start(config: &RedisConfig, number: usize, entries: usize, history: &Arc<History>) -> Self {
        let mut memory = MemoryConfig::default();
        memory.max_entries = entries;
        let cache = QueryCache::builder().redis(config.clone()).memory(memory).build().unwrap();
        assert!(cache.ready(MINUTE).await, "the node isn't ready");
        let policy = || Policy::ttl(MINUTE).tags(["page:{id}"]);
        let routes = Routes::new().route("/default/{id}", policy()).route("/strict/{id}", policy().strict());
        let site = Site::new(&cache, routes, |parts| {
            let begun = Moment::now();
            // As long as the work takes that is cached: it ends no sooner.
            let time = Duration::from_millis(begun.0 % 6);
            let mut response =
                ok(format!("{} {}", Fill { begun, ended: begun.plus(time) }, parts.uri.path()));
            response.extensions_mut().insert(Takes(time));
            response
        });
        let (failed, wrong) = Default::default();
        Self { cache, site, number, history: Arc::clone(history), failed, wrong }
    }

    async fn read(&self, page: usize, strict: bool) {
        let path = format!("/{}/{page}", if strict { "strict" } else { "default" });
        let begun = Moment::now();
        let answer = self.site.get(&path).await;
        self.failed.fetch_add(usize::from(answer.status() != 200), SeqCst);
        let stored = cache_status(&answer).ends_with("stored");
        let text = text(answer).await;
        let fill =
            text.split_once(' ').filter(|(_, told)| *told == path).and_then(|(fill, _)| Fill::parse(fill));
        match fill {
            Some(fill) => {
                self.history.add(Event::Read(Read { node: self.number, strict, page, begun, fill, stored }));
            }
            None => drop(self.wrong.fetch_add(1, SeqCst)),
        }
    }

    async fn purge(&self, page: usize) -> bool {
        let (node, about, begun) = (self.number, About::Page(page), Moment::now());
        let ok = self.cache.purge_tag(format!("page:{page}")).await.is_ok();
        self.history.add(Event::Purge(Purge { node, about, begun, returned: Moment::now(), ok }));
        ok
    }
}

/// Waits until what each handle purges is heard by the others, wherever the journal is now.
pub async fn purges_go_round(caches: &[&QueryCache]) {
    for one in caches {
        let heard = || async {
            let Ok(purged) = one.purge_tag("a tag that nothing has").await else { return false };
            let started = Instant::now();
            while started.elapsed() < Duration::from_secs(2) {
                let mut know = true;
                for other in caches {
                    let journal = stats(other).await["journal"].clone();
                    let id = journal["id"].as_str().and_then(JournalId::parse).unwrap();
                    know &= journal["followed"] == true && id >= purged.id;
                }
                if know {
                    return true;
                }
                sleep(Duration::from_millis(5)).await;
            }
            false
        };
        eventually_within(RECOVERY, "the journal takes a purge, and the others hear of it", heard).await;
    }
}

/// Numbers from a seed.
struct Random(usize);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_103_515_245).wrapping_add(12_345) % (1 << 31);
        // The lowest bits repeat soon.
        self.0 / 1024 % end
    }
}
