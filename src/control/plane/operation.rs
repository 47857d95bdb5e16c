//! One operation under way: what was asked, of which service, and where its steps are sent.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::control_plane::ControlPlane;
use super::counted::SwitchPhase;
use crate::control::gate::{NamePatience, warm_up};
use crate::control::messages::{GateRefused, Goal, OperationEvent, OperationRefused, OperationRequest, millis};
use crate::control::moves::{LedgerEntry, TrafficLedger, plan};
use crate::service::{Active, Service};
use crate::types::Color;

/// Where the steps of an operation are sent; the receiver may be gone.
pub type EventSender = mpsc::UnboundedSender<OperationEvent>;

/// Cheap to clone: a drain or a watch that runs on has a clone of its own.
#[derive(Clone)]
pub struct Operation {
    pub plane: Rc<ControlPlane>,
    pub service: Arc<Service>,
    pub request: Rc<OperationRequest>,
    events: EventSender,
}

/// The right of one switch or canary to pass the gate of a service; released by drop.
pub struct GateHold {
    operation: Operation,
    entry: LedgerEntry,
}

impl Operation {
    /// Refused when the daemon shuts down.
    pub fn new(
        plane: Rc<ControlPlane>,
        request: OperationRequest,
        events: EventSender,
    ) -> Result<Self, OperationRefused> {
        if plane.leaving.is_cancelled() {
            return Err(OperationRefused::ShuttingDown);
        }
        let service = plane.find(&request)?;
        Ok(Self { plane, service, request: Rc::new(request), events })
    }

    pub fn name(&self) -> &str {
        self.service.name()
    }

    pub fn tell(&self, event: OperationEvent) {
        let _ = self.events.send(event);
    }

    pub fn ledger<T>(&self, act: impl FnOnce(&mut TrafficLedger) -> T) -> T {
        self.plane.ledger(&self.service, act)
    }

    /// Takes the one hold of the service's gate; refused while another operation has it.
    pub fn hold_gate(&self) -> Result<GateHold, OperationRefused> {
        let entry = self.ledger(|ledger| ledger.hold_for(&self.request.actor));
        let entry = entry.map_err(|(holder, held)| OperationRefused::Conflict {
            service: self.name().to_owned(),
            holder,
            seconds: held.as_secs(),
        })?;
        Ok(GateHold { operation: self.clone(), entry })
    }

    /// Fresh probes, then the warm-up, of every backend of `color`. Returns the milliseconds that the probes took. Ends at once
    /// when the daemon shuts down.
    pub async fn pass_gate(&self, color: Color) -> Result<u64, OperationRefused> {
        let passed = self.plane.leaving.run_until_cancelled(self.gate(color)).await;
        passed.unwrap_or(Err(OperationRefused::ShuttingDown))
    }

    async fn gate(&self, color: Color) -> Result<u64, OperationRefused> {
        let (plane, service) = (&self.plane, &self.service);
        let timeout = self.request.options.timeout.unwrap_or(service.config().switch.timeout);
        let forceable = matches!(self.request.goal, Goal::To(_) | Goal::Previous);
        let refused = |refused| GateRefused { forceable, ..refused };
        let patience = match self.request.goal {
            Goal::Previous => NamePatience::None,
            Goal::GateOnly(_) => NamePatience::WholeGate,
            _ => NamePatience::Starting,
        };
        let gatekeeper = plane.gatekeeper();
        let passed = gatekeeper.pass(service, color, timeout, patience, &self.events).await.map_err(refused)?;
        plane.count_phase(service, SwitchPhase::Gate, passed.took);
        service.look_at_detour();
        if !matches!(self.request.goal, Goal::GateOnly(_)) {
            warm_up(&plane.workers, service, color, &passed, timeout, &self.events).await.map_err(refused)?;
        }
        Ok(millis(passed.took))
    }

    /// Compare and set: refused if the caller has named a generation and `now` is another one.
    pub fn check_generation(&self, now: &Active) -> Result<(), OperationRefused> {
        plan::check_generation(self.name(), now, self.request.if_generation)
    }

    /// Refused when another operation has moved the traffic since this course began.
    pub fn check_course(&self, course: LedgerEntry) -> Result<(), OperationRefused> {
        if self.ledger(|ledger| ledger.is_on(course)) { Ok(()) } else { Err(self.overtaken()) }
    }

    pub fn overtaken(&self) -> OperationRefused {
        OperationRefused::Overtaken { service: self.name().to_owned(), present: self.service.active().generation }
    }
}

impl Drop for GateHold {
    fn drop(&mut self) {
        self.operation.ledger(|ledger| ledger.release(self.entry));
    }
}
