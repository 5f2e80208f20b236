//! All of it: servers, processes, what goes wrong, and the schedule.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::Rules;
use super::checker::Made;
use super::node::{ALL, Node, TAGS};
use super::server::{Fields, Mode, Server};
use crate::purge::record;
use crate::purge::stamp::{Epoch, JournalId};
use crate::purge::state::{MAX_OFFLINE, MAX_PURGED};
use crate::purge::tag::Tag;

/// `partition_grace`, in steps.
pub(super) const GRACE: u64 = 40;

/// Steps without a cycle after which the tail is lost.
pub(super) const LOST: u64 = 30;

/// How often a tail goes on rather than a request, of 100.
const TAILS_TURN: u64 = 55;

/// Bounds of the state, on purged tags and on those that the journal couldn't take: as they are, and so small that they bind.
pub(super) const BOUNDS: [(usize, usize); 3] = [(MAX_PURGED, MAX_OFFLINE), (3, 2), (1, 1)];

/// Something under way.
pub(super) type Job = Pin<Box<dyn Future<Output = ()>>>;

/// What all of them share.
pub(super) struct World {
    pub(super) rules: Rules,
    pub(super) random: Random,
    pub(super) now: u64,
    /// The server with the journal, and with the entries unless they are elsewhere.
    pub(super) journal: Server,
    /// In a cluster, the server with the entries.
    pub(super) shard: Option<Server>,
    pub(super) nodes: Vec<Node>,
    /// What the origin has.
    pub(super) versions: [u64; 2],
    pub(super) purges: Vec<Made>,
    /// What was begun in this step.
    pub(super) begun: Vec<Job>,
    pub(super) served: u64,
    pub(super) hits: u64,
    pub(super) violation: Option<String>,
    /// What happened how often.
    pub(super) events: BTreeMap<&'static str, u64>,
    trace: Option<Vec<String>>,
    bounds: usize,
    /// Entries that a tail asks for at once.
    pub(super) page: usize,
    /// `journal_retention`, by the server's clock.
    pub(super) retention: u64,
    nonce: u64,
}

/// What is under way.
#[derive(Default)]
struct Jobs {
    tails: Vec<Job>,
    requests: Vec<Job>,
}

impl Jobs {
    /// One that goes on, unless something is to begin. Tails have it better than requests: there are fewer of them.
    fn draw(&mut self, random: &mut Random, going_on: u64) -> Option<(Job, bool)> {
        let all = (self.tails.len() + self.requests.len()) as u64;
        if all == 0 || !random.chance((40 + 8 * all).min(going_on)) {
            return None;
        }
        let is_tail = self.requests.is_empty() || !self.tails.is_empty() && random.chance(TAILS_TURN);
        let of = if is_tail { &mut self.tails } else { &mut self.requests };
        let at = random.below(of.len() as u64) as usize;
        Some((of.swap_remove(at), is_tail))
    }
}

/// A history.
#[derive(Clone)]
pub(super) struct Sim(Rc<RefCell<World>>);

/// The end of a history.
pub(super) struct End {
    pub(super) served: u64,
    pub(super) hits: u64,
    pub(super) violation: Option<String>,
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) trace: Vec<String>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// A tail's connection breaks.
    Drop,
    /// A process loses the network, or has it again.
    Cut,
    Restart,
    Flush,
    EvictStream,
    EvictHead,
    FailOver,
    /// Nothing happens for so long that all of the journal is old.
    Quiet,
    /// In a cluster, the server with the entries fails over.
    Shard,
    /// Somebody else writes into the stream.
    Junk,
    /// A process of a later version writes.
    Later,
    /// Somebody writes at the highest id.
    Highest,
}

const FAULTS: [Fault; 12] = [
    Fault::Drop,
    Fault::Cut,
    Fault::Restart,
    Fault::Flush,
    Fault::EvictStream,
    Fault::EvictHead,
    Fault::FailOver,
    Fault::Quiet,
    Fault::Shard,
    Fault::Junk,
    Fault::Later,
    Fault::Highest,
];

