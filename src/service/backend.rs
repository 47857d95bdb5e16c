//! One address that answers: where it is, whether it is healthy, what runs on it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, sync::Arc};

use parking_lot::Mutex;

use super::ejection::{Ejected, Ejections};
use super::stable_hash::stable_hash;
use crate::trust::{BackendTls, BackendTlsCell};
use crate::types::BackendAddr;

/// Where a backend is reached, its name already resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// One resolved address of one configured backend. A name with three addresses makes three of these.
#[derive(Debug)]
pub struct Backend {
    id: u64,
    addr: BackendAddr,
    endpoint: Endpoint,
    name: Arc<str>,
    hash_seed: u64,
    up: AtomicBool,
    /// Up and not ejected: what a request asks.
    serves: AtomicBool,
    /// Failures in a row of requests, not of probes.
    fails: AtomicU32,
    in_flight: AtomicUsize,
    state: Mutex<BackendState>,
    tls: BackendTlsCell,
}

#[derive(Debug, Default)]
struct BackendState {
    health: Health,
    ejections: Ejections,
}

/// What the probes have seen. A new backend is down until `rise` probes in a row have passed.
#[derive(Debug, Clone, Default)]
pub struct Health {
    pub up: bool,
    /// Passes or failures in a row, of the kind of `last`.
    pub streak: u32,
    pub last: Option<Probe>,
}

/// One probe and what it got.
#[derive(Debug, Clone)]
pub struct Probe {
    pub at: SystemTime,
    pub took: Duration,
    pub outcome: ProbeOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    Passed,
    /// What was got instead: `got 503`, `no answer within 1s`, `connection refused`.
    Failed(String),
    /// The backend was not asked: this process lacked what asking takes, such as a descriptor.
    NotAsked(String),
}

impl ProbeOutcome {
    pub fn passed(&self) -> bool {
        matches!(self, Self::Passed)
    }
}

impl fmt::Display for ProbeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed(what) | Self::NotAsked(what) => f.write_str(what),
        }
    }
}

impl Backend {
    /// Down until probed, and of no service.
    pub fn new(addr: BackendAddr, endpoint: Endpoint) -> Self {
        Self::with_tls(addr, endpoint, BackendTlsCell::default())
    }

