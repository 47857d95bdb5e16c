//! What runs for the services of the present snapshot: probes, look-ups of names, samples.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::log;
use super::running::Daemon;
use super::services::added;
use crate::config::Config;
use crate::resolve::{self, Resolver};
use crate::service::Service;
use crate::trust::BackendTlsSet;
use crate::worker::SharedState;

/// How long a reload waits for the first probes of a service that it adds.
const NEW_SERVICES: Duration = Duration::from_secs(5);

/// How often the figures of the colours are sampled.
const SAMPLES: Duration = Duration::from_secs(1);

impl Daemon {
    /// Probes the services of the present snapshot, and no others.
    pub fn follow_services(&self) {
        let snapshot = self.shared.snapshot.load_full();
        self.monitor.borrow_mut().follow(snapshot.services.values());
        self.operator.follow(snapshot.services.values());
    }

    /// The services that `next` adds, probed before any request is sent to them: a site that moves to a new service loses nothing.
    ///
    /// Ends when each can serve, or shows that it can't, or has had its time.
    pub async fn warm_up(&self, next: &Config, tls: &BackendTlsSet) -> BTreeMap<Arc<str>, Arc<Service>> {
        let present = self.shared.snapshot.load_full();
        let new: Vec<_> = next.services.values().filter(|definition| present.kept(definition).is_none()).collect();
        if new.is_empty() {
            return BTreeMap::new();
        }
        let services = self.writer.with_state(|state| {
            let services = new.iter().map(|definition| (definition.name.clone(), added(state, definition, tls)));
            services.collect::<BTreeMap<_, _>>()
        });
        let services = services.await;
        let resolver = self.resolver.borrow().clone();
        let pools = services.values().flat_map(|service| service.pools());
        futures_util::future::join_all(pools.map(|pool| resolver.refresh(pool))).await;
        self.monitor.borrow_mut().follow(present.services.values().chain(services.values()));
        let until = Instant::now() + NEW_SERVICES;
        while services.values().any(|service| service.pool(service.active().color).may_come_up())
            && Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        services
    }

    pub async fn resolve_now(&self) {
        let resolver = self.resolver.borrow().clone();
        refresh_all(&resolver, &self.shared).await;
    }

    pub fn keep_resolving(self: &Rc<Self>) {
        let (shared, resolver) = (self.shared.clone(), self.resolver.clone());
        // Ends with the control runtime.
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(resolve::INTERVAL).await;
                let resolver = resolver.borrow().clone();
                refresh_all(&resolver, &shared).await;
            }
        });
    }

    /// Samples the figures of the colours once a second.
    pub fn keep_sampling(&self) {
        let shared = self.shared.clone();
        // Ends with the control runtime.
        tokio::task::spawn_local(async move {
            let mut seconds = tokio::time::interval(SAMPLES);
            seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let now = seconds.tick().await;
                let snapshot = shared.snapshot.load();
                shared.metrics.sample(snapshot.services.keys(), now.into_std());
                snapshot.services.values().for_each(|service| service.look_whether_special());
                log::tell_what_was_left_out();
            }
        });
    }
}

async fn refresh_all(resolver: &Resolver, shared: &SharedState) {
    let snapshot = shared.snapshot.load_full();
    let pools = snapshot.services.values().flat_map(|service| service.pools());
    futures_util::future::join_all(pools.map(|pool| resolver.refresh(pool))).await;
}
