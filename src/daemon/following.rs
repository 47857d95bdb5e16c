//! What runs as long as the daemon: probes of the present services, look-ups of names, samples, the watch of files.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::filewatch::{FileWatch, settle};
use super::log;
use super::running::Daemon;
use super::services::added;
use crate::config::Config;
use crate::service::Service;
use crate::supervise;
use crate::trust::BackendTlsSet;
use crate::worker::SharedState;

/// How long a reload waits for the first probes of a service that it adds.
const NEW_SERVICES: Duration = Duration::from_secs(5);

/// How often the figures of the colours are sampled.
const SAMPLES: Duration = Duration::from_secs(1);

impl Daemon {
    /// Probes the services of the present snapshot and looks up their names, and no others.
    pub fn follow_services(&self) {
        let snapshot = self.shared.snapshot.load_full();
        self.names.borrow_mut().follow(snapshot.services.values());
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
        futures_util::future::join_all(services.values().map(|service| resolver.refresh(service))).await;
        self.monitor.borrow_mut().follow(present.services.values().chain(services.values()));
        let until = Instant::now() + NEW_SERVICES;
        while services.values().any(|service| service.pool(service.active().color).may_come_up())
            && Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        services
    }

    /// Looks up all names once, and returns when that is done.
    pub async fn resolve_now(&self) {
        let (resolver, snapshot) = (self.resolver.borrow().clone(), self.shared.snapshot.load_full());
        futures_util::future::join_all(snapshot.services.values().map(|service| resolver.refresh(service))).await;
    }

    /// Samples the figures of the colours once a second.
    pub fn keep_sampling(&self) {
        let shared = self.shared.clone();
        self.keep_running("sampler", move || sample(shared.clone()));
    }

    /// Watches the files of the present config; what it returns says that one of them may have changed.
    pub fn watch_files(self: &Rc<Self>) -> mpsc::Receiver<()> {
        let (changes, changed) = mpsc::channel(1);
        let daemon = Rc::downgrade(self);
        self.keep_running("file-watch", move || {
            let (watch, events) = FileWatch::new();
            if let Some(daemon) = daemon.upgrade() {
                *daemon.watch.borrow_mut() = Some(watch);
                daemon.follow_files();
                // What changed while nothing watched.
                let _ = changes.try_send(());
            }
            settle(events, changes.clone())
        });
        changed
    }

    /// Runs a task of the control runtime, which ends with it and not before.
    pub fn keep_running<F>(&self, task: &'static str, make: impl FnMut() -> F + 'static)
    where
        F: Future<Output = String> + 'static,
    {
        // Ends with the control runtime.
        tokio::task::spawn_local(supervise::keep_running(task, self.shared.metrics.clone(), make));
    }
}

async fn sample(shared: Arc<SharedState>) -> String {
    let mut seconds = tokio::time::interval(SAMPLES);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let now = seconds.tick().await;
        let snapshot = shared.snapshot.load();
        shared.metrics.sample(snapshot.services.keys(), now.into_std());
        snapshot.services.values().for_each(|service| service.look_whether_special());
        log::tell_what_was_left_out();
    }
}
