//! A stream from one process to another, through zam: in the kernel (std's copy splices between pipes), counted,
//! limited, and watched. If zam dies both ends see a closed pipe, and the receiver keeps what it has (invariant 7).

use std::io::{self, ErrorKind, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::command::{not_started, reason};
use super::outcome::Later;

/// The largest that an ordinary user may have (/proc/sys/fs/pipe-max-size): fewer wake-ups, a third of the CPU.
const PIPE: usize = 1 << 20;
/// What is counted at a time: small enough that a trickle is seen to move within `stall-timeout`.
const STEP: u64 = 256 << 10;

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
    fn step(&self) -> u64 {
        (self.bytes_a_second / 10).clamp(1, STEP)
    }

    fn wait(&self, bytes: u64) {
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

/// Runs `sender | receiver` to the end and returns the number of bytes.
///
/// # Errors
/// [`Later`] when stopped; otherwise what the end that failed first said, the receiver's message before the sender's
/// broken pipe.
pub fn transfer(mut sender: (Command, String), mut receiver: (Command, String), watch: &Watch) -> Result<u64> {
    let mut receiving = spawn(&mut receiver.0, Stdio::piped(), Stdio::null(), &receiver.1)?;
    let mut sending = match spawn(&mut sender.0, Stdio::null(), Stdio::piped(), &sender.1) {
        Ok(child) => child,
        Err(e) => {
            drop(receiving.stdin.take());
            let _ = receiving.wait();
            return Err(e);
        }
    };
    let said = [collect(&mut sending), collect(&mut receiving)];
    let moved = Arc::new(AtomicU64::new(0));
    let (finished, pumped) = mpsc::channel();
    let (output, input) = (sending.stdout.take(), receiving.stdin.take());
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
        let _ = sending.kill();
    }
    if cut == Some(Cut::Stalled) {
        let _ = receiving.kill();
    }
    let statuses = (sending.wait()?, receiving.wait()?);
    let _ = pump.join();
    let [sender_said, receiver_said] = said.map(|said| said.join().unwrap_or_default());
    let ends = [
        End { name: &sender.1, is_remote: sender.0.get_program() == "ssh", status: statuses.0, said: sender_said },
        End { name: &receiver.1, is_remote: receiver.0.get_program() == "ssh", status: statuses.1, said: receiver_said },
    ];
    judge(ends, result, cut, watch).map(|()| moved.load(Ordering::Relaxed))
}

fn spawn(command: &mut Command, input: Stdio, output: Stdio, name: &str) -> Result<Child> {
    command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().map_err(|e| not_started(name, &e))
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
    mut output: std::process::ChildStdout,
    mut input: std::process::ChildStdin,
    moved: &AtomicU64,
    limit: Option<&Limit>,
) -> io::Result<()> {
    // Smaller pipes work as well, only slower.
    let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE);
    let _ = rustix::pipe::fcntl_setpipe_size(&input, PIPE);
    let step = limit.map_or(STEP, Limit::step);
    loop {
        let passed = io::copy(&mut Read::by_ref(&mut output).take(step), &mut input)?;
        if passed == 0 {
            return Ok(());
        }
        moved.fetch_add(passed, Ordering::Relaxed);
        if let Some(limit) = limit {
            limit.wait(passed);
        }
    }
}

/// Waits for the pump; ends the sender when told to stop or when nothing moves. The receiver then sees the end of the
/// stream, and keeps a token.
fn supervise(
    pumped: &mpsc::Receiver<io::Result<()>>,
    moved: &AtomicU64,
    sending: &mut Child,
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
            let _ = sending.kill();
        } else if since.elapsed() > watch.stall {
            let _ = sending.kill();
            return (Ok(()), Some(Cut::Stalled));
        }
    }
}

struct End<'a> {
    name: &'a str,
    /// Over ssh, whose own exit code is 255.
    is_remote: bool,
    status: ExitStatus,
    said: String,
}

impl End<'_> {
    fn error(&self) -> anyhow::Error {
        let text = format!("{}: {}", self.name, reason(&self.said, self.status));
        // A remote `zfs send` of a stale token says 255 too, and why.
        let lost = self.is_remote && self.status.code() == Some(255) && !self.said.contains("cannot resume send");
        if lost { Later(format!("the connection was lost; the next run resumes: {text}")).into() } else { anyhow!(text) }
    }
}

fn judge([sender, receiver]: [End; 2], pumped: io::Result<()>, cut: Option<Cut>, watch: &Watch) -> Result<()> {
    match cut {
        Some(Cut::Stopped) => return Err(Later("the transfer was stopped; the next run resumes it".into()).into()),
        Some(Cut::Stalled) => {
            return Err(anyhow!(
                "no byte moved for {} s (stall-timeout); {}; the next run resumes",
                watch.stall.as_secs(),
                sender.name
            ));
        }
        None => {}
    }
    match pumped {
        // The receiver went first: what the sender says of that is only a broken pipe.
        Err(_) if !receiver.status.success() => Err(receiver.error()),
        Err(e) => Err(anyhow!("the stream of {} broke: {e}", sender.name)),
        Ok(()) if !sender.status.success() => Err(sender.error()),
        Ok(()) if !receiver.status.success() => Err(receiver.error()),
        Ok(()) => Ok(()),
    }
}
