//! A process that runs, what it says, and its end. Once told to go it is waited for within a limit, because a process that
//! hangs in the kernel hears no signal; and what it says is kept within bounds.

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open};
use rustix::time::Timespec;

use crate::edge::mutex::lock;
use crate::edge::stop;

/// How long a process may take to go once it was told to, and again once it was killed.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait for the end of a pipe whose process has ended: somebody else may hold it open.
const LINGER: Duration = Duration::from_secs(2);
/// How often a process is looked at that is waited for, and whether the run is to stop.
const TICK: Duration = Duration::from_millis(100);
/// Bytes that are kept of the beginning of what a process says, and as many of the end.
const SAID_MAX: usize = 64 << 10;
/// Bytes that a command may print. A listing of a million snapshots has a tenth of that.
const PRINTED_MAX: u64 = 1 << 30;

pub(super) struct Process {
    child: Child,
    /// Readable once the process has ended.
    handle: Option<OwnedFd>,
    said: Said,
    status: Option<ExitStatus>,
}

impl Process {
    /// Its stderr is collected from now on.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        let said = Said::collect(child.stderr.take());
        Ok(Process {
            handle: pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).ok(),
            child,
            said,
            status: None,
        })
    }

    /// Its stdin and stdout.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(super) fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_some()
    }

    /// Waits for its end, at most for a [`TICK`].
    pub(super) fn wait(&self) {
        let Some(handle) = &self.handle else {
            // Linux before 5.3 has no pidfd_open(2).
            return thread::sleep(TICK / 10);
        };
        let limit = Timespec::try_from(TICK).ok();
        // A signal ends the wait too, and the caller looks whether the run is to stop.
        let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], limit.as_ref());
    }

    /// Whether it was seen to end with anything but 0.
    pub(super) fn has_failed(&self) -> bool {
        self.status.is_some_and(|status| !status.success())
    }

    pub(super) fn signal(&mut self, signal: Signal) {
        // The number of a process that has ended may be another's by now.
        if !self.has_ended() {
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// Kills it with all that it has started. It must lead a process group.
    pub(super) fn kill_group(&mut self) {
        if !self.has_ended() {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        }
    }

    /// Waits for its end, at most until `deadline`. Whether it has ended by then.
    pub(super) fn ends_before(&mut self, deadline: Instant) -> bool {
        while !self.has_ended() && Instant::now() < deadline {
            self.wait();
        }
        self.has_ended()
    }

    /// How it ended, and what it said on stderr. A process that does not even die counts as killed.
    pub(super) fn result(self) -> Output {
        let killed = ExitStatus::from_raw(Signal::KILL.as_raw());
        Output {
            status: self.status.unwrap_or(killed),
            stdout: Vec::new(),
            stderr: self.said.bytes(),
        }
    }
}

/// The first of them that has not ended.
pub(super) fn running<'p>(
    mut processes: impl Iterator<Item = &'p mut Process>,
) -> Option<&'p mut Process> {
    processes.find_map(|process| (!process.has_ended()).then_some(process))
}

/// Ends them, and waits for that for two seconds at most.
pub(super) fn end<'p>(processes: impl IntoIterator<Item = &'p mut Process>) {
    let mut processes: Vec<&mut Process> = processes.into_iter().collect();
    for signal in [Signal::TERM, Signal::KILL] {
        for process in &mut processes {
            process.signal(signal);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match running(processes.iter_mut().map(|process| &mut **process)) {
                Some(running) => running.wait(),
                None => return,
            }
        }
    }
}

/// Runs it to its end, or until the run is to stop.
///
/// # Errors
/// [`super::outcome::Exit::Later`] when stopped; it printed more than [`PRINTED_MAX`] bytes; it cannot be started
/// (`io::Error`).
pub(super) fn output(command: &mut Command) -> Result<Output> {
    if stop::is_wanted() {
        return Err(stop::stopped());
    }
    let mut process = Process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let printed = collect(process.child.stdout.take());
    let mut stdout = None;
    while !process.has_ended() {
        if stop::is_wanted() {
            end([&mut process]);
            return Err(stop::stopped());
        }
        match stdout {
            None => stdout = printed.recv_timeout(TICK).ok(),
            Some(_) => process.wait(),
        }
    }
    let stdout = match stdout {
        Some(stdout) => stdout,
        None => printed
            .recv_timeout(LINGER)
            .context("it has ended, but somebody else holds its output open")?,
    };
    let stdout = stdout.context("its output cannot be read")?;
    if stdout.len() as u64 > PRINTED_MAX {
        bail!("it printed more than {PRINTED_MAX} bytes");
    }
    let result = process.result();
    Ok(Output { stdout, ..result })
}

/// Reads all that a process prints, in a thread of its own.
fn collect(stdout: Option<ChildStdout>) -> Receiver<io::Result<Vec<u8>>> {
    let (sender, printed) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more when the run stops.
        let _ = sender.send(read_to_end(stdout));
    });
    printed
}

fn read_to_end(stdout: Option<ChildStdout>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(PRINTED_MAX + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// What a process says on stderr: the beginning and the end of it.
struct Said {
    kept: Arc<Mutex<Kept>>,
    ended: Receiver<()>,
}

#[derive(Default)]
struct Kept {
    first: Vec<u8>,
    last: Vec<u8>,
    left_out: usize,
}

impl Said {
    fn collect(stderr: Option<ChildStderr>) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (end, ended) = mpsc::channel();
        let keeper = kept.clone();
        thread::spawn(move || {
            if let Some(stderr) = stderr {
                keep(stderr, &keeper);
            }
            let _ = end.send(());
        });
        Said { kept, ended }
    }

    /// Does not wait for ever: the master of an ssh connection keeps its client's stderr open.
    fn bytes(self) -> Vec<u8> {
        let _ = self.ended.recv_timeout(LINGER);
        lock(&self.kept).bytes()
    }
}

fn keep(mut stderr: ChildStderr, kept: &Mutex<Kept>) {
    let mut buffer = vec![0; 8 << 10];
    while let Ok(count @ 1..) = stderr.read(&mut buffer) {
        lock(kept).add(&buffer[..count]);
    }
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(SAID_MAX - self.first.len()));
        self.first.extend(first);
        self.last.extend(rest);
        // Only now and then, because moving the rest costs more than keeping it for a while.
        if self.last.len() > 2 * SAID_MAX {
            let extra = self.last.len() - SAID_MAX;
            self.last.drain(..extra);
            self.left_out += extra;
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let gap = match self.left_out {
            0 => String::new(),
            left_out => format!("\n({left_out} bytes left out)\n"),
        };
        [&self.first, gap.as_bytes(), &self.last].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_of_what_is_said_are_kept() {
        let mut kept = Kept::default();
        kept.add(b"begin\n");
        for _ in 0..1000 {
            kept.add(&[b'x'; 5000]);
        }
        kept.add(b"\nend");
        let bytes = kept.bytes();
        assert!(bytes.len() < 4 * SAID_MAX, "{}", bytes.len());
        assert!(bytes.starts_with(b"begin\n") && bytes.ends_with(b"\nend"));
        assert!(String::from_utf8_lossy(&bytes).contains("bytes left out"));
    }

    #[test]
    fn little_is_kept_whole() {
        let mut kept = Kept::default();
        kept.add(b"one ");
        kept.add(b"two");
        assert_eq!(kept.bytes(), b"one two");
    }
}
