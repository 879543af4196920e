//! What `zfs send -nvPt TOKEN` prints, as a value.

use std::collections::BTreeMap;

use crate::core::replication::Token;

/// Reads the lines of `key = value` under "resume token contents:", each after a tab; numbers are in hex. A token comes
/// from the far side and is not signed. A name in it may span lines, so that a key stands twice: then it proves nothing.
/// What is nested has more tabs.
pub fn parse(text: &str) -> Option<Token> {
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
            parse(text),
            Some(Token {
                toguid: 0xabcd_ef01_2345_6789,
                fromguid: Some(0x1f),
                raw: true
            })
        );
        assert_eq!(parse("cannot resume send"), None);
        let lie = text.replace("tank/a@x\n", "tank/a@x\n\trawok = 1\n");
        assert_eq!(parse(&lie), None, "a name that spans lines");
        let nested = text.replace("\trawok = 1", "\tmore = (embedded nvlist)\n\t\trawok = 1");
        assert!(parse(&nested).is_some_and(|token| !token.raw));
    }
}
