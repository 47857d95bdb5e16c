//! The bounded number of connections, and which one gives way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::task::AbortHandle;

/// Connections at a time.
const MOST: usize = 128;

/// Those that are open.
pub(super) struct Places {
    started: Instant,
    open: Vec<Place>,
}

struct Place {
    activity: Arc<Activity>,
    task: AbortHandle,
}

/// Whether a connection works on a request, or since when it does not.
#[derive(Debug)]
pub(super) struct Activity {
    started: Instant,
    /// Nanoseconds since `started`; [`BUSY`] while a request runs.
    idle_since: AtomicU64,
}

const BUSY: u64 = u64::MAX;

/// A request that runs; dropped with its answer's body.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Places {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), open: Vec::new() }
    }

    /// Makes room for one more: if there is none, the connection that has been idle for longest is closed. `None`: all are busy.
    pub(super) fn make_room(&mut self) -> Option<Arc<Activity>> {
        self.open.retain(|place| !place.task.is_finished());
        if self.open.len() >= MOST {
            let idle = |place: &Place| place.activity.idle_since.load(Ordering::Relaxed);
            let (oldest, since) = self.open.iter().map(idle).enumerate().min_by_key(|(_, since)| *since)?;
            if since == BUSY {
                return None;
            }
            self.open.swap_remove(oldest).task.abort();
        }
        let activity = Activity { started: self.started, idle_since: AtomicU64::new(0) };
        activity.rest();
        Some(Arc::new(activity))
    }

    pub(super) fn take(&mut self, activity: Arc<Activity>, task: AbortHandle) {
        self.open.push(Place { activity, task });
    }
}

impl Activity {
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.idle_since.store(BUSY, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn rest(&self) {
        self.idle_since.store(self.started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connection_that_is_idle_for_longest_gives_way() {
        let mut places = Places::new();
        let mut busy = Vec::new();
        for number in 0..MOST {
            let activity = places.make_room().unwrap();
            busy.extend((number < 2).then(|| activity.begin()));
            places.take(activity, tokio::spawn(std::future::pending::<()>()).abort_handle());
        }
        // The first one has just become idle, the second is busy: the third is idle for longest.
        busy.remove(0);
        let third = places.open[2].task.clone();
        let next = places.make_room().unwrap();
        places.take(next, tokio::spawn(std::future::pending::<()>()).abort_handle());
        tokio::task::yield_now().await;
        assert!(third.is_finished());
        assert_eq!(places.open.iter().filter(|place| place.task.is_finished()).count(), 0);
        let all: Vec<Busy> = places.open.iter().map(|place| place.activity.begin()).collect();
        assert!(places.make_room().is_none());
        drop(all);
        assert!(places.make_room().is_some());
    }
}
