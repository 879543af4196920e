//! A stream from one process to another, through zam: in the kernel (splice), counted,
//! limited, and watched. If zam dies both ends see a closed pipe, and the receiver keeps what it has (invariant 7).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::fs::OFlags;
use rustix::io::ioctl_fionread;
use rustix::pipe::{SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size};
use rustix::process::Signal;

use crate::edge::clock;
use crate::edge::command::{Pipeline, not_started, reason};
use crate::edge::outcome::Exit::Later;
use crate::edge::process::{self, Process, nap};

/// Bytes that a pipe may hold, the best first: the more, the fewer wake-ups, and those are what zam costs. The first is
/// for root, the next the most that others may have (/proc/sys/fs/pipe-max-size).
const PIPES: [usize; 2] = [4 << 20, 1 << 20];
const NAP_MIN: Duration = Duration::from_micros(100);
const NAP_MAX: Duration = Duration::from_millis(20);
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long the receiver may take to keep its token, once there is nothing more to come.
const GRACE: Duration = Duration::from_secs(5);
/// How long a sender may take to end once its receiver has.
const FAREWELL: Duration = Duration::from_secs(10);

/// How a stream is treated on its way.
pub struct Watch<'w> {
    /// No byte for so long ends the stream.
    pub stall: Duration,
    pub limit: Option<Arc<Limit>>,
    /// Set by SIGTERM and SIGINT.
    pub stop: &'w AtomicBool,
    /// Told twice a second how many bytes have passed.
    pub progress: &'w (dyn Fn(u64) + Sync),
}

/// A rate that the streams of a job share.
pub struct Limit {
    bytes_a_second: u64,
    /// When the next byte may go.
    next: Mutex<Instant>,
}

impl Limit {
    pub fn new(bytes_a_second: u64) -> Self {
        Limit {
            bytes_a_second,
            next: Mutex::new(Instant::now()),
        }
    }

    /// A tenth of a second's worth, so that the rate is even.
    fn step(&self) -> usize {
        usize::try_from(self.bytes_a_second / 10)
            .unwrap_or(usize::MAX)
            .clamp(1, 1 << 20)
    }

