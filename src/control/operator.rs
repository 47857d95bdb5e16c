//! Carries operations out: one switch at a time for a service, what must wait beside the writer, so that a rollback never
//! queues behind a drain.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::drain::OnDrained;
use super::gate::{GateRefused, Gatekeeper, millis};
use super::history::{Actor, History};
use super::ledger::{Entry, Ledger};
use super::operation::{Done, Event, Goal, Refused, Request};
use super::warmup::Errands;
use super::writer::Writer;
use crate::resolve::Resolver;
use crate::service::{Active, Service};
use crate::types::Color;
use crate::upstream::Upstreams;
use crate::worker::{AskWorkers, SharedState};

/// Hands operations to the operator from anywhere.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
}

struct Order {
    request: Request,
    events: Events,
    answer: oneshot::Sender<Result<Done, Refused>>,
}

/// Where the steps of an operation are told; nobody need listen.
pub(super) type Events = mpsc::UnboundedSender<Event>;

impl Handle {
    /// Runs `request` to its end. The operation goes on when the caller goes away.
    pub async fn run(&self, request: Request, events: mpsc::UnboundedSender<Event>) -> Result<Done, Refused> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { request, events, answer }).map_err(|_| Refused::ShuttingDown)?;
        answered.await.unwrap_or(Err(Refused::ShuttingDown))
    }
}

/// Whose detours are written down, and the task that does it.
type Followed = HashMap<Arc<str>, (Arc<Service>, JoinSet<()>)>;

/// Lives on the control runtime's thread.
pub struct Operator {
    pub(super) shared: Arc<SharedState>,
    pub(super) writer: Writer,
    pub(super) history: Arc<History>,
    pub(super) upstreams: Rc<Upstreams>,
    resolver: RefCell<Resolver>,
    ledgers: RefCell<HashMap<Arc<str>, Ledger>>,
    followed: RefCell<Followed>,
    pub(super) cores: CoreLinks,
}

/// How the operator reaches the cores.
pub struct CoreLinks {
    pub on_drained: OnDrained,
    pub errands: Errands,
    pub census: AskWorkers,
}

