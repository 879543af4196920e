//! `zfs send` and `zfs receive`, and the tokens of streams that were cut. Keeps invariant 4: no `receive -F`.

use anyhow::Result;

use super::failure::failure;
use crate::core::name::Dataset;
use crate::core::received;
use crate::core::replication::{Stream, Token};
use crate::edge::command::{Machine, Pipeline};

/// The sending end of a stream. Always with large blocks, which must never change between two streams (before OpenZFS
/// 2.0 that lost data), and compressed as stored. Without embedded blocks (`-e`): an encrypted parent refuses them (tried
/// on 2.3), and they save next to nothing. `compressor` is a program that packs the stream for the way.
pub fn send(
    machine: &Machine,
    dataset: &Dataset,
    stream: &Stream,
    raw: bool,
    compressor: Option<&str>,
) -> Pipeline {
    let argv = send_argv(dataset, stream, if raw { "-Lcw" } else { "-Lc" });
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    sending(machine, argv.join(" "), &argv, compressor)
}

/// How many bytes a stream would have; none where zfs gives no estimate.
pub fn estimate(machine: &Machine, dataset: &Dataset, stream: &Stream, raw: bool) -> Option<u64> {
    let argv = send_argv(dataset, stream, if raw { "-LcwnvP" } else { "-LcnvP" });
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let text = machine.text(&argv).ok()?;
    // zfs-send(8): the last line is `size`, a tab, and the bytes.
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix("size\t")?.parse().ok())
}

fn send_argv(dataset: &Dataset, stream: &Stream, flags: &str) -> Vec<String> {
    let mut argv: Vec<String> = vec!["zfs".into(), "send".into(), flags.into()];
    if let Some(from) = &stream.from {
        let all = stream.has_intermediates();
        argv.push(if all { "-I" } else { "-i" }.into());
        argv.push(format!("{dataset}{from}"));
    }
    argv.push(format!("{dataset}@{}", stream.to));
    argv
}

/// The sending end of a stream that was cut. `raw` is said besides the token, which the far side could have made: what is
/// to go raw must never go readable. Of the flags that shape a stream ZFS takes this one alone with -t (zfs_do_send).
pub fn send_resumed(
    machine: &Machine,
    token: &str,
    raw: bool,
    compressor: Option<&str>,
) -> Pipeline {
    let flags = if raw { "-wt" } else { "-t" };
    let name = format!("zfs send {flags} TOKEN");
    sending(machine, name, &["zfs", "send", flags, token], compressor)
}

fn sending(machine: &Machine, name: String, argv: &[&str], compressor: Option<&str>) -> Pipeline {
    match compressor {
        Some(program) => machine.pipeline(name, &[argv, &[program, "-qc"]]),
        None => machine.pipeline(name, &[argv]),
    }
}

/// What a resume token says. Its contents are printed even if it cannot be used any more; one that cannot be read at all
/// fits nothing. This machine is asked, wherever the token's source is: no dataset is needed, and over ssh zfs's exit code
/// of a stale one (255) would look like a lost connection.
pub fn decode_token(token: &str) -> Result<Option<Token>> {
    match resumed(token) {
        Ok(printed) => Ok(Token::parse(&printed)),
        Err(error) => match failure(&error) {
            Some(failure) => Ok(Token::parse(&failure.stdout)),
            None => Err(error),
        },
    }
}

/// What zfs prints of a token whose snapshot it finds.
pub fn resumed(token: &str) -> Result<String> {
    Machine::default().text(&["zfs", "send", "-nvPt", token])
}

/// Gives up a partial receive. On a first full one this removes the dataset that shows the token, and only that.
pub fn discard_token(machine: &Machine, replica: &Dataset) -> Result<()> {
    machine.run(&["zfs", "receive", "-A", replica.as_str()])?;
    Ok(())
}

/// What the first stream makes of its dataset.
#[derive(Clone, Copy)]
pub struct First {
    /// It is not encrypted by the key of its parent, which nobody has there.
    pub unencrypted: bool,
}

/// What a stream comes into.
pub struct Landing<'l> {
    pub replica: &'l Dataset,
    pub is_volume: bool,
    /// None for a later stream.
    pub first: Option<First>,
    /// The sender is another machine, which may put properties into the stream.
    pub is_pulled: bool,
}

/// The receiving end. It never mounts and never rolls back. Properties are set on the first stream alone, since later
/// streams keep them.
pub fn receive(machine: &Machine, landing: &Landing, compressor: Option<&str>) -> Pipeline {
    let mut argv = vec!["zfs", "receive", "-s", "-u"];
    for property in landing.wanted() {
        argv.extend(["-o", property]);
    }
    if landing.is_pulled {
        for property in received::unwanted(landing.is_volume, landing.first.is_some()) {
            argv.extend(["-x", property]);
        }
    }
    argv.push(landing.replica.as_str());
    let name = argv.join(" ");
    match compressor {
        Some(program) => machine.pipeline(name, &[&[program, "-dqc"], &argv]),
        None => machine.pipeline(name, &[&argv]),
    }
}

impl Landing<'_> {
    /// What a first stream sets. A volume knows no canmount.
    fn wanted(&self) -> Vec<&'static str> {
        let Some(first) = self.first else {
            return Vec::new();
        };
        let hidden = match self.is_volume {
            true => "volmode=none",
            false => "canmount=noauto",
        };
        let mut wanted = vec!["readonly=on", hidden];
        if first.unencrypted {
            wanted.push("encryption=off");
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(landing: Landing) -> String {
        receive(&Machine::default(), &landing, None).name
    }

    #[test]
    fn a_pulled_stream_chooses_no_mountpoint_share_or_reservation() {
        let replica: Dataset = "backup/x".parse().expect("a dataset");
        for (is_volume, is_first) in [(false, false), (false, true), (true, false), (true, true)] {
            let landing = |is_pulled| Landing {
                replica: &replica,
                is_volume,
                first: is_first.then_some(First { unencrypted: false }),
                is_pulled,
            };
            let pulled = name(landing(true));
            let pushed = name(landing(false));
            assert!(
                pulled.contains(" -x reservation -x refreservation "),
                "{pulled}"
            );
            let shares = " -x mountpoint -x sharenfs -x sharesmb ";
            assert_eq!(pulled.contains(shares), !is_volume, "{pulled}");
            assert!(!pushed.contains("-x"), "{pushed}");
        }
    }

    #[test]
    fn a_first_stream_alone_sets_properties() {
        let replica: Dataset = "backup/x".parse().expect("a dataset");
        let landing = |is_volume, first| Landing {
            replica: &replica,
            is_volume,
            first,
            is_pulled: false,
        };
        let plain = First { unencrypted: true };
        let locked = First { unencrypted: false };
        for (landing, options) in [
            (landing(false, None), ""),
            (
                landing(false, Some(locked)),
                "-o readonly=on -o canmount=noauto ",
            ),
            (
                landing(true, Some(locked)),
                "-o readonly=on -o volmode=none ",
            ),
            (
                landing(false, Some(plain)),
                "-o readonly=on -o canmount=noauto -o encryption=off ",
            ),
        ] {
            assert_eq!(
                name(landing),
                format!("zfs receive -s -u {options}backup/x")
            );
        }
    }
}
