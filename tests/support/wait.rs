//! Waiting for a condition with a deadline, never for a fixed time.

use std::time::{Duration, Instant};

/// How long any step of a test may take before it has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a process may take to come up on a busy machine, with making its keys.
pub const START: Duration = Duration::from_mins(1);

/// Asks until `found` has something; panics with `what` after [`PATIENCE`].
pub fn wait_for<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, what, found)
}

/// As [`wait_for`], for a condition.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// As [`wait_until`], for a process to come up.
pub fn wait_for_start(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_within(START, what, || is_so().then_some(()));
}

/// As [`wait_for`], for as long as `limit`.
pub fn wait_within<T>(limit: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + limit;
    loop {
        if let Some(it) = found() {
            return it;
        }
        assert!(Instant::now() < until, "waited {limit:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
