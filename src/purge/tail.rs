//! The tail: reads the journal from its start, and then what comes, on a connection of its own.
//!
//! Each cycle reads from the newest entry known on, that one included. If it isn't there any more, the stream isn't the one
//! that was read: it was flushed, evicted, or another server has taken over. Then the epoch ends, unless the journal still has
//! one that holds on this server.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep, timeout};

use super::epoch::{Through, epoch_record};
use super::journal::{Inner, Link, Mode};
use super::record::{self, Record};
use super::stamp::JournalId;
use crate::store::{AppendMode, Journal, Store, StoreError, Tail, guarded};

/// Entries that are asked for at once: more would keep the server from others for long.
pub(super) const PAGE: usize = 1000;

/// How long the store waits for a new entry before it is asked again whether the last one is still there.
const BLOCK: Duration = Duration::from_secs(1);

/// How often a store is asked that can't wait.
const POLL: Duration = Duration::from_millis(100);

/// Waits between tails: doubling from the first to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Times that a new epoch is tried to be begun before the tail is opened anew.
const TRIES: usize = 4;

/// Follows the journal for as long as it is polled.
pub(super) async fn run(inner: &Inner) {
    let (Some(link), Some(journal)) = (&inner.link, inner.journal()) else { return };
    let mut wait = BACKOFF.0;
    let mut told = false;
    loop {
        let started = Instant::now();
        let ended = guarded(follow(inner, link, journal)).await;
        inner.lose();
        if let Err(error @ StoreError::Server(_)) = &ended {
            inner.troubled(Some(error.to_string()));
        }
        match ended {
            Ok(()) => told = false,
            Err(StoreError::Unsupported(_)) => {
                // There is no journal by which servers could be told apart.
                journal.trust(None);
                return inner.turn_off();
            }
            Err(error @ StoreError::Server(_)) if !told && is_up(&*link.store) => {
                tracing::warn!(%error, "the purge journal can't be read; the shared tier isn't used until it can");
                told = true;
            }
            Err(error) => tracing::debug!(%error, "the tail of the purge journal ended"),
        }
        if started.elapsed() >= BLOCK {
            wait = BACKOFF.0;
        }
        sleep(wait).await;
        wait = wait.saturating_mul(2).min(BACKOFF.1);
    }
}

/// Whether the store has connections: what keeps it from having any it tells itself, though maybe later than a tail fails.
fn is_up(store: &dyn Store) -> bool {
    let pool = store.pool();
    let connected = pool.connections_created > 0 || pool.max_connections == 0;
    connected && store.last_error().is_none()
}

/// Opens a tail and follows it to its end.
async fn follow(inner: &Inner, link: &Link, journal: &dyn Journal) -> Result<(), StoreError> {
    let mut tail = open(inner, link, journal).await?;
    let tail = &mut *tail;
    let server = tail.server().to_owned();
    let (ready, known) = {
        let state = inner.read();
        (state.is_ready(), state.server() == server)
    };
    if ready && !known {
        tracing::warn!("another server has the purge journal; entries from before are given up");
        inner.change(|state| state.forget());
    }
    journal.trust(Some(&server));
    let mut mode = Mode::Push;
    loop {
        if !inner.read().is_ready() {
            load(inner, link, tail, &server).await?;
        }
        let asked = inner.cycle();
        if !cycle(inner, link, tail, &server).await? {
            continue;
        }
        inner.completed(asked, mode);
        replay(inner).await;
        let Some(mark) = inner.read().mark() else { continue };
        let mut waiting = tail.wait(mark.id, BLOCK);
        let waited = loop {
            let (kicked, pending) = (pin!(inner.kick.notified()), pin!(inner.pending.notified()));
            match select(&mut waiting, select(kicked, pending)).await {
                Either::Left((waited, _)) => break waited,
                // The wait is given up with its connection: what it would still answer is nobody's.
                Either::Right((Either::Left(_), _)) => return Ok(()),
                // Beside the wait: it goes over other connections.
                Either::Right((Either::Right(_), _)) => replay(inner).await,
            }
        };
        drop(waiting);
        match waited {
            Err(StoreError::Unsupported(_)) => {
                mode = Mode::Poll;
                sleep(POLL).await;
            }
            waited => drop(waited?),
        }
    }
}