    pub(super) fn with_tls(addr: BackendAddr, endpoint: Endpoint, tls: BackendTlsCell) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let name = endpoint.to_string();
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            hash_seed: stable_hash(name.as_bytes()),
            name: name.into(),
            addr,
            endpoint,
            up: AtomicBool::new(false),
            serves: AtomicBool::new(false),
            fails: AtomicU32::new(0),
            in_flight: AtomicUsize::new(0),
            state: Mutex::default(),
            tls,
        }
    }

    /// Unique in this process: the key of its pooled connections.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// As written in the config.
    pub fn addr(&self) -> &BackendAddr {
        &self.addr
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// How it is verified, if it is spoken to over TLS.
    pub fn tls(&self) -> Arc<BackendTls> {
        self.tls.load()
    }

    /// The resolved address as text, for logs and status.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its address as a number, the same in every process: a hash balance tells backends apart by it.
    pub(super) fn hash_seed(&self) -> u64 {
        self.hash_seed
    }

    /// What the probes say.
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Whether requests may be sent to it: it passes its probes and is not ejected.
    pub fn serves(&self) -> bool {
        self.serves.load(Ordering::Relaxed)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// Since it failed too many requests; `None` while it may be asked.
    pub fn ejected(&self) -> Option<Ejected> {
        self.state.lock().ejections.present().cloned()
    }

    /// It has answered a request: earlier failures are forgotten.
    pub fn answered(&self) {
        // Read first: all workers share the cache line, and a store would take it from them.
        if self.fails.load(Ordering::Relaxed) != 0 {
            self.fails.store(0, Ordering::Relaxed);
        }
    }

    /// It has failed a request; answers whether that makes `max_fails` in a row. With 0, never.
    pub fn failed(&self, max_fails: u32) -> bool {
        max_fails > 0 && self.fails.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= max_fails
    }

    /// Takes a probe in; answers whether that changed up to down or down to up. A probe that was not made changes nothing.
    pub fn observe(&self, probe: Probe, rise: u32, fall: u32) -> bool {
        if matches!(probe.outcome, ProbeOutcome::NotAsked(_)) {
            return false;
        }
        let mut state = self.state.lock();
        let health = &mut state.health;
        let passed = probe.outcome.passed();
        let same = health.last.as_ref().is_some_and(|last| last.outcome.passed() == passed);
        health.streak = if same { health.streak.saturating_add(1) } else { 1 };
        health.last = Some(probe);
        let was = health.up;
        if passed && health.streak >= rise {
            health.up = true;
        } else if !passed && health.streak >= fall {
            health.up = false;
        }
        let changed = health.up != was;
        if changed {
            // Failures from before it was down say nothing about the backend now.
            self.fails.store(0, Ordering::Relaxed);
        }
        self.show(&state);
        changed
    }

    /// Out for a while; whether the pool can do without it is the caller's concern. Answers for how long.
    pub(super) fn eject(&self, now: Instant, first: Duration, max_fails: u32, why: String) -> Duration {
        let mut state = self.state.lock();
        let lasts = state.ejections.eject(now, first, max_fails, why);
        self.show(&state);
        lasts
    }

    /// Ends its ejection if its time is over; answers whether it was.
    pub(super) fn readmit(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let ended = state.ejections.end(now);
        self.let_in(&state, ended)
    }

    /// The same, whenever that would be.
    pub(super) fn readmit_early(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let ended = state.ejections.cut_short(now);
        self.let_in(&state, ended)
    }

    fn let_in(&self, state: &BackendState, ended: Option<Ejected>) -> bool {
        let Some(ended) = ended else { return false };
        // One more failure takes it out again.
        self.fails.store(ended.streak, Ordering::Relaxed);
        self.show(state);
        true
    }

    /// Counts an exchange in unless `max` are inside, exact over all workers; 0: no bound.
    pub(super) fn count_in(&self, max: usize) -> bool {
        if max == 0 {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let room = |inside| (inside < max).then_some(inside + 1);
        // Sequentially consistent, as is `count_out`: a request that waits joins the queue, then looks here; an exchange that
        // leaves is counted out, then looks at the queue. One of the two sees the other.
        self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, room).is_ok()
    }

    pub(super) fn count_out(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Copies the state to where requests read it.
    fn show(&self, state: &BackendState) {
        self.up.store(state.health.up, Ordering::Relaxed);
        // Stored before the caller looks at the queue: see `count_in`.
        self.serves.store(state.health.up && state.ejections.present().is_none(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> Backend {
        let addr: BackendAddr = "127.0.0.1:1".parse().unwrap();
        Backend::new(addr, Endpoint::Tcp("127.0.0.1:1".parse().unwrap()))
    }

    fn probe(passed: bool) -> Probe {
        let outcome = if passed { ProbeOutcome::Passed } else { ProbeOutcome::Failed("got 503".into()) };
        Probe { at: SystemTime::now(), took: Duration::ZERO, outcome }
    }

    #[test]
    fn a_new_backend_is_down_until_rise_passes_in_a_row() {
        let backend = backend();
        assert!(!backend.observe(probe(true), 2, 3));
        assert!(!backend.observe(probe(false), 2, 3));
        assert!(!backend.observe(probe(true), 2, 3));
        assert!(!backend.is_up());
        assert!(backend.observe(probe(true), 2, 3));
        assert!(backend.is_up());
    }

    #[test]
    fn an_ejected_backend_serves_again_after_its_time_if_it_is_up() {
        let (backend, now) = (backend(), Instant::now());
        backend.observe(probe(true), 1, 1);
        assert!(!backend.failed(2) && backend.failed(2));
        let lasts = backend.eject(now, Duration::from_secs(10), 2, "refused".into());
        assert!(backend.is_up() && !backend.serves());
        assert!(!backend.readmit(now), "too early");
        assert!(backend.readmit(now + lasts) && backend.serves());
        assert!(backend.failed(2), "one more failure is enough");
        let lasts = backend.eject(now + lasts, Duration::from_secs(10), 2, "refused".into());
        backend.observe(probe(false), 1, 1);
        assert!(backend.readmit(now + Duration::from_secs(10) + lasts) && !backend.serves(), "its probes say down");
        backend.observe(probe(true), 1, 1);
        assert!(backend.serves() && !backend.failed(2), "it begins anew");
    }

    #[test]
    fn a_probe_that_was_not_made_is_not_held_against_the_backend() {
        let backend = backend();
        backend.observe(probe(true), 1, 1);
        let lack = ProbeOutcome::NotAsked("Too many open files".into());
        let not_made = Probe { at: SystemTime::now(), took: Duration::ZERO, outcome: lack };
        assert!(!backend.observe(not_made, 1, 1));
        assert!(backend.is_up() && backend.health().last.unwrap().outcome.passed());
    }

    #[test]
    fn an_answer_ends_the_row_of_failures() {
        let backend = backend();
        assert!(!backend.failed(2));
        backend.answered();
        assert!(!backend.failed(2) && backend.failed(2));
        assert!(!backend.failed(0), "0 is off");
    }

    #[test]
    fn a_backend_goes_down_after_fall_failures_in_a_row() {
        let backend = backend();
        backend.observe(probe(true), 1, 3);
        for _ in 0..2 {
            assert!(!backend.observe(probe(false), 1, 3));
        }
        assert!(backend.is_up());
        assert!(backend.observe(probe(false), 1, 3));
        assert!(!backend.is_up());
    }
}
