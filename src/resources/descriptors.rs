//! File descriptors: how many may be open, and which connections may take the last of them.
//!
//! The connections of clients and those that are made for them to backends share one budget. What the daemon opens for itself (probes,
//! DNS, the admin socket, metrics, files) is outside of it, so it goes on when clients have taken all they can get. The last quarter of
//! the budget is for connections to backends alone, one for each client: a client that is let in is served. nginx:
//! `worker_connections`.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The share of the budget that clients' own connections leave free, as a divisor.
const FOR_BACKENDS: usize = 4;

/// The budget where the limit leaves next to nothing.
const LEAST: usize = 16;

/// What the daemon may open for itself beside what is open at its start: an eighth of the limit within these bounds.
const OWN: std::ops::RangeInclusive<usize> = 32..=1024;

/// How often a connection that has many exchanges already looks whether it may have one more.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The same condition is reported this often.
const SAY_AGAIN: Duration = Duration::from_mins(1);

/// The budget of all client connections and of the connections made for them.
#[derive(Debug)]
pub struct Descriptors {
    limit: usize,
    all: usize,
    free: Arc<Semaphore>,
    said: Mutex<Option<Instant>>,
}

/// One descriptor of the budget; free again when dropped.
#[derive(Debug)]
pub struct Descriptor(#[expect(dead_code, reason = "held, and given back by drop")] OwnedSemaphorePermit);

/// There is none for this connection, and none has become free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no file descriptor is free")]
pub struct DescriptorsExhausted;

/// Raises the soft limit of open files to the hard one; answers what it is then.
pub fn raise_descriptor_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

impl Descriptors {
    /// What `limit` leaves beside the daemon's own: what is open now, and `coming`, which it is about to open.
    pub fn within(limit: usize, coming: usize) -> Arc<Self> {
        let own = open_now() + coming + (limit / 8).clamp(*OWN.start(), *OWN.end());
        Self::of(limit, limit.saturating_sub(own).max(LEAST))
    }

    fn of(limit: usize, all: usize) -> Arc<Self> {
        let all = all.min(Semaphore::MAX_PERMITS);
        Arc::new(Self { limit, all, free: Arc::new(Semaphore::new(all)), said: Mutex::default() })
    }

    /// Client connections that are open at most.
    pub fn clients(&self) -> usize {
        self.all - self.all / FOR_BACKENDS
    }

    /// What to tell the operator if the limit is below what the config allows; 0 allows any number.
    pub fn warning(&self, connections: usize) -> Option<String> {
        let (limit, clients) = (self.limit, self.clients());
        (limit < connections).then(|| {
            format!(
                "at most {limit} files may be open, which is too few for [limits] connections = {connections}: about {clients} clients \
                 are let in at once, and the others wait; raise the limit (systemd: LimitNOFILE, docker: ulimits nofile), or lower \
                 `connections`"
            )
        })
    }

    /// Whether what is free is kept for connections to backends.
    pub fn are_scarce(&self) -> bool {
        self.free_for_all() == 0
    }

    /// Whether none is free.
    pub fn are_exhausted(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// For a connection that has been accepted. `None`: none is free.
    pub fn for_client(&self) -> Option<Descriptor> {
        self.free.clone().try_acquire_owned().ok().map(Descriptor)
    }

    /// For a temporary file. `None`: what is free is kept for connections to backends.
    pub fn for_file(&self) -> Option<Descriptor> {
        (!self.are_scarce()).then(|| self.for_client()).flatten()
    }

    /// For a connection to a backend, waited for if none is free.
    ///
    /// `served`: for how many exchanges the client's connection has what it needs. A client that has nothing yet is served as long as any
    /// descriptor is free; of the others, those that have much wait for those that have little.
    pub async fn for_backend(
        &self,
        served: impl Fn() -> usize,
        patience: Duration,
    ) -> Result<Descriptor, DescriptorsExhausted> {
        if let Some(descriptor) = self.share_of(served()) {
            return Ok(descriptor);
        }
        let waited = tokio::time::timeout(patience, async {
            while served() > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
                if let Some(descriptor) = self.share_of(served()) {
                    return Ok(descriptor);
                }
            }
            self.free.clone().acquire_owned().await.map(Descriptor)
        });
        waited.await.ok().and_then(Result::ok).ok_or(DescriptorsExhausted)
    }

    fn share_of(&self, served: usize) -> Option<Descriptor> {
        may_have_another(served, self.free_for_all()).then(|| self.for_client()).flatten()
    }

    fn free_for_all(&self) -> usize {
        self.free.available_permits().saturating_sub(self.all / FOR_BACKENDS)
    }

    /// Whether it is time to report that accepting pauses: it has not been reported in the last minute.
    pub fn is_to_be_said(&self, now: Instant) -> bool {
        let mut said = self.said.lock();
        let is_due = said.is_none_or(|at| now.duration_since(at) >= SAY_AGAIN);
        if is_due {
            *said = Some(now);
        }
        is_due
    }
}

/// Whether a client that is served so many times may have another connection to a backend. Each may have half as many as all of them
/// leave (Choudhury and Hahne, "Dynamic Queue Length Thresholds"): however many are greedy, none gets all.
fn may_have_another(served: usize, free_for_all: usize) -> bool {
    served == 0 || served < free_for_all / 2
}

/// Descriptors that are open now.
fn open_now() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn the_last_quarter_is_for_backends() {
        let descriptors = Descriptors::of(1024, 100);
        let clients: Vec<_> = (0..75).map(|_| descriptors.for_client().unwrap()).collect();
        assert!(descriptors.are_scarce() && !descriptors.are_exhausted());
        drop(clients);
        assert!(!descriptors.are_scarce());
        assert_eq!(descriptors.clients(), 75);
    }

    #[test]
    fn greedy_connections_leave_a_share_to_the_others() {
        let descriptors = Descriptors::of(1024, 900);
        runtime().block_on(async {
            let mut held: Vec<Vec<Descriptor>> = (0..9).map(|_| Vec::new()).collect();
            for _ in 0..120 {
                for connection in &mut held {
                    let served = connection.len();
                    connection.extend(descriptors.for_backend(|| served, Duration::ZERO).await.ok());
                }
            }
            let taken: usize = held.iter().map(Vec::len).sum();
            assert!((500..600).contains(&taken), "{taken}");
            assert!(!descriptors.are_scarce(), "new clients are let in");
            assert!(descriptors.for_backend(|| 0, SHORT).await.is_ok(), "another client's only request");
        });
    }

    #[test]
    fn the_only_exchange_of_a_connection_waits_for_its_turn() {
        let descriptors = Descriptors::of(64, 1);
        runtime().block_on(async {
            let held = descriptors.for_client().unwrap();
            assert_eq!(descriptors.for_backend(|| 0, SHORT).await.unwrap_err(), DescriptorsExhausted);
            let waits = descriptors.for_backend(|| 0, Duration::from_secs(5));
            let (got, ()) = tokio::join!(waits, async {
                tokio::time::sleep(SHORT).await;
                drop(held);
            });
            assert!(got.is_ok());
        });
    }

    #[test]
    fn a_limit_that_leaves_nothing_still_lets_a_few_in() {
        assert_eq!(Descriptors::within(8, 100).clients(), LEAST - LEAST / FOR_BACKENDS);
        assert!(Descriptors::within(usize::MAX, 0).clients() > 1_000_000_000);
    }

    #[test]
    fn fewer_than_the_config_allows_is_worth_a_warning() {
        let descriptors = Descriptors::of(1024, 800);
        assert!(descriptors.warning(20_000).unwrap().contains("1024"));
        assert_eq!(descriptors.warning(1024), None);
        assert_eq!(descriptors.warning(0), None);
    }
}