/// Opens a tail. While the store is suspended this pends; with purges to be given to the journal, it has the server probed.
async fn open(inner: &Inner, link: &Link, journal: &dyn Journal) -> Result<Box<dyn Tail>, StoreError> {
    let mut opening = journal.tail();
    while inner.read().offline_tags() == 0 {
        let pending = pin!(inner.pending.notified());
        if let Either::Left((opened, _)) = select(&mut opening, pending).await {
            return opened;
        }
    }
    match select(&mut opening, pin!(link.breaker.ready())).await {
        Either::Left((opened, _)) => opened,
        Either::Right(_) => opening.await,
    }
}

/// Reads the journal from its start. If it has no epoch that holds on this server, begins one.
async fn load(inner: &Inner, link: &Link, tail: &mut dyn Tail, server: &str) -> Result<(), StoreError> {
    for _ in 0..TRIES {
        let mut records = page(link, tail, JournalId::ZERO).await?;
        inner.change(|state| state.begin(&records));
        let mut whole = true;
        while records.len() >= PAGE {
            let Some(mark) = inner.read().mark() else { break };
            records = page(link, tail, mark.id).await?;
            whole = inner.change(|state| state.follow(mark, &records).is_ok());
            if !whole {
                break;
            }
        }
        inner.counters.loads.fetch_add(1, Ordering::Relaxed);
        if whole && !inner.read().is_exhausted() && inner.change(|state| state.finish(server)) {
            return Ok(());
        }
        let exhausted = inner.read().is_exhausted();
        inner.change(|state| state.forget());
        // One that was only trimmed while it was read is read again.
        if whole {
            let mode = if exhausted { AppendMode::Replace } else { AppendMode::Create };
            Through::Tail(tail).begin_epoch(inner, link, server, mode).await?;
        }
    }
    Err(StoreError::Server("the journal changes too fast to be read".to_owned()))
}

/// Reads on. False: the journal must be read from its start.
async fn cycle(inner: &Inner, link: &Link, tail: &mut dyn Tail, server: &str) -> Result<bool, StoreError> {
    let head = timeout(link.write_timeout, tail.head()).await.unwrap_or(Err(StoreError::Timeout))?;
    loop {
        let Some(mark) = inner.read().mark() else { return Ok(false) };
        let records = page(link, tail, mark.id).await?;
        if inner.read().is_all(mark, &records) {
            break;
        }
        let (followed, exhausted) = inner.change(|state| {
            let followed = state.follow(mark, &records).is_ok();
            (followed, state.is_exhausted())
        });
        if !followed || exhausted {
            inner.lose();
            inner.change(|state| state.forget());
            // After a trim all that is there is newer, and the floor rises. If older ones are there, or none, ids don't compare.
            let first = range(link, tail, JournalId::ZERO, 1).await?;
            let mode = if exhausted { AppendMode::Replace } else { AppendMode::Create };
            if exhausted || first.first().is_none_or(|first| first.id <= mark.id) {
                Through::Tail(tail).begin_epoch(inner, link, server, mode).await?;
            }
            return Ok(false);
        }
        if records.len() < PAGE {
            break;
        }
    }
    let (known, epoch) = {
        let state = inner.read();
        (state.knows_head(head.as_deref().and_then(record::read_head)), state.epoch())
    };
    if !known {
        // It was evicted or overwritten. Until it is right again, strict reads take two round trips.
        let repair = epoch_record(epoch, server, false, AppendMode::Existing { trim: JournalId::ZERO });
        Through::Tail(tail).append(link, &repair).await?;
    }
    Ok(true)
}

async fn page(link: &Link, tail: &mut dyn Tail, from: JournalId) -> Result<Vec<Record>, StoreError> {
    range(link, tail, from, PAGE).await
}

async fn range(
    link: &Link,
    tail: &mut dyn Tail,
    from: JournalId,
    count: usize,
) -> Result<Vec<Record>, StoreError> {
    let entries = timeout(link.write_timeout, tail.range(from, count)).await;
    Ok(entries.unwrap_or(Err(StoreError::Timeout))?.iter().map(Record::read).collect())
}

/// Gives the journal the purges that it couldn't take.
async fn replay(inner: &Inner) {
    loop {
        let Some((tags, soft, until)) = inner.read().offline(record::TAGS_PER_RECORD) else { return };
        if inner.append_purge(&tags, soft).await.is_err() {
            return;
        }
        inner.counters.replayed.fetch_add(tags.len() as u64, Ordering::Relaxed);
        inner.change(|state| state.replayed(&tags, until));
    }
}
