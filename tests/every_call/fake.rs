//! This binary as `zfs` or `ssh`: meets the fault that is planned for one call, and else does what the model does.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use serde::{Deserialize, Serialize};
use zam::core::name::Prefix;
use zam::core::serve::{Key, Role};

use super::common::program;
use super::faults::Fault;
use super::judge::ROOT;
use super::model::{Partial, Store, World};
use super::stream::{DATA, Header};
use super::zfs::{self, Reply, Words};

/// Names the directory of the world, for the fakes.
pub(super) const DIRECTORY: &str = "EVERY_CALL";
/// The process of zam, for what a fake ssh starts.
const ZAM: &str = "EVERY_CALL_ZAM";

/// A fault at the `nth` call (from 0) with these words.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Planned {
    pub(super) call: String,
    pub(super) nth: usize,
    pub(super) fault: Fault,
    /// Whom a swap is done to.
    pub(super) victim: String,
}

/// How many of `calls` before the last are the same.
fn earlier(calls: &[String]) -> usize {
    let Some((last, before)) = calls.split_last() else {
        return 0;
    };
    before.iter().filter(|call| *call == last).count()
}

/// Today's names differ from run to run.
fn key(program: &str, argv: &[&str]) -> String {
    let words: Vec<String> = argv
        .iter()
        .map(|word| {
            if argv[0] == "snapshot" {
                without_time(word)
            } else {
                (*word).into()
            }
        })
        .collect();
    format!("{program} {}", words.join(" "))
}

fn without_time(word: &str) -> String {
    word.split_once("@zam_")
        .map_or(word.into(), |(dataset, _)| format!("{dataset}@NOW"))
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY)
        .expect("the directory of the world")
        .into()
}

/// Notes the call, lets somebody else act where that is planned, and says which fault it is to meet.
fn meet(store: &Store, call: String) -> Option<Fault> {
    let planned: Option<Planned> = std::fs::read(directory().join("fault.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    store.with(|world| {
        world.calls.push(call);
        let fault = planned.filter(|planned| {
            world.calls.last() == Some(&planned.call) && earlier(&world.calls) == planned.nth
        })?;
        world.met += 1;
        if let Fault::Swap(swap) = fault.fault {
            swap.act(world, &fault.victim);
        }
        Some(fault.fault)
    })
}

fn zam() -> String {
    std::env::var(ZAM).unwrap_or_else(|_| parent_id().to_string())
}

fn kill(process: &str) {
    let _ = program("/bin/sh")
        .args(["-c", "kill -9 $0", process])
        .stderr(Stdio::null())
        .status();
}

fn die() -> ExitCode {
    kill(&std::process::id().to_string());
    ExitCode::FAILURE
}

pub(super) fn run(program: &str, argv: &[&str]) -> ExitCode {
    let store = Store::at(&directory());
    match program {
        "ssh" => ssh(&store, argv),
        "zfs" => zfs(&store, argv),
        _ => ExitCode::FAILURE,
    }
}

fn zfs(store: &Store, argv: &[&str]) -> ExitCode {
    let fault = meet(store, key("zfs", argv));
    match fault {
        Some(Fault::Fails) => {
            eprintln!("cannot {} '{}': I/O error", argv[0], argv[argv.len() - 1]);
            return ExitCode::FAILURE;
        }
        Some(Fault::Killed) => return die(),
        Some(Fault::ZamKilled) => {
            kill(&zam());
            return ExitCode::FAILURE;
        }
        Some(Fault::Noise) => {
            eprintln!("bash: warning: setlocale: LC_ALL: cannot change locale (de_DE.UTF-8)")
        }
        _ => {}
    }
    let reply = if argv[0] == "receive" && !argv.contains(&"-A") {
        receive(store, argv, fault)
    } else {
        store.with(|world| zfs::run(world, argv))
    };
    conclude(reply, fault)
}

/// Says what there is to say, as far as the fault lets it.
fn conclude(reply: Reply, fault: Option<Fault>) -> ExitCode {
    let kept = match fault {
        Some(Fault::Cut(cut) | Fault::CutAndFails(cut)) => cut.length(&reply.out),
        _ => reply.out.len(),
    };
    eprint!("{}", reply.err);
    if io::stdout()
        .write_all(&reply.out[..kept])
        .and_then(|()| io::stdout().flush())
        .is_err()
    {
        eprintln!("warning: cannot send: Broken pipe");
        return ExitCode::FAILURE;
    }
    match fault {
        Some(Fault::KilledAfter) => die(),
        Some(Fault::ZamKilledAfter) => {
            kill(&zam());
            reply.code.into()
        }
        Some(Fault::FailsAfter | Fault::CutAndFails(_)) => {
            eprintln!("internal error: I/O error");
            ExitCode::FAILURE
        }
        _ => reply.code.into(),
    }
}

