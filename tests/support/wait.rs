//! Waiting for a condition with a deadline, never for a while.

use std::time::{Duration, Instant};

/// What any step of a test may take before it has failed.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Asks until `found` has something; panics with `what` after [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(it) = found() {
            return it;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As [`wait_for`], for something that is or is not.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
