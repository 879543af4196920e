//! A stream from one process to another, through zam: in the kernel (splice), counted,
//! limited, and watched. If zam dies both ends see a closed pipe, and the receiver keeps what it has (invariant 7).

use std::io::{self, ErrorKind, Read};
use std::iter;
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::pipe::{SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size};

use super::clock;
use super::command::{Pipeline, not_started, reason};
use super::outcome::Later;

/// Bytes that a pipe may hold, the best first: the more, the fewer wake-ups, and those are what zam costs. The first is
/// for root, the next the most that others may have (/proc/sys/fs/pipe-max-size).
const PIPES: [usize; 2] = [4 << 20, 1 << 20];
const NAP_MIN: Duration = Duration::from_micros(100);
const NAP_MAX: Duration = Duration::from_millis(20);

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
        Limit { bytes_a_second, next: Mutex::new(Instant::now()) }
    }

    /// A tenth of a second's worth, so that the rate is even.
    fn step(&self) -> usize {
        usize::try_from(self.bytes_a_second / 10).unwrap_or(usize::MAX).clamp(1, 1 << 20)
    }

    fn wait(&self, bytes: usize) {
        let Ok(mut next) = self.next.lock() else { return };
        *next = (*next).max(Instant::now()) + Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        let until = *next;
        drop(next);
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

#[derive(PartialEq)]
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
            receiving.children[0].stdin.take();
            return receiving.end().and(Err(error));
        }
    };
    let output = sending.children.last_mut().and_then(|child| child.stdout.take());
    let input = receiving.children[0].stdin.take();
    let moved = Arc::new(AtomicU64::new(0));
    let (finished, pumped) = mpsc::channel();
    let (counter, limit) = (moved.clone(), watch.limit.clone());
    let pump = thread::spawn(move || {
        let result = match (output, input) {
            (Some(output), Some(input)) => pump(output, input, &counter, limit.as_deref()),
            _ => Ok(()),
        };
        let _ = finished.send(result);
    });
    let (result, cut) = supervise(&pumped, &moved, &mut sending, watch);
    if result.is_err() || cut == Some(Cut::Stalled) {
        // Whoever has not noticed yet: the sender of a broken pipe, or a receiver that takes nothing.
        sending.kill();
    }
    if cut == Some(Cut::Stalled) {
        receiving.kill();
        // No word of theirs is waited for: the master of an ssh connection holds its clients' pipes, and outlives them.
        receiving.said.clear();
        sending.said.clear();
    } else {
        let _ = pump.join();
    }
    let judged = judge((sending.end()?, receiving.end()?), result, cut, watch);
    // The kernel interrupts both ends for it, and they say all sorts of things (seen on 2.1 and 2.3).
    let has_slept = clock::slept() > slept + Duration::from_secs(1);
    let judged = judged.map_err(|e| match has_slept {
        true => Later(format!("the machine slept meanwhile; the next run goes on: {e:#}")).into(),
        false => e,
    });
    judged.map(|()| moved.load(Ordering::Relaxed))
}

/// The processes of one end, each reading what the one before writes.
struct Running {
    children: Vec<Child>,
    said: Vec<thread::JoinHandle<String>>,
    name: String,
    is_remote: bool,
}

fn start(pipeline: Pipeline, sends: bool) -> Result<Running> {
    let Pipeline { commands, name, is_remote } = pipeline;
    let mut running = Running { children: Vec::new(), said: Vec::new(), name, is_remote };
    let mut input = if sends { Stdio::null() } else { Stdio::piped() };
    let last = commands.len() - 1;
    for (i, mut command) in commands.into_iter().enumerate() {
        let output = if sends || i < last { Stdio::piped() } else { Stdio::null() };
        let mut child = match command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(e) => {
                running.kill();
                return running.end().and(Err(not_started(&command.get_program().to_string_lossy(), &e)));
            }
        };
        input = if i < last { child.stdout.take().map_or_else(Stdio::null, Stdio::from) } else { Stdio::null() };
        running.said.push(collect(&mut child));
        running.children.push(child);
    }
    Ok(running)
}

impl Running {
    fn kill(&mut self) {
        // Who is gone already cannot be killed.
        self.children.iter_mut().for_each(|child| drop(child.kill()));
    }

