//! The clock that governor reads: it shows the time that it was last set to on this thread.
//!
//! governor asks a `Clock` for the time; here the time is an argument of the check, so that rules stay pure and tests
//! need no waiting. The argument reaches governor through a thread-local cell: nothing is shared, nothing allocated.

use std::cell::Cell;
use std::time::Duration;

use governor::clock::Clock;
use governor::nanos::Nanos;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Nanoseconds since the limiter's origin, as last set on this thread.
#[derive(Debug, Clone)]
pub(super) struct SetClock;

impl SetClock {
    /// For governor's constructor, which takes the clock's time as the zero of all later ones.
    pub(super) fn at_origin() -> Self {
        NOW.set(0);
        Self
    }
}

impl Clock for SetClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(NOW.get())
    }
}

/// Sets what this thread's next check reads; returns it in nanoseconds.
pub(super) fn tell(since_origin: Duration) -> u64 {
    // The bound is 584 years away.
    let now = u64::try_from(since_origin.as_nanos()).unwrap_or(u64::MAX / 2);
    NOW.set(now);
    now
}
