//! One address that answers: where it is, whether it is healthy, what runs on it.
//!
//! `endpoint` is where it is reached, `health` (pure) what probes say of it, `ejection` (pure) what its requests say. Here the three
//! come together, and are shown to the request path in atomics.

mod ejection;
mod endpoint;
mod health;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

pub use ejection::Ejected;
pub use endpoint::Endpoint;
pub use health::{Health, Probe, ProbeOutcome};

use super::stable_hash::stable_hash;
use crate::trust::{BackendTls, BackendTlsCell};
use crate::types::BackendAddr;
use ejection::Ejections;

/// One host of one configured backend. A name with three addresses of one family makes three of these; an address of each family
/// makes one, which is reached by either.
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
    /// It has left its pool.
    retired: AtomicBool,
    /// A request has found no connection, and none was made since.
    doubted: AtomicBool,
    /// Wakes its prober when that begins.
    doubt: Notify,
    /// Failures in a row of requests, not of probes.
    fails: AtomicU32,
    /// The last connection was made by IPv4. Matters where both families lead to it.
    by_v4: AtomicBool,
    in_flight: AtomicUsize,
    state: Mutex<BackendState>,
    tls: BackendTlsCell,
}

#[derive(Debug, Default)]
struct BackendState {
    health: Health,
    ejections: Ejections,
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
            hash_seed: stable_hash(endpoint.identity().as_bytes()),
            name: name.into(),
            addr,
            endpoint,
            up: AtomicBool::new(false),
            serves: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            doubt: Notify::new(),
            fails: AtomicU32::new(0),
            by_v4: AtomicBool::new(false),
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

    /// Whether IPv4 is to be tried before IPv6: the last connection was made by it. IPv6 comes first (RFC 8305, 4).
    pub fn prefers_v4(&self) -> bool {
        self.by_v4.load(Ordering::Relaxed)
    }

    /// A connection was made by this family, which is tried first from now on.
    pub fn reached_by_v4(&self, v4: bool) {
        self.by_v4.store(v4, Ordering::Relaxed);
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

    /// Whether others are to be tried before it: the last attempt to connect to it for a request has failed.
    pub fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    /// There was no connection to it for a request: until there is one, or a probe passes, it is tried last. Its prober looks at
    /// it at once.
    pub fn doubt(&self) {
        if !self.doubted.swap(true, Ordering::Relaxed) {
            self.doubt.notify_one();
        }
    }

    /// A connection to it was made for a request. If it has a name, that ends no doubt: what answers there may be another container
    /// by now, and the probe that comes at once looks the name up.
    pub fn connected(&self) {
        // Read first, as in `answered`.
        if self.is_doubted() && !self.addr.is_named() {
            self.doubted.store(false, Ordering::Relaxed);
        }
    }

    /// Returns when a doubt has begun since the last call.
    pub async fn doubt_begins(&self) {
        self.doubt.notified().await;
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// Whether its last probe has passed.
    pub fn has_passed(&self) -> bool {
        self.state.lock().health.last.as_ref().is_some_and(|last| last.outcome.passed())
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
        let (passed, refused) = (probe.outcome.passed(), probe.outcome.is_refusal());
        let changed = state.health.take(probe, self.is_doubted(), rise, fall);
        if passed {
            self.doubted.store(false, Ordering::Relaxed);
        }
        if changed {
            // Failures from before it was down say nothing about the backend now.
            self.fails.store(0, Ordering::Relaxed);
        }
        if changed && refused {
            // What failed requests was that nothing listened; what comes back is another process.
            state.ejections.cut_short(Instant::now());
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

    /// It has left its pool: what runs on it finishes, and no connection to it is made for a request any more.
    pub(super) fn retire(&self) {
        let state = self.state.lock();
        self.retired.store(true, Ordering::Relaxed);
        self.show(&state);
    }

    pub fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// Copies the state to where requests read it.
    fn show(&self, state: &BackendState) {
        self.up.store(state.health.up, Ordering::Relaxed);
        let serves = state.health.up && !self.is_retired() && state.ejections.present().is_none();
        // Stored before the caller looks at the queue: see `count_in`.
        self.serves.store(serves, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn backend() -> Backend {
        written("127.0.0.1:1")
    }

    fn written(addr: &str) -> Backend {
        Backend::new(addr.parse().unwrap(), Endpoint::Tcp("127.0.0.1:1".parse().unwrap()))
    }

    fn probe(passed: bool) -> Probe {
        let outcome = if passed { ProbeOutcome::Passed } else { ProbeOutcome::Failed("got 503".into()) };
        Probe { at: SystemTime::now(), took: Duration::ZERO, outcome }
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
    fn a_doubt_begins_with_a_failed_connect_and_ends_with_a_connection_or_a_pass() {
        let backend = backend();
        let end: [&dyn Fn(); 2] = [&|| backend.connected(), &|| _ = backend.observe(probe(true), 1, 1)];
        for end in end {
            backend.doubt();
            backend.observe(probe(false), 1, 9);
            assert!(backend.is_doubted());
            end();
            assert!(!backend.is_doubted());
        }
        let named = written("app:1");
        named.doubt();
        named.connected();
        assert!(named.is_doubted(), "what is there may be another container");
        named.observe(probe(true), 1, 1);
        assert!(!named.is_doubted());
    }

    #[test]
    fn a_backend_that_refuses_is_down_and_serves_again_after_one_pass_even_if_it_was_ejected() {
        let (backend, now) = (backend(), Instant::now());
        let refused = || Probe { outcome: ProbeOutcome::Refused("connection refused".into()), ..probe(false) };
        backend.observe(probe(true), 1, 3);
        backend.eject(now, Duration::from_secs(10), 3, "connect_failed".into());
        backend.doubt();
        assert!(backend.observe(refused(), 2, 3) && !backend.is_up());
        assert!(backend.observe(probe(true), 2, 3) && backend.serves() && !backend.is_doubted());
    }
}
