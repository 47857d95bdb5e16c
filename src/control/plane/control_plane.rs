//! What all operations share, and the two ways to change what serves: a change that moves traffic, and one that does not.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::counted::{SwitchPhase, SwitchResult};
use super::writer::StateWriter;
use crate::control::disk::{History, HistoryRecord};
use crate::control::gate::Gatekeeper;
use crate::control::messages::{OperationRefused, OperationRequest};
use crate::control::moves::{LedgerEntry, TrafficLedger};
use crate::metrics::{Metrics, Totals};
use crate::resolve::Resolver;
use crate::service::{Active, Service};
use crate::types::Color;
use crate::upstream::Upstreams;
use crate::worker::{Orders, SharedState};

/// Everything an operation works with.
pub struct ControlPlane {
    pub shared: Arc<SharedState>,
    pub history: Arc<History>,
    pub upstreams: Rc<Upstreams>,
    pub workers: Orders,
    /// Cancelled when the daemon shuts down: from then on nothing changes what serves.
    pub leaving: CancellationToken,
    writer: StateWriter,
    resolver: RefCell<Resolver>,
    ledgers: RefCell<HashMap<Arc<str>, TrafficLedger>>,
}

impl ControlPlane {
    pub fn new(
        shared: Arc<SharedState>,
        writer: StateWriter,
        history: Arc<History>,
        upstreams: Rc<Upstreams>,
        resolver: Resolver,
        workers: Orders,
    ) -> Self {
        let resolver = RefCell::new(resolver);
        let (leaving, ledgers) = (CancellationToken::new(), RefCell::default());
        Self { shared, history, upstreams, workers, leaving, writer, resolver, ledgers }
    }

    pub fn set_resolver(&self, resolver: Resolver) {
        *self.resolver.borrow_mut() = resolver;
    }

    pub fn gatekeeper(&self) -> Gatekeeper {
        Gatekeeper { upstreams: self.upstreams.clone(), resolver: self.resolver.borrow().clone() }
    }

    /// The service that a request names, if it can do what is asked of it.
    pub fn find(&self, request: &OperationRequest) -> Result<Arc<Service>, OperationRefused> {
        let snapshot = self.shared.snapshot.load();
        let name = request.service.as_str();
        let service = snapshot.services.get(name).cloned().ok_or_else(|| {
            let known: Vec<String> = snapshot.services.keys().map(|k| format!("{k:?}")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            OperationRefused::NoSuchService { name: name.to_owned(), known }
        })?;
        if service.is_colored() || !request.goal.needs_colors() {
            Ok(service)
        } else {
            Err(OperationRefused::NotColored { service: name.to_owned() })
        }
    }

    /// Reads or writes the ledger of a service.
    pub fn ledger<T>(&self, service: &Service, act: impl FnOnce(&mut TrafficLedger) -> T) -> T {
        act(self.ledgers.borrow_mut().entry(service.name().clone()).or_default())
    }

    /// Makes a change durable and publishes it. Refused when the daemon shuts down, and if a reload has replaced `service` by
    /// another object: the state on disk under its name belongs to that one. Returns the states before and after.
    pub async fn change(
        &self,
        service: &Arc<Service>,
        next: impl FnOnce(&Active) -> Result<Active, OperationRefused>,
    ) -> Result<(Arc<Active>, Active), OperationRefused> {
        let checked = |now: &Active| {
            if self.leaving.is_cancelled() {
                return Err(OperationRefused::ShuttingDown);
            }
            // Checked under the writer's lock, which a reload takes too.
            let snapshot = self.shared.snapshot.load();
            let is_present = snapshot.services.get(service.name()).is_some_and(|known| Arc::ptr_eq(known, service));
            if is_present { next(now) } else { Err(OperationRefused::Replaced { service: service.name().to_string() }) }
        };
        self.writer.change(service, checked).await
    }

    /// [`Self::change`] for a change that moves traffic: it is noted in the ledger too. Returns the new state, and how long it
    /// took.
    ///
    /// `mover` is the course that makes the change; the change does not end it.
    pub async fn move_traffic(
        &self,
        service: &Arc<Service>,
        mover: Option<LedgerEntry>,
        next: impl FnOnce(&Active) -> Result<Active, OperationRefused>,
    ) -> Result<(Active, Duration), OperationRefused> {
        let started = Instant::now();
        let (_, after) = self.change(service, next).await?;
        // There is no await between publishing and this: no task sees one without the other.
        if self.ledger(service, |ledger| ledger.traffic_moved(&after, mover)) {
            tracing::info!(service = %service.name(), "drain cancelled: its colour serves again");
        }
        Ok((after, started.elapsed()))
    }

    /// Appends a record. A full disk is logged and does not undo what is done.
    pub fn note(&self, record: HistoryRecord) {
        let snapshot = self.shared.snapshot.load();
        let is_colored = snapshot.services.get(record.service.as_str()).is_none_or(|service| service.is_colored());
        // A service with one pool has a colour in its `Active`, which means nothing.
        let record = if is_colored { record } else { HistoryRecord { from: None, to: None, ..record } };
        if let Err(error) = self.history.append(&record) {
            tracing::error!(%error, "history not written");
        }
    }

    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// What a colour of a service has done since the daemon's start.
    pub fn totals(&self, service: &Service, color: Color) -> Totals {
        let [blue, green] = self.metrics().totals(service.name());
        if color == Color::Blue { blue } else { green }
    }

    pub fn count_result(&self, service: &str, result: SwitchResult) {
        self.metrics().service(service).switched(result.as_str());
    }

    pub fn count_phase(&self, service: &Service, phase: SwitchPhase, took: Duration) {
        self.metrics().service(service.name()).phase(phase.as_str(), took);
    }
}