    fn wait(&self, bytes: usize) {
        let Ok(mut next) = self.next.lock() else {
            return;
        };
        *next = (*next).max(Instant::now())
            + Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        let until = *next;
        drop(next);
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Stopped,
    Stalled,
}

/// Runs `sender | receiver` to the end and returns the number of bytes between the two.
///
/// # Errors
/// [`Later`] when stopped, when a connection was lost, or when the machine slept meanwhile; otherwise what the end that failed first said, the receiver's
/// message before the sender's broken pipe.
pub fn transfer(sender: Pipeline, receiver: Pipeline, watch: &Watch) -> Result<u64> {
    let slept = clock::slept();
    let mut receiving = start(receiver, false)?;
    let mut sending = match start(sender, true) {
        Ok(sending) => sending,
        Err(error) => {
            process::end(receiving.processes.iter_mut());
            return Err(error);
        }
    };
    let moved = Arc::new(AtomicU64::new(0));
    let pumped = start_pump(&mut sending, &mut receiving, &moved, watch);
    let mut course = Course {
        sending,
        receiving,
        pumped,
        pump: Pump::Runs,
        moved,
        watch,
        cut: None,
    };
    course.supervise();
    let moved = course.moved.load(Ordering::Relaxed);
    let judged = course.judge();
    // The kernel interrupts both ends for it, and they say all sorts of things (seen on 2.1 and 2.3).
    let has_slept = clock::slept() > slept + Duration::from_secs(1);
    let judged = judged.map_err(|e| match has_slept {
        true => Later(format!(
            "the machine slept meanwhile; the next run goes on: {e:#}"
        ))
        .into(),
        false => e,
    });
    judged.map(|()| moved)
}

/// The processes of one end, each reading what the one before writes.
struct Running {
    processes: Vec<Process>,
    name: String,
    is_remote: bool,
}

fn start(pipeline: Pipeline, sends: bool) -> Result<Running> {
    let Pipeline {
        commands,
        name,
        is_remote,
    } = pipeline;
    let commands = commands?;
    let mut running = Running {
        processes: Vec::new(),
        name,
        is_remote,
    };
    let mut input = if sends { Stdio::null() } else { Stdio::piped() };
    let last = commands.len() - 1;
    for (i, mut command) in commands.into_iter().enumerate() {
        let output = if sends || i < last {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut process = match Process::start(command.stdin(input).stdout(output)) {
            Ok(process) => process,
            Err(e) => {
                process::end(running.processes.iter_mut());
                return Err(not_started(&command.get_program().to_string_lossy(), &e));
            }
        };
        let next = if i < last {
            process.child().stdout.take()
        } else {
            None
        };
        input = next.map_or_else(Stdio::null, Stdio::from);
        running.processes.push(process);
    }
    Ok(running)
}

impl Running {
    fn has_ended(&mut self) -> bool {
        self.processes.iter_mut().all(Process::has_ended)
    }

    fn end(self) -> End {
        let said = |process: Process| {
            let (status, said) = process.result();
            (status, String::from_utf8_lossy(&said).into_owned())
        };
        End {
            processes: self.processes.into_iter().map(said).collect(),
            name: self.name,
            is_remote: self.is_remote,
        }
    }
}

/// What the pump leaves: how it ended, and the receiver's pipe, to see how much of it is still unread.
type Pumped = (io::Result<()>, Option<File>);

fn start_pump(
    sending: &mut Running,
    receiving: &mut Running,
    moved: &Arc<AtomicU64>,
    watch: &Watch,
) -> Receiver<Pumped> {
    let output = sending
        .processes
        .last_mut()
        .and_then(|process| process.child().stdout.take());
    let input = receiving.processes[0].child().stdin.take();
    let (finished, pumped) = mpsc::channel();
    let (moved, limit) = (moved.clone(), watch.limit.clone());
    thread::spawn(move || {
        if let (Some(output), Some(input)) = (output, input) {
            let result = pump(&output, &input, &moved, limit.as_deref());
            // Nobody listens any more to a stream that was given up.
            let _ = finished.send((result, reader_of(&input)));
        }
    });
    pumped
}

/// The other end of a pipe. It may be opened only when nothing more is written: as long as somebody could read, a writer
/// does not hear that the receiver has gone.
fn reader_of(pipe: &ChildStdin) -> Option<File> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    File::options()
        .read(true)
        .custom_flags((OFlags::NONBLOCK | OFlags::CLOEXEC).bits() as i32)
        .open(path)
        .ok()
}

fn pump(
    output: &ChildStdout,
    input: &ChildStdin,
    moved: &AtomicU64,
    limit: Option<&Limit>,
) -> io::Result<()> {
    let size = enlarge(output).min(enlarge(input));
    let step = limit.map_or(size, Limit::step);
    let mut nap = Duration::ZERO;
    loop {
        let passed =
            match rustix::pipe::splice(output, None, input, None, step, SpliceFlags::empty()) {
                Err(rustix::io::Errno::INTR) => continue,
                passed => passed?,
            };
        if passed == 0 {
            return Ok(());
        }
        moved.fetch_add(passed as u64, Ordering::Relaxed);
        match limit {
            Some(limit) => limit.wait(passed),
            None => nap = rest(nap, passed, size),
        }
    }
}

/// The bytes that the pipe then holds: who has many pipes may be refused more, and gets small ones (pipe(7)).
fn enlarge(pipe: impl AsFd) -> usize {
    let enlarged = PIPES
        .into_iter()
        .find_map(|size| fcntl_setpipe_size(&pipe, size).ok());
    enlarged
        .or_else(|| fcntl_getpipe_size(&pipe).ok())
        .unwrap_or(4096)
}

/// While zam sleeps the stream collects in the sender's pipe, and goes on in larger pieces: that saves most of the CPU.
/// The nap is as long as the pipe stays between a quarter and a half full, so that nobody waits for zam.
fn rest(nap: Duration, passed: usize, size: usize) -> Duration {
    let nap = match 4 * passed / size {
        0 => (nap * 2).clamp(NAP_MIN, NAP_MAX),
        1 => nap,
        _ => nap / 2,
    };
    if nap >= NAP_MIN {
        thread::sleep(nap);
    }
    nap
}

enum Pump {
    Runs,
    Ended(io::Result<()>, Option<File>),
}

/// A stream under way.
struct Course<'w> {
    sending: Running,
    receiving: Running,
    pumped: Receiver<Pumped>,
    pump: Pump,
    moved: Arc<AtomicU64>,
    watch: &'w Watch<'w>,
    cut: Option<Cut>,
}

