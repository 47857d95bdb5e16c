//! Takes requests from anywhere and runs each as a task of its own, so that a rollback never queues behind a drain.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::disk::History;
use super::failover::FollowedServices;
use super::messages::{Goal, OperationDone, OperationRefused, OperationRequest};
use super::plane::{ControlPlane, EventSender, Operation, StateWriter};
use crate::resolve::Resolver;
use crate::service::Service;
use crate::supervise::keep_running;
use crate::upstream::Upstreams;
use crate::worker::{Orders, SharedState};

/// Hands requests to the operator, from any thread.
#[derive(Clone)]
pub struct OperatorHandle {
    orders: mpsc::UnboundedSender<OperatorOrder>,
}

struct OperatorOrder {
    request: OperationRequest,
    events: EventSender,
    answer: oneshot::Sender<Result<OperationDone, OperationRefused>>,
}

impl OperatorHandle {
    /// Runs `request` to its end. The operation goes on if the caller goes away.
    pub async fn run(&self, request: OperationRequest, events: EventSender) -> Result<OperationDone, OperationRefused> {
        let (answer, answered) = oneshot::channel();
        let order = OperatorOrder { request, events, answer };
        self.orders.send(order).map_err(|_| OperationRefused::ShuttingDown)?;
        answered.await.unwrap_or(Err(OperationRefused::ShuttingDown))
    }
}

/// Lives on the control runtime's thread.
pub struct Operator {
    plane: Rc<ControlPlane>,
    followed: RefCell<FollowedServices>,
    running: TaskTracker,
}

impl Operator {
    pub fn new(
        shared: Arc<SharedState>,
        writer: StateWriter,
        history: Arc<History>,
        upstreams: Rc<Upstreams>,
        resolver: Resolver,
        workers: Orders,
    ) -> Rc<Self> {
        let plane = Rc::new(ControlPlane::new(shared, writer, history, upstreams, resolver, workers));
        Rc::new(Self { plane, followed: RefCell::default(), running: TaskTracker::new() })
    }

    pub fn set_resolver(&self, resolver: Resolver) {
        self.plane.set_resolver(resolver);
    }

    /// Takes requests until every handle is gone.
    pub fn start(&self) -> OperatorHandle {
        let (orders, incoming) = mpsc::unbounded_channel::<OperatorOrder>();
        let (plane, incoming) = (self.plane.clone(), Rc::new(Mutex::new(incoming)));
        let metrics = plane.shared.metrics.clone();
        let running = self.running.clone();
        let take = move || take_orders(plane.clone(), running.clone(), incoming.clone());
        // Ends with the control runtime: the daemon has a handle as long as it runs.
        tokio::task::spawn_local(keep_running("operator", metrics, take));
        OperatorHandle { orders }
    }

    /// From now on nothing is switched: what asks is refused, a gate and a watch end at once, and a drain goes on.
    pub fn stop(&self) {
        self.plane.leaving.cancel();
    }

    /// Waits until what was asked for has its answer.
    pub async fn ended_within(&self, limit: Duration) {
        self.running.close();
        let _ = tokio::time::timeout(limit, self.running.wait()).await;
    }

    /// Records failovers of exactly these services from now on.
    pub fn follow<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) {
        self.followed.borrow_mut().follow(&self.plane, services);
    }

    /// Reports what the daemon's last end has interrupted. For the start only.
    pub fn tell_what_broke_off<'a>(&self, services: impl Iterator<Item = &'a Arc<Service>>) {
        self.plane.report_interrupted(services);
    }
}

async fn take_orders(
    plane: Rc<ControlPlane>,
    running: TaskTracker,
    incoming: Rc<Mutex<mpsc::UnboundedReceiver<OperatorOrder>>>,
) -> String {
    let mut incoming = incoming.lock().await;
    while let Some(OperatorOrder { request, events, answer }) = incoming.recv().await {
        let plane = plane.clone();
        // Ends with its operation, which is bounded by the times of the gate, the steps, the watch and the drain.
        running.spawn_local(async move {
            let _ = answer.send(run(plane, request, events).await);
        });
    }
    // Nothing is left that could ask.
    std::future::pending().await
}

async fn run(
    plane: Rc<ControlPlane>,
    request: OperationRequest,
    events: EventSender,
) -> Result<OperationDone, OperationRefused> {
    let operation = Operation::new(plane, request, events)?;
    let result = match &operation.request.goal {
        Goal::GateOnly(color) => return operation.gate_only(*color).await,
        Goal::Previous if operation.service.active().canary.is_some() => operation.canary_off().await,
        Goal::To(_) | Goal::Previous => operation.switch().await,
        Goal::Canary { color, percent } => operation.canary(*color, *percent).await,
        Goal::CanaryOff => operation.canary_off().await,
        Goal::Pause { max } => operation.pause(*max).await,
        Goal::Resume => operation.resume().await,
        Goal::MaintenanceOn { message, allow } => operation.maintenance_on(message.clone(), allow.clone()).await,
        Goal::MaintenanceOff => operation.maintenance_off().await,
        Goal::Preview { color, until } => operation.preview(*color, *until).await,
    };
    if let Err(refused) = &result {
        operation.note_refusal(refused);
    }
    result
}