fn ssh(store: &Store, argv: &[&str]) -> ExitCode {
    let Some((at, command)) = argv.iter().position(|word| *word == "--").zip(argv.last()) else {
        return ExitCode::FAILURE;
    };
    if argv.len() != at + 3 {
        return ExitCode::SUCCESS; // -O exit
    }
    let fault = meet(store, key("ssh", &[command]));
    let lost = || {
        eprintln!("Connection to nas closed by remote host.");
        ExitCode::from(255)
    };
    match fault {
        Some(Fault::Lost) => return lost(),
        Some(Fault::Noise) => {
            eprintln!("Could not chdir to home directory /home/zam: No such file or directory")
        }
        Some(Fault::ZamKilled) => kill(&zam()),
        _ => {}
    }
    let keys = [served(ROOT, Role::Push), served("tank", Role::ReadOnly)];
    if !keys.iter().any(|key| key.judge(command).is_ok()) {
        eprintln!("zam serve refuses what zam sends: {command}");
        return ExitCode::FAILURE;
    }
    // The other machine's PATH has our zfs first.
    let ours = format!("PATH={}:", directory().join("bin").display());
    let status = program("/bin/sh")
        .args(["-c", &command.replace("PATH=", &ours)])
        .env(ZAM, zam())
        .status();
    match fault {
        Some(Fault::LostAfter) => lost(),
        _ => status
            .ok()
            .and_then(|status| u8::try_from(status.code()?).ok())
            .unwrap_or(255)
            .into(),
    }
}

/// A key that is bound to what is kept here, or fetched from here.
fn served(root: &str, role: Role) -> Key {
    Key {
        roots: vec![root.parse().expect("a dataset")],
        role,
        prefix: Prefix::default(),
    }
}

/// The receiving end, which takes a stream snapshot by snapshot.
fn receive(store: &Store, argv: &[&str], fault: Option<Fault>) -> Reply {
    let words = Words::of(&argv[1..], "osx");
    let place = argv[argv.len() - 1];
    let mut stream = BufReader::new(io::stdin().lock());
    if words.has('F') {
        store.with(|world| world.crimes.push(argv.join(" ")));
    }
    let mut line = Vec::new();
    for count in 0.. {
        line.clear();
        if stream.read_until(b'\n', &mut line).is_err() || line.last() != Some(&b'\n') {
            return Reply::fails("cannot receive: failed to read from stream\n");
        }
        if line == b"end\n" && count > 0 {
            let _ = io::copy(&mut stream, &mut io::sink());
            return Reply::default();
        }
        let Ok(header) = serde_json::from_slice::<Header>(&line) else {
            return Reply::fails("cannot receive: invalid stream\n");
        };
        if let Err(why) = store.with(|world| begin(world, place, &header, &words)) {
            return Reply::fails(format!("cannot receive: {why}\n"));
        }
        let midway = matches!(fault, Some(Fault::KilledMidway | Fault::ZamKilledMidway));
        let mut data = vec![0; DATA];
        let whole = !midway && stream.read_exact(&mut data).is_ok();
        store.with(|world| end(world, place, &header, whole));
        match fault {
            Some(Fault::KilledMidway) => drop(die()),
            Some(Fault::ZamKilledMidway) => kill(&zam()),
            _ => {}
        }
        if !whole {
            return Reply::fails(
                "cannot receive resume stream: checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\n",
            );
        }
    }
    Reply::default()
}

/// Whether the stream fits, as the kernel sees it; makes the dataset of a first one.
fn begin(world: &mut World, place: &str, header: &Header, words: &Words) -> Result<(), String> {
    let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
    let Some(state) = world.datasets.get_mut(place) else {
        return match header.from {
            Some(_) => Err(format!("destination '{place}' does not exist")),
            None if !world.datasets.contains_key(parent) => {
                Err(format!("parent '{parent}' does not exist"))
            }
            None => {
                world.create(place).properties.extend(words.properties());
                Ok(())
            }
        };
    };
    if header.resumed {
        let left = state.partial.as_ref().map(|left| (left.to, left.from));
        let fits = left == Some((header.snapshot.guid, header.from));
        return if fits {
            Ok(())
        } else {
            Err(format!("destination {place} has no state for this stream"))
        };
    }
    if header.from.is_none() {
        return Err(format!(
            "destination '{place}' exists\nmust specify -F to overwrite it"
        ));
    }
    if state.partial.is_some() {
        return Err(format!(
            "destination {place} contains partially-complete state from \"zfs receive -s\"."
        ));
    }
    if state.snapshot(&header.snapshot.name).is_some() {
        return Err(format!(
            "destination '{place}@{}' already exists",
            header.snapshot.name
        ));
    }
    if state.written > 0 {
        return Err(format!(
            "destination {place} has been modified\nsince most recent snapshot"
        ));
    }
    let newest = state
        .snapshots
        .iter()
        .rev()
        .find(|s| Some(s.guid) == header.from || s.written > 0);
    if newest.map(|s| s.guid) != header.from {
        return Err(format!(
            "most recent snapshot of {place} does not\nmatch incremental source"
        ));
    }
    Ok(())
}

fn end(world: &mut World, place: &str, header: &Header, whole: bool) {
    if !world.datasets.contains_key(place) {
        return;
    }
    if whole {
        world.receive(place, header.snapshot.clone());
    } else if let Some(state) = world.datasets.get_mut(place) {
        let name = format!("{}@{}", header.dataset, header.snapshot.name);
        state.partial = Some(Partial {
            to: header.snapshot.guid,
            from: header.from,
            name,
            is_strangers: false,
        });
    }
}
