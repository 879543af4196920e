//! The bytes of a stream on their way through zam: moved in the kernel (splice), counted, and at a limited rate.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ChildStdin, ChildStdout};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::{Errno, ioctl_fionread};
use rustix::pipe::{SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, splice};

use crate::edge::mutex::lock;

/// Bytes that a pipe may hold, the best first: the more, the fewer wake-ups, and those are what zam costs. The first is
/// for root, the next the most that others may have (/proc/sys/fs/pipe-max-size).
const PIPES: [usize; 2] = [4 << 20, 1 << 20];
/// Bytes that a pipe holds whose size is not known.
const PIPE_MIN: usize = 4096;
const NAP_MIN: Duration = Duration::from_micros(100);
const NAP_MAX: Duration = Duration::from_millis(20);

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

    /// Bytes to move at once: a tenth of a second's worth, so that the rate is even.
    fn step(&self) -> usize {
        let step = usize::try_from(self.bytes_a_second / 10).unwrap_or(usize::MAX);
        step.clamp(1, 1 << 20)
    }

    fn wait(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_a_second as f64);
        let until = {
            let mut next = lock(&self.next);
            *next = (*next).max(Instant::now()) + takes;
            *next
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

/// A thread that moves a stream from one pipe to another.
pub(super) struct Pump {
    /// Bytes.
    moved: Arc<AtomicU64>,
    finished: Receiver<Finished>,
    end: Option<Finished>,
}

/// What the thread leaves.
struct Finished {
    result: io::Result<()>,
    /// The other end of the receiver's pipe, to see how much of it is still unread.
    reader: Option<File>,
}

impl Finished {
    /// Bytes that the receiver has not taken out of its pipe yet, as far as is known.
    fn unread(&self) -> u64 {
        let reader = self.reader.as_ref();
        reader
            .and_then(|pipe| ioctl_fionread(pipe).ok())
            .unwrap_or(0)
    }
}

/// How far a stream is. It changes whenever something moves: a byte into the receiver's pipe, or, once all are in it, out
/// of it.
#[derive(PartialEq, Eq)]
pub(super) struct Position {
    moved: u64,
    /// None while the pump runs.
    unread: Option<u64>,
}

impl Pump {
    /// From the sender's `output` to the receiver's `input`.
    pub(super) fn start(
        output: Option<ChildStdout>,
        input: Option<ChildStdin>,
        limit: Option<Arc<Limit>>,
    ) -> Self {
        let moved = Arc::new(AtomicU64::new(0));
        let counter = moved.clone();
        let (sender, finished) = mpsc::channel();
        thread::spawn(move || {
            if let (Some(output), Some(input)) = (output, input) {
                let result = pump(&output, &input, &counter, limit.as_deref());
                let reader = reader_of(&input);
                // Nobody listens any more to a stream that was given up.
                let _ = sender.send(Finished { result, reader });
            }
        });
        Pump {
            moved,
            finished,
            end: None,
        }
    }

    pub(super) fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Waits for its end, at most for so long.
    pub(super) fn wait(&mut self, patience: Duration) {
        if self.has_ended() {
            return;
        }
        match self.finished.recv_timeout(patience) {
            Ok(finished) => self.end = Some(finished),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                self.end = Some(Finished {
                    result: Err(ErrorKind::Other.into()),
                    reader: None,
                });
            }
        }
    }

    pub(super) fn position(&self) -> Position {
        Position {
            moved: self.moved(),
            unread: self.end.as_ref().map(Finished::unread),
        }
    }

    /// How it ended; one that has not is out of time.
    pub(super) fn result(self) -> io::Result<()> {
        match self.end {
            Some(end) => end.result,
            None => Err(ErrorKind::TimedOut.into()),
        }
    }
}

/// The other end of a pipe. It may be opened only when nothing more is written: as long as somebody could read, a writer
/// does not hear that the receiver has gone.
fn reader_of(pipe: &ChildStdin) -> Option<File> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut options = File::options();
    options.read(true).custom_flags(flags.bits() as i32);
    options.open(path).ok()
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
        let passed = match splice(output, None, input, None, step, SpliceFlags::empty()) {
            Err(Errno::INTR) => continue,
            passed => passed?,
        };
        if passed == 0 {
            return Ok(());
        }
        moved.fetch_add(passed as u64, Ordering::Relaxed);
        match limit {
            Some(limit) => limit.wait(passed),
            None => {
                nap = next_nap(nap, passed, size);
                if nap >= NAP_MIN {
                    thread::sleep(nap);
                }
            }
        }
    }
}

/// Enlarges a pipe and returns how many bytes it holds. Whoever has many pipes may be refused more, and gets small ones
/// (pipe(7)).
fn enlarge(pipe: impl AsFd) -> usize {
    for size in PIPES {
        if let Ok(size) = fcntl_setpipe_size(&pipe, size) {
            return size;
        }
    }
    fcntl_getpipe_size(&pipe).unwrap_or(PIPE_MIN)
}

/// While zam sleeps the stream collects in the sender's pipe, and goes on in larger pieces: that saves most of the CPU.
/// The nap is as long as the pipe stays between a quarter and a half full, so that nobody waits for zam.
fn next_nap(nap: Duration, passed: usize, size: usize) -> Duration {
    match 4 * passed / size {
        0 => (nap * 2).clamp(NAP_MIN, NAP_MAX),
        1 => nap,
        _ => nap / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nap_keeps_the_pipe_between_a_quarter_and_a_half_full() {
        let nap = Duration::from_millis(4);
        let size = 1000;
        assert_eq!(next_nap(nap, 249, size), nap * 2);
        assert_eq!(next_nap(nap, 250, size), nap);
        assert_eq!(next_nap(nap, 499, size), nap);
        assert_eq!(next_nap(nap, 500, size), nap / 2);
        assert_eq!(next_nap(Duration::ZERO, 1, size), NAP_MIN);
        assert_eq!(next_nap(NAP_MAX, 1, size), NAP_MAX);
    }

    #[test]
    fn a_limit_moves_a_tenth_of_a_second_at_once() {
        assert_eq!(Limit::new(1 << 20).step(), (1 << 20) / 10);
        assert_eq!(Limit::new(3).step(), 1);
        assert_eq!(Limit::new(u64::MAX).step(), 1 << 20);
    }

    #[test]
    fn streams_share_the_rate() {
        let limit = Limit::new(1000);
        let begun = Instant::now();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| limit.wait(50));
            }
        });
        assert!(begun.elapsed() >= Duration::from_millis(100));
    }
}
