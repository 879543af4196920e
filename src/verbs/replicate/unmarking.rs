//! What a transfer that fails takes back: its bookmarks of what cannot have arrived. Those of many such runs would pile up,
//! and keep pruning away from more and more of the source.

use anyhow::Result;

use crate::edge::outcome::is_later;
use crate::edge::stop;
use crate::verbs::replicate::listing::is_absent;
use crate::verbs::replicate::transfer::{Transfer, newest};

impl Transfer<'_> {
    /// Brings the replica up to date, or leaves it to the next run.
    pub(super) fn bring_or_unmark(&mut self) -> Result<()> {
        let result = self.bring();
        if let Err(error) = &result
            && self.may_unmark(error)
        {
            let kept = self.may_have_arrived(error);
            // The first error says more than that a bookmark stays.
            let _ = self.bookmarks.unmark(&kept);
        }
        result
    }

    /// Waits for no machine that may not answer, nor while somebody waits for the end of the run.
    fn may_unmark(&self, error: &anyhow::Error) -> bool {
        let is_source_remote = self.replication.run.entry.host.is_some();
        !stop::is_wanted() && !(is_source_remote && is_later(error))
    }

    /// The GUIDs of what the replica may end with after this error.
    fn may_have_arrived(&self, error: &anyhow::Error) -> Vec<u64> {
        let mut guids: Vec<u64> = self.plan.base.iter().map(|base| base.guid).collect();
        if self.begun.is_empty() || !is_later(error) && self.is_replica_as_it_was() {
            return guids;
        }
        guids.extend(&self.begun);
        // One bookmark alone would say that its snapshot has arrived, and pruning could take what a first stream sends.
        if self.plan.base.is_none() && self.bookmarks.earlier() < 2 {
            guids.extend(self.plan.streams.last().map(|stream| stream.guid));
        }
        guids
    }

    /// Whether nothing has arrived since the replica was listed, nor a part of a stream.
    fn is_replica_as_it_was(&self) -> bool {
        if self.newest.is_none() {
            return is_absent(self.there(), &self.replica);
        }
        let replica = self.list_replica().ok().flatten();
        replica.is_some_and(|it| it.resume_token.is_none() && newest(&it) == self.newest)
    }
}
