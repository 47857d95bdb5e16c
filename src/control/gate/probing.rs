//! The gate's probes: started by this very switch, on every backend of the target pool.
//!
//! Background probes don't count here: a backend that was healthy a second ago may be the old container that the deploy has
//! just stopped.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::patience::{NamePatience, Names, is_hopeless};
use crate::config;
use crate::control::messages::{GateRefused, OperationEvent, UnreadyBackend, millis};
use crate::health::{advice, probe};
use crate::resolve::Resolver;
use crate::service::{Backend, Pool, PoolTarget, Service};
use crate::types::Color;
use crate::upstream::Upstreams;

/// Time between two probes of the gate, and between two tries of a warm-up request. It is shorter than the background
/// interval, because a deploy is waiting.
pub const RETRY_AFTER: Duration = Duration::from_millis(250);

/// What the gate probes with.
pub struct Gatekeeper {
    pub upstreams: Rc<Upstreams>,
    pub resolver: Resolver,
}

/// The gate is open.
pub struct GatePassed {
    pub took: Duration,
    pub backends: Vec<ReadyBackend>,
}

/// A backend that has passed, and its name for messages.
pub struct ReadyBackend {
    pub backend: Arc<Backend>,
    pub label: String,
}

/// One backend, or one name without an address, and its probes so far.
struct Candidate {
    label: String,
    backend: Option<Arc<Backend>>,
    /// DNS says that there is no such name.
    is_gone: bool,
    passes: u32,
    why: String,
}

