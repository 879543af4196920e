//! The resume token of a replica: whether it fits, and what becomes of one that does not.

use crate::core::listing::{Snapshot, State};
use crate::core::replication::base::Base;
use crate::core::replication::streams::{Stream, Wish};

/// What a resume token says, as `zfs send -nvPt` decodes it. The name in it proves nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    pub toguid: u64,
    pub fromguid: Option<u64>,
    pub raw: bool,
}

/// What becomes of the replica's resume token. As long as there is one, ZFS receives no other stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// There is none, or it is resumed.
    None,
    /// It fits nothing, and is of a stream from this source.
    Discard,
    /// As far as anybody can tell it is of a stream from elsewhere, so what that has brought is not ours to give up.
    Foreign,
}

impl TokenUse {
    /// What becomes of a token that is not resumed. It is ours if the source knows the snapshot that it was to bring: zam
    /// makes a bookmark of that before each stream.
    pub(super) fn of(source: &State, replica: Option<&State>, token: Option<&Token>) -> TokenUse {
        let has_token = replica.is_some_and(|replica| replica.resume_token.is_some());
        match token {
            _ if !has_token => TokenUse::None,
            Some(token) if Base::of(source, token.toguid).is_some() => TokenUse::Discard,
            _ => TokenUse::Foreign,
        }
    }
}

impl Token {
    /// The rest of the stream that the token stands for, if it continues this replica with a snapshot of ours.
    pub(super) fn resumed(
        &self,
        wish: &Wish,
        raw: bool,
        newer: &[&Snapshot],
        base: Option<&Base>,
        replica: &State,
    ) -> Option<Stream> {
        let to = newer.iter().find(|s| s.guid == self.toguid)?;
        let is_ours = wish.prefix.owns_snapshot(&to.name);
        let newest = replica.snapshots.last().map(|s| s.guid);
        if !is_ours || self.fromguid != newest || self.raw != raw {
            return None;
        }
        Some(Stream::new(base.map(|base| base.mark.clone()), &[to]))
    }
}
