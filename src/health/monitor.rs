//! Which probe tasks run: one for each backend there is now, none for those that are gone; and when an ejected one is back.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{AbortHandle, JoinSet};

use super::probe::probe;
use crate::config;
use crate::metrics::Metrics;
use crate::service::{Backend, Pool, ProbeOutcome, Service};
use crate::supervise::keep_running;
use crate::upstream::Upstreams;

/// The pause between the first probes of a backend that passes them, so that it does not wait `rise` intervals until it serves.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Owns the probe tasks of all services; they end with it, or with their backend.
pub struct Monitor {
    upstreams: Rc<Upstreams>,
    metrics: Arc<Metrics>,
    services: HashMap<Arc<str>, (Arc<Service>, JoinSet<()>)>,
}

impl Monitor {
    pub fn new(upstreams: Rc<Upstreams>, metrics: Arc<Metrics>) -> Self {
        Self { upstreams, metrics, services: HashMap::new() }
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
            let (upstreams, metrics) = (self.upstreams.clone(), self.metrics.clone());
            let (service, pool) = (service.clone(), pool.clone());
            let follow = move || follow_pool(upstreams.clone(), metrics.clone(), service.clone(), pool.clone());
            tasks.spawn_local(keep_running("pool", self.metrics.clone(), follow));
        }
        tasks
    }
}

async fn follow_pool(
    upstreams: Rc<Upstreams>,
    metrics: Arc<Metrics>,
    service: Arc<Service>,
    pool: Arc<Pool>,
) -> String {
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
                let (upstreams, service) = (upstreams.clone(), service.clone());
                let (pool, backend) = (pool.clone(), backend.clone());
                let probe = move || probe_forever(upstreams.clone(), service.clone(), pool.clone(), backend.clone());
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

async fn probe_forever(
    upstreams: Rc<Upstreams>,
    service: Arc<Service>,
    pool: Arc<Pool>,
    backend: Arc<Backend>,
) -> String {
    let mut has_been_up = false;
    loop {
        let config = service.config();
        let seen = probe(&upstreams, &backend, &config).await;
        let passed = seen.outcome.passed();
        let outcome = seen.outcome.clone();
        if backend.observe(seen, config.health.rise, config.health.fall) {
            report(&service, &pool, &backend, &outcome);
            pool.settle();
            service.look_at_detour();
        }
        has_been_up |= backend.is_up();
        let pause =
            if passed && !has_been_up { FIRST_PAUSE.min(config.health.interval) } else { jittered(&config.health) };
        tokio::time::sleep(pause).await;
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
    }
}