impl Course<'_> {
    /// Waits for both ends. Told to stop, it ends the sender: the receiver then sees the end of the stream, and keeps a
    /// token. Who does not go by himself is ended, and nobody is waited for without a limit.
    fn supervise(&mut self) {
        let (mut position, mut since, mut looked) =
            (self.position(), Instant::now(), Instant::now());
        let mut until = None;
        loop {
            self.rest(since);
            let (sent, received) = (self.sending.has_ended(), self.receiving.has_ended());
            if sent && received {
                self.wait_for_pump();
                return;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                (self.watch.progress)(self.moved.load(Ordering::Relaxed));
            }
            if self.position() != position {
                (position, since) = (self.position(), Instant::now());
            }
            if self.cut.is_none() {
                self.cut = self.reason_to_cut(since);
                until = self.cut.map(|cut| {
                    Instant::now()
                        + if cut == Cut::Stopped {
                            GRACE
                        } else {
                            Duration::ZERO
                        }
                });
            }
            // Without its receiver a sender that writes nothing would not notice.
            if received && until.is_none() {
                until = Some(Instant::now() + FAREWELL);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                process::end(
                    self.sending
                        .processes
                        .iter_mut()
                        .chain(&mut self.receiving.processes),
                );
                self.wait_for_pump();
                return;
            }
        }
    }

    fn reason_to_cut(&mut self, since: Instant) -> Option<Cut> {
        if self.watch.stop.load(Ordering::Relaxed) {
            // Its zfs alone: what packs its stream passes on what it has.
            self.sending.processes[0].signal(Signal::KILL);
            return Some(Cut::Stopped);
        }
        (since.elapsed() > self.watch.stall).then_some(Cut::Stalled)
    }

    /// Until the pump has ended it wakes us; after that the processes are looked at ever more seldom.
    fn rest(&mut self, since: Instant) {
        match &self.pump {
            Pump::Runs => self.listen(LOOK),
            Pump::Ended(..) => nap(since),
        }
    }

    /// With both ends gone it has next to nothing left to do.
    fn wait_for_pump(&mut self) {
        if matches!(self.pump, Pump::Runs) {
            self.listen(LOOK);
        }
    }

    fn listen(&mut self, patience: Duration) {
        match self.pumped.recv_timeout(patience) {
            Ok((result, pipe)) => self.pump = Pump::Ended(result, pipe),
            Err(RecvTimeoutError::Disconnected) => {
                self.pump = Pump::Ended(Err(ErrorKind::Other.into()), None)
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    /// Changes whenever something moves: a byte into the receiver's pipe, or, once all are in it, out of it.
    fn position(&self) -> (u64, Option<u64>) {
        let unread = match &self.pump {
            Pump::Ended(_, pipe) => Some(
                pipe.as_ref()
                    .and_then(|pipe| ioctl_fionread(pipe).ok())
                    .unwrap_or(0),
            ),
            Pump::Runs => None,
        };
        (self.moved.load(Ordering::Relaxed), unread)
    }

    fn judge(self) -> Result<()> {
        let pumped = match self.pump {
            Pump::Ended(result, _) => result,
            Pump::Runs => Err(ErrorKind::TimedOut.into()),
        };
        judge(
            &self.sending.end(),
            &self.receiving.end(),
            pumped,
            self.cut,
            self.watch,
        )
    }
}

struct End {
    /// How each process ended, and what it said.
    processes: Vec<(ExitStatus, String)>,
    name: String,
    is_remote: bool,
}

impl End {
    fn failed(&self) -> bool {
        self.processes.iter().any(|(status, _)| !status.success())
    }

    /// What its zfs said, and after that what packs or unpacks the stream, which only suffers from it.
    fn error(&self, zfs_is_last: bool) -> anyhow::Error {
        let mut failed: Vec<_> = self
            .processes
            .iter()
            .filter(|(status, said)| !status.success() || !said.is_empty())
            .collect();
        if zfs_is_last {
            failed.reverse();
        }
        let text = failed
            .first()
            .map(|(status, said)| format!("{}: {}", self.name, reason(said, *status)))
            .unwrap_or_default();
        // A remote `zfs send` of a stale token says 255 too, and why.
        let status = self.processes.first().and_then(|(status, _)| status.code());
        let lost = self.is_remote && status == Some(255) && !text.contains("cannot resume send");
        if lost {
            Later(format!(
                "the connection was lost; the next run resumes: {text}"
            ))
            .into()
        } else {
            anyhow!(text)
        }
    }

    fn has_said_something(&self) -> bool {
        self.processes
            .iter()
            .any(|(_, said)| !said.trim().is_empty())
    }
}

fn judge(
    sender: &End,
    receiver: &End,
    pumped: io::Result<()>,
    cut: Option<Cut>,
    watch: &Watch,
) -> Result<()> {
    // A receiver may be done and gone before the pump looks for more: its broken pipe means nothing then.
    if !sender.failed() && !receiver.failed() {
        return Ok(());
    }
    match cut {
        Some(Cut::Stopped) => {
            return Err(Later("the transfer was stopped; the next run resumes it".into()).into());
        }
        Some(Cut::Stalled) => {
            let text = format!(
                "no byte moved for {} s (stall-timeout); {}; the next run resumes",
                watch.stall.as_secs(),
                sender.name
            );
            // A network that went silent is one that was lost.
            return Err(if sender.is_remote || receiver.is_remote {
                Later(text).into()
            } else {
                anyhow!(text)
            });
        }
        None => {}
    }
    match pumped {
        // The receiver went first: what the sender says of that is only a broken pipe.
        Err(_) if receiver.failed() => Err(receiver.error(true)),
        Err(e) => Err(anyhow!("the stream of {} broke: {e}", sender.name)),
        Ok(()) if sender.failed() => Err(sender.error(false)),
        // Over ssh, a sender's failure before a compressor shows in its words alone.
        Ok(()) if sender.has_said_something() => Err(receiver
            .error(true)
            .context(sender.error(false).to_string())),
        Ok(()) => Err(receiver.error(true)),
    }
}
