//! The fill's turn among the processes that share the store: one of them fills a key, the others wait for its entry.
//!
//! A lease saves work, and no answer needs it. So every doubt (an error, no answer in time, a store without leases) ends
//! in a fill without one, at once.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use http_body::Body;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Context, Filled, Lead};
use crate::answer::{self, How};
use crate::body::CacheBody;
use crate::entry::Entry;
use crate::route::RequestHead;
use crate::store::{SharedTier, StoreError};

/// How often a waiter looks by itself: wake-ups may be lost, and a holder that died sends none.
const POLL: Duration = Duration::from_millis(100);

/// Holders that may give up before a waiter goes on by itself, as many as fills within one process.
const HOLDERS: usize = 2;

/// Times that a waiter looks at once because its store may have missed a word, as after a reconnect.
const MISSES: usize = 3;

impl Context {
    /// Takes the lease of the key, where the policy asks for one, or waits for the fill of the process that has it. What
    /// that one stored; `None`: this process is to fill.
    pub(super) async fn await_turn(&mut self, lead: &Lead) -> Option<Filled> {
        let life = self.route.rules.lease.filter(|_| !self.unanswered && self.is_admitted())?;
        let shared = Arc::clone(&self.shared);
        let tier = shared.tiers.shared.as_ref()?;
        let leases = tier.store.leases()?;
        let patience = Instant::now() + shared.limits.coalesce_timeout;
        let (mut given_up, mut missed) = (0, 0);
        while Instant::now() < patience {
            if !tier.breaker.is_closed() {
                return None;
            }
            let key = self.target.key;
            let limit = Instant::now() + tier.lookup_timeout;
            self.held = shared.tiers.take_lease(tier, leases, key, life, limit).await.ok()?;
            if self.held.is_none() && given_up >= HOLDERS {
                return None;
            }
            // NOTE: before the look: what is given back after the look must be heard of.
            let given_back = self.held.is_none().then(|| leases.given_back(&key));
            if let Some(filled) = self.look_again(tier, limit).await.ok()? {
                return Some(filled);
            }
            if self.target.key != key {
                // The resource varies, as is known now: the request's own variant has a lease of its own.
                self.held = None;
                continue;
            }
            let given_back = given_back?;
            lead.await_turn();
            let tick = patience.min(Instant::now() + POLL);
            let Ok(named) = timeout_at(tick, given_back).await else { continue };
            // Before another try for the lease, or all waiters would take it in turn only to look.
            let limit = Instant::now() + tier.lookup_timeout;
            if let Some(filled) = self.look_again(tier, limit).await.ok()? {
                return Some(filled);
            }
            if named {
                given_up += 1;
                continue;
            }
            // The holder may be alive. A store that keeps missing words isn't asked more often for that.
            missed += 1;
            if missed > MISSES {
                sleep_until(tick).await;
            }
        }
        shared.stats.lease_timed_out();
        None
    }

    /// What another process stored meanwhile. Then there is no use for a lease.
    async fn look_again(&mut self, tier: &SharedTier, limit: Instant) -> Result<Option<Filled>, StoreError> {
        let tiers = &self.shared.tiers;
        let found = tiers.look_again(tier, &mut self.target, &self.head.headers, limit).await?;
        let now = self.shared.clock.now();
        // What an early refresh finds may be what it is to refresh.
        let rules = &self.route.rules.stale;
        let found = found.filter(|entry| !(self.refresh && rules.refresh_is_due(entry, now)));
        Ok(found.map(|entry| {
            self.held = None;
            self.shared.stats.lease_followed();
            let fields = self.target.vary.as_ref().map_or_else(Vec::new, |vary| vary.fields.clone());
            Filled { entry, fields: fields.into() }
        }))
    }

    /// The first caller's answer from what another process stored.
    pub(super) fn follow<R: Body>(&self, entry: &Entry) -> Response<CacheBody<R>> {
        self.route.stats.collapsed();
        let now = self.shared.clock.now();
        let RequestHead { method, headers, .. } = &*self.head;
        let how = How::Collapsed(self.forward());
        let response = answer::from_entry(entry, method, headers, now, how, &self.shared.names);
        self.route.count(&response);
        response
    }
}
