//! A model of the purge journal: the state of several processes and the records on the wire as they are, over a server, networks
//! and caches that are played. Every step of every operation, and what goes wrong in between, comes in an order drawn from a
//! seed; a checker holds each response against the purges that had returned before its request began.
//!
//! ```text
//! server     a stream, its head and entries; it loses writes, forgets, is evicted
//! node       what a process has: its state, memory, flights, tail
//! tail       follows the journal, in the order of the real one
//! purge      own purges, and those that the journal couldn't take
//! read       lookups, strict and not, and who joins a flight
//! fill       from the stamp to the shared tier
//! checker    what no response may be
//! world      all of it, the faults, and the schedule
//! ```
//!
//! Each [`Rule`] can be dropped: a model that finds nothing wrong then would prove nothing.

mod checker;
mod fill;
mod node;
mod purge;
mod read;
mod server;
mod tail;
mod world;

mod tests;

/// What is kept, unless it is dropped to see what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// The stamp is the position at the fill's start; without: at its end.
    StampAtStart,
    /// A fill that a purge overtook isn't stored.
    CheckBeforeStore,
    /// A tail that was lost reads what it missed; without: only what comes from now on.
    CatchUp,
    /// A purge that shows a broken order ends the epoch, and so does a position that is missing.
    Regress,
    /// Memory hits are checked as all others.
    CheckMemory,
    /// A waiter takes what a flight that began before it gives only if no purge lies in between.
    Follower,
    /// The tail's reads begin with what is known already.
    TailInclusive,
    /// So do those of strict reads.
    StrictInclusive,
    /// A server is told from another one.
    Identity,
    /// While the tail is lost, the journal is asked for each request.
    LostIsStrict,
    /// What a strict read asks is sent after its request began.
    StrictAfter,
    /// A revalidation stamps with its own start.
    RevalidationStamp,
    /// Without contact, entries serve for a while only.
    Grace,
    /// Without a cycle for a while, the tail is lost.
    Heartbeat,
    /// The head is replaced in one step with the append.
    HeadAtOnce,
    /// A stream that holds older entries than the one missing, or none, gets a new epoch.
    HoleEndsEpoch,
    /// The journal is trimmed by its own ids; without: by the purger's clock.
    TrimById,
    /// The epoch's record is renewed before it is trimmed away.
    RenewEpoch,
    /// A purge that the journal couldn't take holds in its own process at once.
    OfflineHolds,
    /// It holds there until the journal took it.
    ReplayThenForget,
}

/// Which rules are kept.
#[derive(Clone, Copy, Debug)]
struct Rules(Option<Rule>);

impl Rules {
    const ALL: Self = Self(None);

    fn keep(self, rule: Rule) -> bool {
        self.0 != Some(rule)
    }
}