impl Operator {
    pub fn new(
        shared: Arc<SharedState>,
        writer: Writer,
        history: Arc<History>,
        upstreams: Rc<Upstreams>,
        resolver: Resolver,
        cores: CoreLinks,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared,
            writer,
            history,
            upstreams,
            resolver: RefCell::new(resolver),
            ledgers: RefCell::default(),
            followed: RefCell::default(),
            cores,
        })
    }

    pub fn set_resolver(&self, resolver: Resolver) {
        *self.resolver.borrow_mut() = resolver;
    }

    /// Takes orders until every handle is gone.
    pub fn start(self: &Rc<Self>) -> Handle {
        let (orders, mut incoming) = mpsc::unbounded_channel::<Order>();
        let operator = self.clone();
        // Ends with the last handle.
        tokio::task::spawn_local(async move {
            while let Some(order) = incoming.recv().await {
                let operator = operator.clone();
                // Ends with its operation, which is bounded by the times of the gate, the steps, the watch and the drain.
                tokio::task::spawn_local(async move {
                    let result = operator.run(&order.request, &order.events).await;
                    let _ = order.answer.send(result);
                });
            }
        });
        Handle { orders }
    }

    /// Writes down when a colour begins or ceases to stand in for the other, of exactly these services from now on.
    pub fn follow<'a>(self: &Rc<Self>, services: impl Iterator<Item = &'a Arc<Service>>) {
        let mut next = HashMap::new();
        let mut before = self.followed.take();
        for service in services {
            let kept = before.remove(service.name()).filter(|(known, _)| Arc::ptr_eq(known, service));
            let entry = kept.unwrap_or_else(|| (service.clone(), self.follow_one(service)));
            next.insert(service.name().clone(), entry);
        }
        self.followed.replace(next);
    }

    fn follow_one(self: &Rc<Self>, service: &Arc<Service>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let (operator, service) = (self.clone(), service.clone());
        // Ends with its set, when the service is not followed any more.
        tasks.spawn_local(async move {
            let mut detours = service.watch_detours();
            while detours.changed().await.is_ok() {
                let detour = *detours.borrow_and_update();
                operator.note_detour(&service, detour);
            }
        });
        tasks
    }

    async fn run(self: &Rc<Self>, request: &Request, events: &Events) -> Result<Done, Refused> {
        let service = &self.find(request)?;
        let result = match &request.goal {
            Goal::GateOnly(color) => return self.gate_only(service, *color, request, events).await,
            Goal::Previous if service.active().canary.is_some() => self.canary_off(service, request, events).await,
            Goal::To(_) | Goal::Previous => self.switch(service, request, events).await,
            Goal::Canary { color, percent } => self.canary(service, *color, *percent, request, events).await,
            Goal::CanaryOff => self.canary_off(service, request, events).await,
            Goal::Pause { max } => self.pause(service, *max, request, events).await,
            Goal::Resume => self.resume(service, request).await,
            Goal::MaintenanceOn { message, allow } => {
                self.maintenance_on(service, message.clone(), allow.clone(), request).await
            }
            Goal::MaintenanceOff => self.maintenance_off(service, request).await,
            Goal::Preview { color, until } => self.preview(service, *color, *until, request).await,
        };
        if let Err(refused) = &result {
            self.note_refusal(service, request, refused);
        }
        result
    }

    fn find(&self, request: &Request) -> Result<Arc<Service>, Refused> {
        let snapshot = self.shared.snapshot.load();
        let name = request.service.as_str();
        let service = snapshot.services.get(name).cloned().ok_or_else(|| {
            let known: Vec<String> = snapshot.services.keys().map(|k| format!("{k:?}")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Refused::NoSuchService { name: name.to_owned(), known }
        })?;
        if service.is_colored() || !request.goal.is_about_colors() {
            Ok(service)
        } else {
            Err(Refused::NotColored { service: name.to_owned() })
        }
    }

    async fn gate_only(
        &self,
        service: &Arc<Service>,
        color: Color,
        request: &Request,
        events: &Events,
    ) -> Result<Done, Refused> {
        let gate_ms = self.gate(service, color, request, events).await?;
        let active = service.active();
        Ok(Done {
            result: "ready".to_owned(),
            gate_ms: Some(gate_ms),
            ..Done::unchanged(service.name(), active.color, color, active.generation)
        })
    }

    pub(super) async fn gate(
        &self,
        service: &Arc<Service>,
        color: Color,
        request: &Request,
        events: &Events,
    ) -> Result<u64, Refused> {
        let keeper = Gatekeeper { upstreams: self.upstreams.clone(), resolver: self.resolver.borrow().clone() };
        let timeout = request.options.timeout.unwrap_or(service.config().switch.timeout);
        let forceable = matches!(request.goal, Goal::To(_));
        let refused = |refused| GateRefused { forceable, ..refused };
        let passed = keeper.pass(service, color, timeout, events).await.map_err(refused)?;
        self.shared.metrics.service(service.name()).phase("gate", passed.took);
        service.look_at_detour();
        if !matches!(request.goal, Goal::GateOnly(_)) {
            self.cores.errands.warm_up(service, color, &passed, timeout, events).await.map_err(refused)?;
        }
        Ok(millis(passed.took))
    }

    /// Looks into, or writes, the books of a service.
    pub(super) fn ledger<T>(&self, service: &Service, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(self.ledgers.borrow_mut().entry(service.name().clone()).or_default())
    }

    /// The right to change the colours of a service, or who has it.
    pub(super) fn hold(self: &Rc<Self>, service: &Arc<Service>, actor: &Actor) -> Result<Hold, Refused> {
        let entry = self.ledger(service, |ledger| ledger.hold_for(actor));
        let entry = entry.map_err(|(holder, held)| Refused::Conflict {
            service: service.name().to_string(),
            holder,
            seconds: held.as_secs(),
        })?;
        Ok(Hold { operator: self.clone(), service: service.clone(), entry })
    }

    /// Durable, published, and in the books: what serves from here on, made by `next` from what serves at that moment.
    ///
    /// `mover` is the course that does it, whom it does not end.
    pub(super) async fn move_traffic(
        &self,
        service: &Arc<Service>,
        mover: Option<Entry>,
        next: impl FnOnce(&Active) -> Result<Active, Refused>,
    ) -> Result<(Active, Duration), Refused> {
        let started = Instant::now();
        let (_, after) = self.change(service, next).await?;
        // No await since it was published: nobody sees the one without the other.
        if self.ledger(service, |ledger| ledger.traffic_moved(&after, mover)) {
            tracing::info!(service = %service.name(), "drain cancelled: its colour serves again");
        }
        Ok((after, started.elapsed()))
    }
}

impl Operator {
    /// Durable and published, unless a reload has put another in the place of `service`: what is on disk under its name is that
    /// one's from then on. Answers what served and what serves now.
    pub(super) async fn change(
        &self,
        service: &Arc<Service>,
        next: impl FnOnce(&Active) -> Result<Active, Refused>,
    ) -> Result<(Arc<Active>, Active), Refused> {
        let checked = |now: &Active| {
            // Asked under the lock that a reload takes too.
            let snapshot = self.shared.snapshot.load();
            let is_present = snapshot.services.get(service.name()).is_some_and(|known| Arc::ptr_eq(known, service));
            if is_present { next(now) } else { Err(Refused::Replaced { service: service.name().to_string() }) }
        };
        self.writer.change(service, checked).await
    }
}

impl Goal {
    /// Whether it needs two colours to choose from.
    fn is_about_colors(&self) -> bool {
        !matches!(self, Self::Pause { .. } | Self::Resume | Self::MaintenanceOn { .. } | Self::MaintenanceOff)
    }
}

/// The one switch or canary of a service that passes its gate; freed by drop.
pub(super) struct Hold {
    operator: Rc<Operator>,
    service: Arc<Service>,
    entry: Entry,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.operator.ledger(&self.service, |ledger| ledger.release(self.entry));
    }
}
