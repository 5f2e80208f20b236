//! Own purges: into the journal, or kept until it can take them.

use super::Rule;
use super::checker::Made;
use super::node::ALL;
use super::server::Mode;
use super::tail::{Unreached, Way};
use super::world::Sim;
use crate::purge::record::TAGS_PER_RECORD;
use crate::purge::stamp::JournalId;
use crate::purge::state::Start;
use crate::purge::tag::Tag;

impl Sim {
    pub(super) async fn purge(self, node: usize, tag: Tag, soft: bool) {
        let (made, start) = {
            let world = &mut *self.world();
            let start = world.nodes[node].start;
            let begun = world.now;
            world.purges.push(Made { node, start, tag, soft, begun, returned: None, failed: None });
            world.log(|| format!("node {node} purges {tag:?}, soft: {soft}"));
            (world.purges.len() - 1, start)
        };
        let done = self.append_purge(node, start, &[tag], soft).await;
        let world = &mut *self.world();
        let own = &mut world.nodes[node];
        if own.start != start {
            return;
        }
        if done.is_ok() {
            world.purges[made].returned = Some(world.now);
            world.count("purged");
            world.log(|| format!("node {node} has purged {tag:?}"));
            return;
        }
        if world.rules.keep(Rule::OfflineHolds) {
            own.state.purge_offline(&[tag], soft);
            own.kept.push((made, own.state.stamp(0).local.offline));
        }
        world.purges[made].failed = Some(world.now);
        world.count("purge kept");
        world.log(|| format!("node {node} keeps its purge of {tag:?}"));
    }

    /// Gives the journal the purges that it couldn't take.
    pub(super) async fn replay(&self, node: usize, start: u64) {
        loop {
            let Some((tags, soft, until)) = self.world().nodes[node].state.offline(TAGS_PER_RECORD) else {
                return;
            };
            if !self.world().rules.keep(Rule::ReplayThenForget) {
                self.world().nodes[node].state.replayed(&tags, until);
            }
            let done = self.append_purge(node, start, &tags, soft).await;
            let world = &mut *self.world();
            let own = &mut world.nodes[node];
            if own.start != start || done.is_err() {
                return;
            }
            own.state.replayed(&tags, until);
            let now = world.now;
            own.kept.retain(|(made, at)| {
                let made = &mut world.purges[*made];
                let taken =
                    *at <= until && (made.soft || !soft) && (tags.contains(&made.tag) || tags.contains(&ALL));
                if taken {
                    made.returned = Some(now);
                }
                !taken
            });
            world.count("purges replayed");
        }
    }

    async fn append_purge(&self, node: usize, start: u64, tags: &[Tag], soft: bool) -> Result<(), Unreached> {
        let rules = self.world().rules;
        let from = self.world().nodes[node].state.start().ok_or(Unreached)?;
        let trim = self.trim(node, &from);
        if from.epoch_record < trim && rules.keep(Rule::RenewEpoch) {
            let (fields, nonce) = self.world().epoch_record(from.epoch, &from.server, false);
            let mode = Mode::Existing { trim: JournalId::ZERO };
            self.on_lane(node, start, |journal| journal.append(fields, Some(nonce), mode, None)).await?.ok();
            self.world().count("epoch renewed");
        }
        let (fields, nonce) = self.world().purge_record(from.epoch, tags, soft);
        let head = rules.keep(Rule::HeadAtOnce).then_some(nonce);
        let create = !rules.keep(Rule::Regress);
        let mode = if create { Mode::Create } else { Mode::Existing { trim } };
        let (id, server) = self
            .on_lane(node, start, |journal| (journal.append(fields, head, mode, None), journal.name.clone()))
            .await?;
        if head.is_none() {
            self.on_lane(node, start, |journal| journal.set_head(Some(nonce))).await?;
        }
        let id = id.map_err(|()| Unreached)?;
        {
            let world = &mut *self.world();
            world.log(|| format!("node {node}: its purge of {tags:?} from {from:?} became {id:?}"));
            let same = !rules.keep(Rule::Identity) || *server == *from.server;
            let own = &mut world.nodes[node];
            if let Some(id) = id
                && same
                && own.state.purged(&from, id, tags, soft)
            {
                return Ok(());
            }
            if !rules.keep(Rule::Regress) {
                let from = Start { seen: JournalId::ZERO, epoch: own.state.epoch(), ..from };
                own.state.purged(&from, id.unwrap_or_default(), tags, soft);
                return Ok(());
            }
            own.forget();
            own.doubt();
            world.count("purge ends the epoch");
        }
        self.begin_epoch(node, start, Way::Lane, Mode::Create).await.map(drop)
    }

    /// Up to where the journal may be trimmed.
    fn trim(&self, node: usize, from: &Start) -> JournalId {
        let world = self.world();
        let newest = if world.rules.keep(Rule::TrimById) {
            from.newest.ms
        } else {
            world.journal.clock + world.nodes[node].ahead
        };
        JournalId::new(newest.saturating_sub(world.retention), 0)
    }
}
