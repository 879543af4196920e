//! The processes of a stream: they are started, watched, and ended. The bytes go through zam (`pump`), counted and
//! limited. If zam dies both ends see a closed pipe, and the receiver keeps what it has (invariant 7).

use std::process::{ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::process::Signal;

use crate::core::verdict::{self, Cut, Ended};
use crate::edge::clock;
use crate::edge::command::Pipeline;
use crate::edge::outcome::Exit::Later;
use crate::edge::process::{self, Process};
use crate::edge::program::not_started;
use crate::edge::pump::Pump;

pub use crate::edge::pump::Limit;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long the receiver may take to keep its token, once there is nothing more to come.
const GRACE: Duration = Duration::from_secs(5);
/// How long a sender may take to end once its receiver has failed. One that writes nothing does not notice.
const FAREWELL: Duration = Duration::from_secs(10);

/// Bytes of all streams of this run.
static MOVED: AtomicU64 = AtomicU64::new(0);

/// How many bytes the streams of this run have moved.
pub fn bytes() -> u64 {
    MOVED.load(Ordering::Relaxed)
}

/// How a stream is treated on its way.
pub struct Watch<'w> {
    /// The stream is ended when no byte moves for so long.
    pub stall: Duration,
    pub limit: Option<Arc<Limit>>,
    /// Set by SIGTERM and SIGINT.
    pub stop: &'w AtomicBool,
    /// Told twice a second how many bytes have passed.
    pub progress: &'w (dyn Fn(u64) + Sync),
}