/// What a schedule is drawn from.
struct Mix {
    reads: u64,
    purges: u64,
    tails: u64,
    faults: u64,
    of: Vec<Fault>,
    /// Of 100.
    going_on: u64,
    soft: u64,
    strict: u64,
}

impl Mix {
    fn draw(random: &mut Random) -> Self {
        let of: Vec<_> = FAULTS.into_iter().filter(|_| random.chance(40)).collect();
        Self {
            reads: random.pick(&[6, 10, 18]),
            purges: random.pick(&[2, 5, 9]),
            tails: random.pick(&[4, 10, 20]),
            faults: if of.is_empty() { 0 } else { random.pick(&[0, 2, 5]) },
            of,
            going_on: random.pick(&[75, 90, 95]),
            soft: random.pick(&[0, 30, 60]),
            strict: random.pick(&[0, 40, 100]),
        }
    }
}

/// Runs a history of this many steps.
pub(super) fn run(seed: u64, steps: u64, rules: Rules, traced: bool) -> End {
    let sim = Sim::new(seed, rules, traced);
    sim.run(steps);
    let world = &mut *sim.world();
    End {
        served: world.served,
        hits: world.hits,
        violation: world.violation.take(),
        events: std::mem::take(&mut world.events),
        trace: world.trace.take().unwrap_or_default(),
    }
}

impl Sim {
    fn new(seed: u64, rules: Rules, traced: bool) -> Self {
        let mut random = Random::new(seed);
        let bounds = random.pick(&[0, 0, 1, 2]);
        let shard = random.chance(25).then(|| Server::new("s"));
        let count = random.pick(&[2, 2, 3]);
        let nodes = (0..count).map(|_| Node::new(0, 0, bounds, random.pick(&[0, 0, 0, 40]))).collect();
        let page = random.pick(&[2, 3, 1000]);
        let retention = random.pick(&[12, 60]);
        Self(Rc::new(RefCell::new(World {
            rules,
            random,
            now: 0,
            journal: Server::new("j"),
            shard,
            nodes,
            versions: [0; 2],
            purges: Vec::new(),
            begun: Vec::new(),
            served: 0,
            hits: 0,
            violation: None,
            events: BTreeMap::new(),
            trace: traced.then(Vec::new),
            bounds,
            page,
            retention,
            nonce: 0,
        })))
    }

    pub(super) fn world(&self) -> RefMut<'_, World> {
        self.0.borrow_mut()
    }

    fn run(&self, steps: u64) {
        let mix = Mix::draw(&mut self.world().random);
        let mut jobs = Jobs::default();
        self.start();
        for _ in 0..steps {
            let job = {
                let world = &mut *self.world();
                if world.violation.is_some() {
                    return;
                }
                world.now += 1;
                if world.random.chance(50) {
                    world.journal.clock += world.random.pick(&[0, 1, 1, 2, 6]);
                }
                jobs.requests.append(&mut world.begun);
                jobs.draw(&mut world.random, mix.going_on)
            };
            if let Some((mut job, is_tail)) = job.or_else(|| self.draw(&mix))
                && !step_of(&mut job)
            {
                if is_tail { jobs.tails.push(job) } else { jobs.requests.push(job) }
            }
        }
    }

    /// Most processes have read the journal when the history begins.
    fn start(&self) {
        let nodes = self.world().nodes.len();
        for node in 0..nodes {
            if self.world().random.chance(90) {
                let mut tail = self.clone().tail(node);
                while !step_of(&mut tail) {
                    self.world().now += 1;
                }
            }
        }
    }

    /// Begins something, or something goes wrong. Says whether it is a tail's.
    fn draw(&self, mix: &Mix) -> Option<(Job, bool)> {
        let (node, key, what, strict, soft, tag);
        {
            let world = &mut *self.world();
            node = world.random.below(world.nodes.len() as u64) as usize;
            key = world.random.pick(&[0, 0, 1]);
            what = world.random.below(mix.reads + mix.purges + mix.tails + mix.faults);
            strict = world.random.chance(mix.strict);
            soft = world.random.chance(mix.soft);
            let other = Tag::from_bits(10 + world.random.below(4));
            let tags: Vec<_> = TAGS[key].iter().copied().chain([ALL, other]).collect();
            tag = world.random.pick(&tags);
        }
        if what < mix.reads {
            return Some((Box::pin(self.clone().read(node, key, strict)), false));
        }
        if what < mix.reads + mix.purges {
            let world = &mut *self.world();
            world.versions[key] += 1;
            world.now += 1;
            return Some((Box::pin(self.clone().purge(node, tag, soft)), false));
        }
        if what < mix.reads + mix.purges + mix.tails {
            return Some((self.clone().tail(node), true));
        }
        let world = &mut *self.world();
        let fault = world.random.pick(&mix.of);
        world.fail(fault, node);
        None
    }
}

