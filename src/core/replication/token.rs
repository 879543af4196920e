//! The resume token of a replica: what it says, whether it fits, and what becomes of one that does not.

use std::collections::BTreeMap;

use crate::core::listing::{Snapshot, State};
use crate::core::replication::base::Base;
use crate::core::replication::streams::{Stream, Wish};

/// What `zfs send -nvPt` prints of a resume token. The name in it proves nothing.
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
    /// Reads the lines of `key = value` under "resume token contents:", each after a tab; numbers are in hex. A token comes
    /// from the far side and is not signed. A name in it may span lines, so that a key stands twice: then it proves nothing.
    /// What is nested has more tabs.
    pub fn parse(text: &str) -> Option<Self> {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            let Some((key, value)) = line
                .strip_prefix('\t')
                .and_then(|rest| rest.split_once('='))
            else {
                continue;
            };
            if values.insert(key.trim_end(), value.trim()).is_some() {
                return None;
            }
        }
        Some(Token {
            toguid: number(values.get("toguid")?)?,
            fromguid: values.get("fromguid").and_then(|value| number(value)),
            raw: values.get("rawok").and_then(|value| number(value)) == Some(1),
        })
    }

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

fn number(hex: &str) -> Option<u64> {
    u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_zfs_prints_it() {
        let text = "resume token contents:\nnvlist version: 0\n\tfromguid = 0x1f\n\tobject = 0x2\n\ttoguid = 0xabcdef0123456789\n\ttoname = tank/a@x\n\trawok = 1\n\tfull send of tank/a@x estimated size is 3.76M\n";
        assert_eq!(
            Token::parse(text),
            Some(Token {
                toguid: 0xabcd_ef01_2345_6789,
                fromguid: Some(0x1f),
                raw: true
            })
        );
        assert_eq!(Token::parse("cannot resume send"), None);
        let lie = text.replace("tank/a@x\n", "tank/a@x\n\trawok = 1\n");
        assert_eq!(Token::parse(&lie), None, "a name that spans lines");
        let nested = text.replace("\trawok = 1", "\tmore = (embedded nvlist)\n\t\trawok = 1");
        assert!(Token::parse(&nested).is_some_and(|token| !token.raw));
    }
}
