//! Locking that loses nothing when another thread has died: what stands behind these mutexes is whole after every step,
//! so that a poisoned one is no reason to skip work or to drop a result.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, poisoned or not.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in `mutex`, poisoned or not.
pub fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn results_survive_a_thread_that_died() {
        let results = Mutex::new(vec![1]);
        thread::scope(|scope| {
            let dies = scope.spawn(|| {
                lock(&results).push(2);
                let _held = results.lock();
                panic!("a thread that dies with the lock in its hand");
            });
            assert!(dies.join().is_err());
        });
        assert!(results.is_poisoned());
        lock(&results).push(3);
        assert_eq!(into_inner(results), [1, 2, 3]);
    }
}