/// Runs `sender | receiver` to the end and returns the number of bytes between the two.
///
/// # Errors
/// [`Later`] when stopped, when a connection was lost, or when the machine slept meanwhile; otherwise what the end that
/// failed first said (`core/verdict`).
pub fn transfer(sender: Pipeline, receiver: Pipeline, watch: &Watch) -> Result<u64> {
    let slept = clock::slept();
    let mut receiving = start(receiver, Role::Receiver)?;
    let started = start(sender, Role::Sender);
    let mut sending = started.inspect_err(|_| process::end(&mut receiving.processes))?;
    let pump = Pump::start(sending.output(), receiving.input(), watch.limit.clone());
    let mut stream = Stream {
        sending,
        receiving,
        pump,
        watch,
        cut: None,
    };
    stream.supervise();
    let moved = stream.pump.moved();
    MOVED.fetch_add(moved, Ordering::Relaxed);
    let Err(failed) = stream.course().result() else {
        return Ok(moved);
    };
    // The kernel interrupts both ends for it, and they say all sorts of things (seen on 2.1 and 2.3).
    if clock::slept() > slept + Duration::from_secs(1) {
        let why = failed.why;
        return Err(Later(format!(
            "the machine slept meanwhile; the next run goes on: {why}"
        ))
        .into());
    }
    Err(match failed.is_passing {
        true => Later(failed.why).into(),
        false => anyhow!(failed.why),
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    Sender,
    Receiver,
}

/// The processes of one end, each reading what the one before writes.
struct Running {
    processes: Vec<Process>,
    name: String,
    is_remote: bool,
}

/// Starts all programs of one end, or none. A sender reads nothing, and what a receiver prints nobody reads; their other
/// pipes are the pump's.
fn start(pipeline: Pipeline, role: Role) -> Result<Running> {
    let commands = pipeline.commands?;
    let last = commands.len() - 1;
    let mut running = Running {
        processes: Vec::new(),
        name: pipeline.name,
        is_remote: pipeline.is_remote,
    };
    let mut input = match role {
        Role::Sender => Stdio::null(),
        Role::Receiver => Stdio::piped(),
    };
    for (i, mut command) in commands.into_iter().enumerate() {
        let output = match role {
            Role::Receiver if i == last => Stdio::null(),
            _ => Stdio::piped(),
        };
        let mut process = match Process::start(command.stdin(input).stdout(output)) {
            Ok(process) => process,
            Err(e) => {
                process::end(&mut running.processes);
                return Err(not_started(&command.get_program().to_string_lossy(), &e));
            }
        };
        let next = process.child().stdout.take_if(|_| i < last);
        input = next.map_or_else(Stdio::null, Stdio::from);
        running.processes.push(process);
    }
    Ok(running)
}

impl Running {
    /// What the last process writes, if nobody has taken it.
    fn output(&mut self) -> Option<ChildStdout> {
        self.processes.last_mut()?.child().stdout.take()
    }

    /// What the first process reads, if nobody has taken it.
    fn input(&mut self) -> Option<ChildStdin> {
        self.processes.first_mut()?.child().stdin.take()
    }

    fn has_ended(&mut self) -> bool {
        self.processes.iter_mut().all(Process::has_ended)
    }

    /// Whether one of them has ended with anything but 0.
    fn has_failed(&self) -> bool {
        self.processes.iter().any(Process::has_failed)
    }

    /// `role` says where its zfs stands: first in a sender, last in a receiver.
    fn end(self, role: Role) -> verdict::End {
        let mut processes: Vec<Ended> = self.processes.into_iter().map(ended).collect();
        if role == Role::Receiver {
            processes.reverse();
        }
        verdict::End {
            processes,
            name: self.name,
            is_remote: self.is_remote,
        }
    }
}

fn ended(process: Process) -> Ended {
    let ended = process.result();
    Ended {
        code: ended.status.code(),
        status: ended.status.to_string(),
        said: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

/// A stream under way.
struct Stream<'w> {
    sending: Running,
    receiving: Running,
    pump: Pump,
    watch: &'w Watch<'w>,
    cut: Option<Cut>,
}

impl Stream<'_> {
    /// Waits for both ends. When zam is told to stop it ends the sender: the receiver then sees the end of the stream, and
    /// keeps a token. An end that does not go by itself is ended, and neither is waited for without a limit.
    fn supervise(&mut self) {
        let mut position = self.pump.position();
        let mut moved_at = Instant::now();
        let mut told_at = Instant::now();
        let mut failed_at = None;
        let mut until = None;
        loop {
            self.rest();
            let sent = self.sending.has_ended();
            let received = self.receiving.has_ended();
            if sent && received {
                break;
            }
            if told_at.elapsed() >= LOOK {
                told_at = Instant::now();
                (self.watch.progress)(self.pump.moved());
            }
            if self.pump.position() != position {
                (position, moved_at) = (self.pump.position(), Instant::now());
            }
            if received && self.receiving.has_failed() {
                failed_at.get_or_insert_with(Instant::now);
            }
            if self.cut.is_none() {
                self.cut = self.reason_to_cut(moved_at, failed_at);
                until = self.cut.map(|cut| Instant::now() + grace(cut));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                process::end(self.processes());
                break;
            }
        }
        // With both ends gone it has next to nothing left to do.
        self.pump.wait(LOOK);
    }

    fn reason_to_cut(&mut self, moved_at: Instant, failed_at: Option<Instant>) -> Option<Cut> {
        if self.watch.stop.load(Ordering::Relaxed) {
            // The sender's zfs alone: what packs its stream passes on what it has.
            self.sending.processes[0].signal(Signal::KILL);
            return Some(Cut::Stopped);
        }
        if failed_at.is_some_and(|failed_at| failed_at.elapsed() > FAREWELL) {
            return Some(Cut::Deserted);
        }
        let has_stalled = moved_at.elapsed() > self.watch.stall;
        has_stalled.then_some(Cut::Stalled(self.watch.stall.as_secs()))
    }

    /// Until the pump ends, which is nearly all of the time; after that until a process ends.
    fn rest(&mut self) {
        if !self.pump.has_ended() {
            return self.pump.wait(LOOK);
        }
        if let Some(running) = process::running(self.processes()) {
            running.wait();
        }
    }

    /// Those of both ends.
    fn processes(&mut self) -> impl Iterator<Item = &mut Process> {
        let sending = self.sending.processes.iter_mut();
        sending.chain(&mut self.receiving.processes)
    }

    fn course(self) -> verdict::Course {
        verdict::Course {
            sender: self.sending.end(Role::Sender),
            receiver: self.receiving.end(Role::Receiver),
            pumped: self.pump.result().map_err(|e| e.to_string()),
            cut: self.cut,
        }
    }
}

/// How long both ends may go on once the stream is cut.
fn grace(cut: Cut) -> Duration {
    match cut {
        Cut::Stopped => GRACE,
        Cut::Deserted | Cut::Stalled(_) => Duration::ZERO,
    }
}
