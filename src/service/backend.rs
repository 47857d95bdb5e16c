//! One address that answers: where it is, whether it is healthy, what runs on it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use std::{fmt, sync::Arc};

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
    up: AtomicBool,
    in_flight: AtomicUsize,
    health: Mutex<Health>,
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
            Self::Failed(what) => f.write_str(what),
        }
    }
}

impl Backend {
    /// Down until probed.
    pub fn new(addr: BackendAddr, endpoint: Endpoint) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name: endpoint.to_string().into(),
            addr,
            endpoint,
            up: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            health: Mutex::default(),
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

    /// The resolved address as text, for logs and status.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a probe in; answers whether that changed up to down or down to up.
    pub fn observe(&self, probe: Probe, rise: u32, fall: u32) -> bool {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.up.store(health.up, Ordering::Relaxed);
        health.up != was
    }

    pub(super) fn count_in(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_out(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
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
    fn it_goes_down_after_fall_failures_in_a_row() {
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