    /// Every process is waited for.
    fn end(self) -> Result<End> {
        let statuses = self.children.into_iter().map(|mut child| child.wait()).collect::<io::Result<Vec<_>>>()?;
        let said = self.said.into_iter().map(|said| said.join().unwrap_or_default()).chain(iter::repeat_with(String::new));
        Ok(End { processes: statuses.into_iter().zip(said).collect(), name: self.name, is_remote: self.is_remote })
    }
}

fn collect(child: &mut Child) -> thread::JoinHandle<String> {
    let stderr = child.stderr.take();
    thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    })
}

fn pump(
    output: std::process::ChildStdout,
    input: std::process::ChildStdin,
    moved: &AtomicU64,
    limit: Option<&Limit>,
) -> io::Result<()> {
    let size = enlarge(&output).min(enlarge(&input));
    let step = limit.map_or(size, Limit::step);
    let mut nap = Duration::ZERO;
    loop {
        let passed = match rustix::pipe::splice(&output, None, &input, None, step, SpliceFlags::empty()) {
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
    let enlarged = PIPES.into_iter().find_map(|size| fcntl_setpipe_size(&pipe, size).ok());
    enlarged.or_else(|| fcntl_getpipe_size(&pipe).ok()).unwrap_or(4096)
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

/// Waits for the pump; ends the sender when told to stop or when nothing moves. The receiver then sees the end of the
/// stream, and keeps a token.
fn supervise(
    pumped: &mpsc::Receiver<io::Result<()>>,
    moved: &AtomicU64,
    sending: &mut Running,
    watch: &Watch,
) -> (io::Result<()>, Option<Cut>) {
    let (mut last, mut since, mut cut) = (0, Instant::now(), None);
    loop {
        match pumped.recv_timeout(Duration::from_millis(500)) {
            Ok(result) => return (result, cut),
            Err(RecvTimeoutError::Disconnected) => return (Err(ErrorKind::Other.into()), cut),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = moved.load(Ordering::Relaxed);
        (watch.progress)(now);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if cut.is_none() && watch.stop.load(Ordering::Relaxed) {
            cut = Some(Cut::Stopped);
            // Its zfs alone: what packs its stream passes on what it has.
            let _ = sending.children[0].kill();
        } else if since.elapsed() > watch.stall {
            return (Ok(()), Some(Cut::Stalled));
        }
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
        let mut failed: Vec<_> = self.processes.iter().filter(|(status, said)| !status.success() || !said.is_empty()).collect();
        if zfs_is_last {
            failed.reverse();
        }
        let text = failed.first().map(|(status, said)| format!("{}: {}", self.name, reason(said, *status))).unwrap_or_default();
        // A remote `zfs send` of a stale token says 255 too, and why.
        let status = self.processes.first().and_then(|(status, _)| status.code());
        let lost = self.is_remote && status == Some(255) && !text.contains("cannot resume send");
        if lost { Later(format!("the connection was lost; the next run resumes: {text}")).into() } else { anyhow!(text) }
    }

    fn has_said_something(&self) -> bool {
        self.processes.iter().any(|(_, said)| !said.trim().is_empty())
    }
}

fn judge((sender, receiver): (End, End), pumped: io::Result<()>, cut: Option<Cut>, watch: &Watch) -> Result<()> {
    match cut {
        Some(Cut::Stopped) => return Err(Later("the transfer was stopped; the next run resumes it".into()).into()),
        Some(Cut::Stalled) => {
            let text =
                format!("no byte moved for {} s (stall-timeout); {}; the next run resumes", watch.stall.as_secs(), sender.name);
            // A network that went silent is one that was lost.
            return Err(if sender.is_remote || receiver.is_remote { Later(text).into() } else { anyhow!(text) });
        }
        None => {}
    }
    match pumped {
        // The receiver went first: what the sender says of that is only a broken pipe.
        Err(_) if receiver.failed() => Err(receiver.error(true)),
        Err(e) => Err(anyhow!("the stream of {} broke: {e}", sender.name)),
        Ok(()) if sender.failed() => Err(sender.error(false)),
        // Over ssh, a sender's failure before a compressor shows in its words alone.
        Ok(()) if receiver.failed() && sender.has_said_something() => {
            Err(receiver.error(true).context(sender.error(false).to_string()))
        }
        Ok(()) if receiver.failed() => Err(receiver.error(true)),
        Ok(()) => Ok(()),
    }
}
