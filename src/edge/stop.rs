//! The wish that the run ends, because of a signal or the end of the window. Code that waits for another program looks
//! here.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::{register, register_conditional_shutdown};

use crate::edge::outcome::Exit::Later;

static WANTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From now on SIGTERM and SIGINT end the run in order. A second one ends it at once.
pub fn watch() -> io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        register_conditional_shutdown(signal, 75, WANTED.clone())?;
        register(signal, WANTED.clone())?;
    }
    Ok(())
}

pub fn flag() -> &'static AtomicBool {
    &WANTED
}

pub fn ask() {
    WANTED.store(true, Ordering::Relaxed);
}

pub fn is_wanted() -> bool {
    WANTED.load(Ordering::Relaxed)
}

/// Sleeps, unless the run is to end.
pub fn sleep(seconds: u64) {
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until && !is_wanted() {
        thread::sleep(Duration::from_millis(100));
    }
}

pub fn stopped() -> Error {
    Later("stopped; the next run goes on".into()).into()
}
