//! Whether this process serves, and whether it is to get requests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::running::Daemon;
use crate::service::Service;

/// How long readiness waits for the first probes; then the daemon is ready anyway.
const FIRST_PROBES: Duration = Duration::from_secs(10);

impl Daemon {
    /// Whether this process is to get requests; the error says why it is not.
    pub fn readiness(&self) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
        let (fit, shared) = (self.fitness(), self.shared.clone());
        Arc::new(move || {
            fit()?;
            shared.snapshot.load().services.values().try_for_each(|service| serves(service))
        })
    }

    /// Whether the process itself is able to serve, even if the operator has paused services.
    pub fn fitness(&self) -> Arc<dyn Fn() -> Result<(), String> + Send + Sync> {
        let (ready, stopping) = (self.ready.clone(), self.stopping.clone());
        Arc::new(move || match (stopping.load(Ordering::Relaxed), ready.load(Ordering::Relaxed)) {
            (true, _) => Err("shutting down".to_owned()),
            (false, false) => Err("starting: backends are being probed".to_owned()),
            (false, true) => Ok(()),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Ready once every active pool has a healthy backend, or has had enough time to get one.
    pub fn look_whether_ready(&self) {
        let snapshot = self.shared.snapshot.load();
        let serves = snapshot.services.values().all(|s| s.pool(s.active().color).has_healthy());
        if serves || self.started.elapsed() > FIRST_PROBES {
            self.ready.store(true, Ordering::Relaxed);
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            tracing::info!(after = ?self.started.elapsed(), "ready");
        }
    }
}

/// Whether the operator lets the service take requests; the error says what it does instead.
fn serves(service: &Service) -> Result<(), String> {
    let active = service.active();
    match (&active.maintenance, &active.paused) {
        (Some(_), _) => Err(format!("service {:?} is in maintenance", service.name())),
        (None, Some(_)) => Err(format!("service {:?} is paused", service.name())),
        (None, None) => Ok(()),
    }
}