impl World {
    fn fail(&mut self, fault: Fault, node: usize) {
        self.log(|| format!("{fault:?} {node}"));
        let back = self.random.pick(&[0, 0, 8, 30]);
        match fault {
            Fault::Drop => self.nodes[node].tail = None,
            Fault::Cut => self.nodes[node].cut ^= true,
            Fault::Restart => {
                let old = &self.nodes[node];
                let cycles = old.cycles.clone();
                self.nodes[node] = Node::new(old.start + 1, self.now, self.bounds, old.ahead);
                self.nodes[node].cycles = cycles;
            }
            Fault::Flush => self.journal.flush(back),
            Fault::EvictStream => self.journal.evict_stream(back),
            Fault::EvictHead => self.journal.evict_head(),
            Fault::FailOver => {
                let (writes, back) = (self.random.pick(&[1, 1, 2, 3]), self.random.pick(&[0, 0, 3, 20]));
                self.journal.fail_over(writes, back);
            }
            Fault::Quiet => self.journal.clock += 40,
            Fault::Shard => {
                if let Some(shard) = &mut self.shard {
                    shard.fail_over(2, 0);
                }
            }
            Fault::Junk => {
                let fields = vec![("a".into(), "b".into())];
                self.journal.append(fields, None, Mode::Create, None).ok();
            }
            Fault::Later => {
                let nonce = self.nonce();
                let fields = [("v", "2".into()), ("n", record::head(nonce)), ("new", "x".into())];
                let fields = fields.map(|(name, value)| (name.into(), value)).into();
                self.journal.append(fields, Some(nonce), Mode::Create, None).ok();
            }
            Fault::Highest => {
                let tags = [TAGS[0][0]];
                let (fields, _) = self.purge_record(Epoch::random(), &tags, false);
                let id = JournalId::new(self.random.pick(&[u64::MAX, u64::MAX - 1]), 0);
                self.journal.append(fields, None, Mode::Create, Some(id)).ok();
            }
        }
    }

    pub(super) fn log(&mut self, what: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:4} {}", what()));
        }
    }

    /// Counts what happened.
    pub(super) fn count(&mut self, event: &'static str) {
        *self.events.entry(event).or_default() += 1;
    }

    pub(super) fn nonce(&mut self) -> u64 {
        self.nonce += 1;
        self.nonce
    }

    pub(super) fn purge_record(&mut self, epoch: Epoch, tags: &[Tag], soft: bool) -> (Fields, u64) {
        let nonce = self.nonce();
        (record::purge(epoch, nonce, tags, soft), nonce)
    }

    pub(super) fn epoch_record(&mut self, epoch: Epoch, server: &str, begins: bool) -> (Fields, u64) {
        let nonce = self.nonce();
        (record::epoch(epoch, nonce, server, begins), nonce)
    }
}

/// Takes a step. True: it is done.
fn step_of(job: &mut Job) -> bool {
    job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// Lets others take steps.
pub(super) async fn step() {
    let mut stepped = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut stepped, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// Numbers from a seed: xorshift64*.
pub(super) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn chance(&mut self, of_100: u64) -> bool {
        self.below(100) < of_100
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