impl Gatekeeper {
    /// Passes once `min_healthy` of the pool's backends have passed `rise` fresh probes in a row; refused at `timeout`, or as
    /// soon as names that do not resolve make it hopeless.
    pub async fn pass(
        &self,
        service: &Service,
        color: Color,
        timeout: Duration,
        patience: NamePatience,
        events: &mpsc::UnboundedSender<OperationEvent>,
    ) -> Result<GatePassed, GateRefused> {
        let started = Instant::now();
        let pool = service.pool(color);
        let config = service.config();
        let timeout_ms = millis(timeout);
        let _ = events.send(OperationEvent::GateStarted { service: service.name().to_string(), color, timeout_ms });
        let mut candidates = Vec::new();
        let mut unresolved_since = None;
        let rounds = async {
            loop {
                self.resolver.refresh(service).await;
                candidates = candidates_of(pool, &candidates);
                if is_hopeless(patience, names_of(&candidates, &config, &mut unresolved_since)) {
                    return false;
                }
                self.round(pool, &mut candidates, &config, events).await;
                if enough(&candidates, &config) {
                    return true;
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
        };
        let is_open = tokio::time::timeout(timeout, rounds).await;
        let took = started.elapsed();
        match is_open {
            Ok(true) => {
                let _ = events.send(OperationEvent::GatePassed { took_ms: millis(took) });
                let passed = candidates.into_iter().filter(|c| c.passes >= config.health.rise);
                let backends = passed.filter_map(|c| Some(ReadyBackend { backend: c.backend?, label: c.label }));
                Ok(GatePassed { took, backends: backends.collect() })
            }
            Ok(false) => Err(refused(service, color, took, &candidates, &config)),
            Err(_) => Err(refused(service, color, timeout, &candidates, &config)),
        }
    }

    /// One fresh probe of every candidate, all at the same time.
    async fn round(
        &self,
        pool: &Pool,
        candidates: &mut [Candidate],
        config: &config::ServiceConfig,
        events: &mpsc::UnboundedSender<OperationEvent>,
    ) {
        let rise = config.health.rise;
        let probes = candidates.iter_mut().filter(|c| c.passes < rise).map(|candidate| async {
            let Some(backend) = candidate.backend.clone() else { return };
            let seen = probe(&self.upstreams, &backend, pool.color(), config).await;
            candidate.passes = if seen.outcome.passed() { candidate.passes + 1 } else { 0 };
            let outcome = seen.outcome.to_string();
            candidate.why = match advice(&seen.outcome, &backend, &config.health) {
                Some(advice) => format!("{outcome} ({advice})"),
                None => outcome.clone(),
            };
            let _ = events.send(OperationEvent::Probed {
                backend: candidate.label.clone(),
                passes: candidate.passes,
                of: rise,
                outcome,
            });
            // The probe also counts for the backend itself: when the gate has passed, traffic finds it up, and a backend that
            // a reload has dropped, and that the pool has kept only until now, gets no more traffic.
            if backend.observe(seen, rise, config.health.fall) {
                pool.settle();
            }
        });
        join_all(probes).await;
    }
}

/// The pool as it is now; a backend that was probed before keeps its passes. An address that the name had once is no candidate:
/// another container may have it by now.
fn candidates_of(pool: &Pool, before: &[Candidate]) -> Vec<Candidate> {
    let backends = pool.backends();
    let mut candidates = Vec::new();
    for target in pool.targets() {
        if target.addr.is_named() && !target.is_current() {
            candidates.push(nameless(&target));
            continue;
        }
        for endpoint in &target.endpoints {
            let found = backends.iter().find(|b| *b.addr() == target.addr && b.endpoint() == endpoint);
            let Some(backend) = found else { continue };
            let known = before.iter().find(|c| c.backend.as_ref().is_some_and(|b| b.id() == backend.id()));
            candidates.push(Candidate {
                label: label(backend),
                backend: Some(backend.clone()),
                is_gone: false,
                passes: known.map_or(0, |c| c.passes),
                why: known.map_or_else(|| "no answer yet".to_owned(), |c| c.why.clone()),
            });
        }
    }
    candidates
}

fn nameless(target: &PoolTarget) -> Candidate {
    let why = target
        .error()
        .map_or_else(|| "its name was not resolved yet".to_owned(), |why| format!("{why}; is it running?"));
    Candidate { label: target.addr.to_string(), backend: None, is_gone: target.is_gone(), passes: 0, why }
}

/// `since`: since when too few names resolve, kept by the caller from round to round.
fn names_of(candidates: &[Candidate], config: &config::ServiceConfig, since: &mut Option<Instant>) -> Names {
    let resolved = candidates.iter().filter(|c| c.backend.is_some()).count();
    let needed = needed(candidates.len(), config);
    *since = since.or_else(|| Some(Instant::now())).filter(|_| resolved < needed);
    let all_gone = candidates.iter().all(|c| c.backend.is_some() || c.is_gone);
    Names { resolved, needed, all_gone, lasting: since.map_or(Duration::ZERO, |since| since.elapsed()) }
}

fn label(backend: &Backend) -> String {
    let (written, resolved) = (backend.addr().to_string(), backend.name());
    if written.ends_with(&**resolved) { written } else { format!("{written} ({resolved})") }
}

fn enough(candidates: &[Candidate], config: &config::ServiceConfig) -> bool {
    !candidates.is_empty() && ready(candidates, config) >= needed(candidates.len(), config)
}

fn ready(candidates: &[Candidate], config: &config::ServiceConfig) -> usize {
    candidates.iter().filter(|c| c.passes >= config.health.rise).count()
}

/// `min_healthy`, rounded up, and at least one.
fn needed(of: usize, config: &config::ServiceConfig) -> usize {
    (of * usize::from(config.switch.min_healthy_percent)).div_ceil(100).max(1)
}

fn refused(
    service: &Service,
    color: Color,
    waited: Duration,
    candidates: &[Candidate],
    config: &config::ServiceConfig,
) -> GateRefused {
    let unready = candidates.iter().filter(|c| c.passes < config.health.rise);
    GateRefused {
        service: service.name().to_string(),
        color,
        ready: ready(candidates, config),
        needed: needed(candidates.len(), config),
        of: candidates.len(),
        waited,
        unready: unready.map(|c| UnreadyBackend { backend: c.label.clone(), why: c.why.clone() }).collect(),
        forceable: false,
    }
}
