//! When the names of a service are looked up: at leisure while all is well, every second while something is down or changing, and
//! at once when a connection has failed or a probe has changed its mind.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Resolver;
use crate::metrics::Metrics;
use crate::service::Service;
use crate::supervise::keep_running;

/// From one look-up to the next while all is well.
const AT_LEISURE: Duration = Duration::from_secs(5);

/// While something of the service is down or changing.
const CHANGING: Duration = Duration::from_secs(1);

/// The same when look-ups are wanted at once.
const APART: Duration = Duration::from_millis(200);

/// Owns the tasks that look names up, one for each service; a task ends with its service.
pub struct NameWatch {
    resolver: Rc<RefCell<Resolver>>,
    metrics: Arc<Metrics>,
    services: HashMap<Arc<str>, (Arc<Service>, JoinSet<()>)>,
}

impl NameWatch {
    pub fn new(resolver: Rc<RefCell<Resolver>>, metrics: Arc<Metrics>) -> Self {
        Self { resolver, metrics, services: HashMap::new() }
    }

    /// Looks up the names of exactly these services from now on.
    pub fn follow<'a>(&mut self, services: impl Iterator<Item = &'a Arc<Service>>) {
        let mut before = std::mem::take(&mut self.services);
        for service in services {
            let kept = before.remove(service.name()).filter(|(known, _)| Arc::ptr_eq(known, service));
            let entry = kept.unwrap_or_else(|| (service.clone(), self.start(service)));
            self.services.insert(service.name().clone(), entry);
        }
    }

    fn start(&self, service: &Arc<Service>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        // Ends with its set, when the service is not followed any more.
        let (resolver, service) = (self.resolver.clone(), service.clone());
        let look_up = move || look_up_for_ever(resolver.clone(), service.clone());
        tasks.spawn_local(keep_running("dns", self.metrics.clone(), look_up));
        tasks
    }
}

async fn look_up_for_ever(resolver: Rc<RefCell<Resolver>>, service: Arc<Service>) -> String {
    loop {
        let pause = if service.is_settled() { AT_LEISURE } else { CHANGING };
        // A probe may change its mind while the pause runs: that wakes it too.
        let _ = tokio::time::timeout(pause.saturating_sub(APART), service.names_doubted()).await;
        let resolver = resolver.borrow().clone();
        resolver.refresh(&service).await;
        tokio::time::sleep(APART).await;
    }
}
