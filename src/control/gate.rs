//! The gate: fresh probes, begun by this very switch, on every backend of the target pool.
//!
//! What the background probes have seen does not count: a backend that was healthy a second ago may be the old container
//! that the deploy has just stopped.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::operation::Event;
use crate::config;
use crate::health::probe;
use crate::resolve::Resolver;
use crate::service::{Backend, Pool, Service};
use crate::types::{Color, show_duration};
use crate::upstream::Upstreams;

/// The pause between two probes of the gate: shorter than the background's, a deploy is waiting.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

/// What the gate probes with.
#[derive(Clone)]
pub(super) struct Gatekeeper {
    pub upstreams: Rc<Upstreams>,
    pub resolver: Resolver,
}

/// The gate is open.
pub(super) struct Passed {
    pub took: Duration,
    pub backends: Vec<Ready>,
}

/// A backend that has passed it, and what it is called.
pub(super) struct Ready {
    pub backend: Arc<Backend>,
    pub label: String,
}

/// The gate was not passed in time; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRefused {
    pub service: String,
    pub color: Color,
    pub ready: usize,
    pub needed: usize,
    pub of: usize,
    pub waited: Duration,
    pub unready: Vec<Unready>,
    /// Whether what was asked for has a `--force`.
    pub forceable: bool,
}

/// One backend that kept the gate shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// As configured, and the address where there is one.
    pub backend: String,
    /// `got 503`, `connection refused`, `name "app-green" does not resolve`.
    pub why: String,
}

impl fmt::Display for GateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, color, ready, needed, of, waited, unready, forceable } = self;
        write!(f, "service {service:?}: {color} has {ready} of {of} backends ready after {}", show_duration(*waited))?;
        if needed < of {
            write!(f, " ({needed} needed)")?;
        }
        for one in unready {
            write!(f, "; {}: {}", one.backend, one.why)?;
        }
        f.write_str(if *forceable { "; see its log, or pass --force" } else { "; see its log" })
    }
}

impl std::error::Error for GateRefused {}

/// One backend, or one name without an address, and how far it has come.
struct Candidate {
    label: String,
    backend: Option<Arc<Backend>>,
    passes: u32,
    why: String,
}

impl Gatekeeper {
    /// Passes once `min_healthy` of the pool's backends have passed `rise` fresh probes in a row; refused at `timeout`.
    pub async fn pass(
        &self,
        service: &Service,
        color: Color,
        timeout: Duration,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<Passed, GateRefused> {
        let started = Instant::now();
        let pool = service.pool(color);
        let config = service.config();
        let timeout_ms = millis(timeout);
        let _ = events.send(Event::GateStarted { service: service.name().to_string(), color, timeout_ms });
        let mut candidates = Vec::new();
        let rounds = async {
            loop {
                self.resolver.refresh(pool).await;
                candidates = candidates_of(pool, &candidates);
                self.round(pool, &mut candidates, &config, events).await;
                if enough(&candidates, &config) {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        if tokio::time::timeout(timeout, rounds).await.is_ok() {
            let took = started.elapsed();
            let _ = events.send(Event::GatePassed { took_ms: millis(took) });
            let passed = candidates.into_iter().filter(|c| c.passes >= config.health.rise);
            let backends = passed.filter_map(|c| Some(Ready { backend: c.backend?, label: c.label })).collect();
            return Ok(Passed { took, backends });
        }
        Err(refusal(service, color, timeout, &candidates, &config))
    }

    /// One fresh probe of every candidate, side by side.
    async fn round(
        &self,
        pool: &Pool,
        candidates: &mut [Candidate],
        config: &config::Service,
        events: &mpsc::UnboundedSender<Event>,
    ) {
        let rise = config.health.rise;
        let probes = candidates.iter_mut().filter(|c| c.passes < rise).map(|candidate| async {
            let Some(backend) = candidate.backend.clone() else { return };
            let seen = probe(&self.upstreams, &backend, config).await;
            candidate.passes = if seen.outcome.passed() { candidate.passes + 1 } else { 0 };
            candidate.why = seen.outcome.to_string();
            let _ = events.send(Event::Probed {
                backend: candidate.label.clone(),
                passes: candidate.passes,
                of: rise,
                outcome: candidate.why.clone(),
            });
            // The probe counts for the backend too: once the gate has passed, traffic finds it up, and what a reload has
            // dropped and the pool has kept only until now gets none.
            if backend.observe(seen, rise, config.health.fall) {
                pool.settle();
            }
        });
        join_all(probes).await;
    }
}

/// The pool as it is now; who was probed before keeps its passes.
fn candidates_of(pool: &Pool, before: &[Candidate]) -> Vec<Candidate> {
    let backends = pool.backends();
    let mut candidates = Vec::new();
    for target in pool.targets() {
        if target.endpoints.is_empty() {
            let why = target.error.unwrap_or_else(|| "its name was not resolved yet".to_owned());
            candidates.push(Candidate { label: target.addr.to_string(), backend: None, passes: 0, why });
        }
        for endpoint in &target.endpoints {
            let found = backends.iter().find(|b| *b.addr() == target.addr && b.endpoint() == endpoint);
            let Some(backend) = found else { continue };
            let known = before.iter().find(|c| c.backend.as_ref().is_some_and(|b| b.id() == backend.id()));
            candidates.push(Candidate {
                label: label(backend),
                backend: Some(backend.clone()),
                passes: known.map_or(0, |c| c.passes),
                why: known.map_or_else(|| "no answer yet".to_owned(), |c| c.why.clone()),
            });
        }
    }
    candidates
}

fn label(backend: &Backend) -> String {
    let (written, resolved) = (backend.addr().to_string(), backend.name());
    if written.ends_with(&**resolved) { written } else { format!("{written} ({resolved})") }
}

fn enough(candidates: &[Candidate], config: &config::Service) -> bool {
    !candidates.is_empty() && ready(candidates, config) >= needed(candidates.len(), config)
}

fn ready(candidates: &[Candidate], config: &config::Service) -> usize {
    candidates.iter().filter(|c| c.passes >= config.health.rise).count()
}

/// `min_healthy`, rounded up, and at least one.
fn needed(of: usize, config: &config::Service) -> usize {
    (of * usize::from(config.switch.min_healthy_percent)).div_ceil(100).max(1)
}

fn refusal(
    service: &Service,
    color: Color,
    waited: Duration,
    candidates: &[Candidate],
    config: &config::Service,
) -> GateRefused {
    let unready = candidates.iter().filter(|c| c.passes < config.health.rise);
    GateRefused {
        service: service.name().to_string(),
        color,
        ready: ready(candidates, config),
        needed: needed(candidates.len(), config),
        of: candidates.len(),
        waited,
        unready: unready.map(|c| Unready { backend: c.label.clone(), why: c.why.clone() }).collect(),
        forceable: false,
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
