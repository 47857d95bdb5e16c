//! Which probe tasks run: one for each backend there is now, none for those that are gone; and when an ejected one is back.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};

use super::pace::{Due, SOON, Standing, due};
use super::probe::probe;
use crate::config;
use crate::metrics::Metrics;
use crate::resolve::Resolver;
use crate::service::{Backend, Pool, Probe, ProbeOutcome, Service};
use crate::supervise::keep_running;
use crate::upstream::Upstreams;

/// Owns the probe tasks of all services; they end with it, or with their backend.
pub struct Monitor {
    prober: Prober,
    metrics: Arc<Metrics>,
    services: HashMap<Arc<str>, (Arc<Service>, JoinSet<()>)>,
}

/// What probes are made with.
#[derive(Clone)]
struct Prober {
    upstreams: Rc<Upstreams>,
    resolver: Rc<RefCell<Resolver>>,
}

impl Monitor {
    pub fn new(upstreams: Rc<Upstreams>, resolver: Rc<RefCell<Resolver>>, metrics: Arc<Metrics>) -> Self {
        Self { prober: Prober { upstreams, resolver }, metrics, services: HashMap::new() }
    }

    /// Probes exactly these services from now on.
    pub fn follow<'a>(&mut self, services: impl Iterator<Item = &'a Arc<Service>>) {
        let mut next = HashMap::new();
        for service in services {
            let kept = self.services.remove(service.name()).filter(|(known, _)| Arc::ptr_eq(known, service));
            let entry = kept.unwrap_or_else(|| (service.clone(), self.start(service)));
            next.insert(service.name().clone(), entry);
        }
        // Services that are left over are dropped here, and their tasks with them.
        self.services = next;
    }

    fn start(&self, service: &Arc<Service>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for pool in service.pools() {
            let (prober, metrics) = (self.prober.clone(), self.metrics.clone());
            let (service, pool) = (service.clone(), pool.clone());
            let follow = move || follow_pool(prober.clone(), metrics.clone(), service.clone(), pool.clone());
            tasks.spawn_local(keep_running("pool", self.metrics.clone(), follow));
        }
        tasks
    }
}

async fn follow_pool(prober: Prober, metrics: Arc<Metrics>, service: Arc<Service>, pool: Arc<Pool>) -> String {
    let mut changes = pool.watch_backends();
    let mut tasks = JoinSet::new();
    let mut running: HashMap<u64, AbortHandle> = HashMap::new();
    loop {
        let backends = pool.backends().clone();
        running.retain(|id, task| {
            let stays = backends.iter().any(|b| b.id() == *id);
            if !stays {
                task.abort();
            }
            stays
        });
        for backend in backends.iter() {
            running.entry(backend.id()).or_insert_with(|| {
                let (prober, service) = (prober.clone(), service.clone());
                let (pool, backend) = (pool.clone(), backend.clone());
                let probe = move || probe_forever(prober.clone(), service.clone(), pool.clone(), backend.clone());
                tasks.spawn_local(keep_running("prober", metrics.clone(), probe))
            });
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return "its pool is gone".to_owned() },
            () = next_readmission(&pool) => readmit(&service, &pool),
        }
    }
}

/// Pending while none is ejected. An ejection wakes [`follow_pool`], which then asks again.
async fn next_readmission(pool: &Pool) {
    match pool.next_readmission() {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn readmit(service: &Service, pool: &Pool) {
    for backend in pool.readmit(Instant::now()) {
        let (name, color, serves) = (service.name(), pool.color_label(), backend.serves());
        tracing::info!(service = %name, color, backend = %backend.name(), serves, "backend no longer ejected");
    }
}

async fn probe_forever(prober: Prober, service: Arc<Service>, pool: Arc<Pool>, backend: Arc<Backend>) -> String {
    let mut has_been_up = false;
    let mut unreachable: Option<Instant> = None;
    let mut woken: Option<Instant> = None;
    loop {
        let config = service.config();
        let seen = prober.probe(&service, &pool, &backend, &config).await;
        let (outcome, was_doubted) = (seen.outcome.clone(), backend.is_doubted());
        let (passed, refused) = (outcome.passed(), outcome.is_refusal());
        let changed = backend.observe(seen, config.health.rise, config.health.fall);
        if changed {
            report(&service, &pool, &backend, &outcome);
            pool.settle();
        }
        if changed || refused && backend.is_up() {
            service.doubt_names();
        }
        let (up, doubted) = (backend.is_up(), backend.is_doubted());
        if changed || doubted != was_doubted || service.detour().is_some() {
            service.look_at_detour();
        }
        has_been_up |= up;
        unreachable = unreachable.filter(|_| !passed).or_else(|| (refused || doubted).then(Instant::now));
        let unreachable_for = unreachable.map_or(Duration::ZERO, |since| since.elapsed());
        let pause = match due(Standing { passed, refused, up, has_been_up, doubted, unreachable_for }) {
            Due::AtOnce => continue,
            Due::Soon => SOON.min(config.health.interval),
            Due::ByInterval => jittered(&config.health),
        };
        if tokio::time::timeout(pause, backend.doubt_begins()).await.is_ok() {
            // At once, but not for each of many requests: a probe that passes ends the doubt, and the next may begin another.
            let last = woken.replace(Instant::now());
            tokio::time::sleep(last.map_or(Duration::ZERO, |last| SOON.saturating_sub(last.elapsed()))).await;
        }
    }
}

impl Prober {
    /// A pass after anything but a pass counts only if the backend's name still has that address: what answers there may be another
    /// container by now.
    async fn probe(&self, service: &Service, pool: &Pool, backend: &Backend, config: &config::ServiceConfig) -> Probe {
        let seen = probe(&self.upstreams, backend, pool.color(), config).await;
        let was_well = backend.is_up() && !backend.is_doubted() && backend.has_passed();
        if !seen.outcome.passed() || was_well || !backend.addr().is_named() {
            return seen;
        }
        let resolver = self.resolver.borrow().clone();
        resolver.look_up(service, [backend.addr().host.clone()]).await;
        if !pool.is_nameless(backend) && !backend.is_retired() {
            return seen;
        }
        let why = format!("passed, but the name {:?} has no longer this address", backend.addr().host);
        Probe { outcome: ProbeOutcome::Failed(why), ..seen }
    }
}

/// Within a tenth of the interval, so that many backends are not asked at once for ever.
fn jittered(health: &config::HealthConfig) -> Duration {
    health.interval.mul_f32(0.95 + 0.1 * fastrand::f32())
}

fn report(service: &Service, pool: &Pool, backend: &Backend, outcome: &ProbeOutcome) {
    let (name, color) = (service.name(), pool.color_label());
    if backend.is_up() {
        tracing::info!(service = %name, color, backend = %backend.name(), "backend is up");
    } else {
        tracing::warn!(service = %name, color, backend = %backend.name(), %outcome, "backend is down");
        report_outage(service, pool);
    }
}

/// That nobody is served any more is another thing than one backend that is down.
fn report_outage(service: &Service, pool: &Pool) {
    let active = service.active().color;
    if pool.has_healthy() || pool.color().is_some_and(|color| color != active) || service.detour().is_some() {
        return;
    }
    let (name, other) = (service.name(), active.other());
    if pool.color().is_some() && service.pool(other).has_healthy() {
        tracing::error!(service = %name, "no backend is healthy, clients get 503; {other} is healthy: `edgectl switch {other} {name}`");
    } else {
        tracing::error!(service = %name, "no backend is healthy, clients get 503");
    }
}
