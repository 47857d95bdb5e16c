//! Carries operations out: one at a time for a service, gate and drain beside the writer, so that a rollback never queues
//! behind a drain.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use super::drain::{OnDrained, drain};
use super::gate::{GateRefused, Gatekeeper, millis};
use super::history::{Action, Actor, History, Record};
use super::operation::{DrainReport, Event, Goal, Refused, Request, Switched};
use super::plan;
use super::warmup::Errands;
use super::writer::Writer;
use crate::http::Shared;
use crate::resolve::Resolver;
use crate::service::{Active, Service};
use crate::types::Color;
use crate::upstream::Upstreams;

/// Hands operations to the operator from anywhere.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::UnboundedSender<Order>,
}

struct Order {
    request: Request,
    events: mpsc::UnboundedSender<Event>,
    answer: oneshot::Sender<Result<Switched, Refused>>,
}

impl Handle {
    /// Runs `request` to its end. The operation goes on when the caller goes away.
    pub async fn run(&self, request: Request, events: mpsc::UnboundedSender<Event>) -> Result<Switched, Refused> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { request, events, answer }).map_err(|_| Refused::ShuttingDown)?;
        answered.await.unwrap_or(Err(Refused::ShuttingDown))
    }
}

/// Lives on the control runtime's thread.
pub struct Operator {
    shared: Arc<Shared>,
    writer: Writer,
    history: Arc<History>,
    upstreams: Rc<Upstreams>,
    resolver: RefCell<Resolver>,
    held: RefCell<HashMap<Arc<str>, (Actor, Instant)>>,
    drains: RefCell<HashMap<Arc<str>, Drain>>,
    on_drained: OnDrained,
    errands: Errands,
}

/// A drain that runs.
struct Drain {
    color: Color,
    cancel: oneshot::Sender<()>,
}

impl Operator {
    pub fn new(
        shared: Arc<Shared>,
        writer: Writer,
        history: Arc<History>,
        upstreams: Rc<Upstreams>,
        resolver: Resolver,
        on_drained: OnDrained,
        errands: Errands,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared,
            writer,
            history,
            upstreams,
            resolver: RefCell::new(resolver),
            held: RefCell::default(),
            drains: RefCell::default(),
            on_drained,
            errands,
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
                // Ends with its operation, which is bounded by the gate's timeout and the drain's deadline.
                tokio::task::spawn_local(async move {
                    let result = operator.run(&order.request, &order.events).await;
                    let _ = order.answer.send(result);
                });
            }
        });
        Handle { orders }
    }

    async fn run(
        self: &Rc<Self>,
        request: &Request,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<Switched, Refused> {
        let service = self.find(&request.service)?;
        if let Goal::GateOnly(color) = request.goal {
            return self.gate_only(&service, color, request, events).await;
        }
        let result = self.switch(&service, request, events).await;
        if let Err(refused) = &result {
            self.note_refusal(&service, request, refused);
        }
        let (mut switched, drained) = result?;
        if request.wait
            && let Some(mut drained) = drained
        {
            let _ = drained.wait_for(Option::is_some).await;
            switched.drain.clone_from(&drained.borrow());
            if let Some(report) = &switched.drain {
                let _ = events.send(Event::Drained(report.clone()));
            }
        }
        Ok(switched)
    }

    fn find(&self, name: &str) -> Result<Arc<Service>, Refused> {
        let snapshot = self.shared.snapshot.load();
        let service = snapshot.services.get(name).cloned().ok_or_else(|| {
            let known: Vec<String> = snapshot.services.keys().map(|k| format!("{k:?}")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Refused::NoSuchService { name: name.to_owned(), known }
        })?;
        if service.is_colored() { Ok(service) } else { Err(Refused::NotColored { service: name.to_owned() }) }
    }

    async fn gate_only(
        &self,
        service: &Arc<Service>,
        color: Color,
        request: &Request,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<Switched, Refused> {
        let gate_ms = self.gate(service, color, request, events).await?;
        let active = service.active();
        Ok(Switched {
            service: service.name().to_string(),
            result: "ready".to_owned(),
            from: active.color,
            to: color,
            generation: active.generation,
            gate_ms: Some(gate_ms),
            flip_us: None,
            drain: None,
        })
    }

    /// Gate, flip, and the start of the drain, under the service's lock.
    async fn switch(
        self: &Rc<Self>,
        service: &Arc<Service>,
        request: &Request,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<(Switched, Option<watch::Receiver<Option<DrainReport>>>), Refused> {
        let _lock = self.lock(service, &request.actor)?;
        let before = service.active();
        let to = goal(service, &before, request)?;
        let mut switched = Switched {
            service: service.name().to_string(),
            result: "unchanged".to_owned(),
            from: before.color,
            to,
            generation: before.generation,
            gate_ms: None,
            flip_us: None,
            drain: None,
        };
        if to == before.color {
            return Ok((switched, None));
        }
        let result = if request.force { "forced" } else { "switched" };
        switched.result = result.to_owned();
        if !request.force {
            switched.gate_ms = Some(self.gate(service, to, request, events).await?);
        }
        let started = Instant::now();
        let flipped = self.writer.change(service, |now| Ok::<_, Refused>(plan::flip(now, to, SystemTime::now()))).await;
        let (_, after) = flipped?;
        let took = started.elapsed();
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        switched.generation = after.generation;
        switched.flip_us = Some(took_us);
        let series = self.shared.metrics.service(service.name());
        series.switched(result);
        series.phase("flip", took);
        tracing::info!(service = %service.name(), from = %before.color, %to, generation = after.generation, "switched");
        let _ = events.send(Event::Flipped { from: before.color, to, generation: after.generation, took_us });
        self.note_switch(request, &switched);
        let drained = self.start_drain(service, before.color, request, events);
        Ok((switched, Some(drained)))
    }

    async fn gate(
        &self,
        service: &Arc<Service>,
        color: Color,
        request: &Request,
        events: &mpsc::UnboundedSender<Event>,
    ) -> Result<u64, Refused> {
        let keeper = Gatekeeper { upstreams: self.upstreams.clone(), resolver: self.resolver.borrow().clone() };
        let timeout = request.timeout.unwrap_or(service.config().switch.timeout);
        let forceable = matches!(request.goal, Goal::To(_));
        let refused = |refused| GateRefused { forceable, ..refused };
        let passed = keeper.pass(service, color, timeout, events).await.map_err(refused)?;
        self.shared.metrics.service(service.name()).phase("gate", passed.took);
        if !matches!(request.goal, Goal::GateOnly(_)) {
            self.errands.warm_up(service, color, &passed, timeout, events).await.map_err(refused)?;
        }
        Ok(millis(passed.took))
    }

    fn lock(self: &Rc<Self>, service: &Arc<Service>, actor: &Actor) -> Result<Lock, Refused> {
        let mut held = self.held.borrow_mut();
        if let Some((holder, since)) = held.get(service.name()) {
            return Err(Refused::Conflict {
                service: service.name().to_string(),
                holder: holder.clone(),
                seconds: since.elapsed().as_secs(),
            });
        }
        held.insert(service.name().clone(), (actor.clone(), Instant::now()));
        Ok(Lock { operator: self.clone(), service: service.name().clone() })
    }

    /// Drains `color` beside everything else; a drain of the colour that serves now is cancelled, nothing of it is cut.
    fn start_drain(
        self: &Rc<Self>,
        service: &Arc<Service>,
        color: Color,
        request: &Request,
        events: &mpsc::UnboundedSender<Event>,
    ) -> watch::Receiver<Option<DrainReport>> {
        let name = service.name().clone();
        if let Some(running) = self.drains.borrow_mut().remove(&name) {
            tracing::info!(service = %name, color = %running.color, "drain cancelled by a switch back");
            let _ = running.cancel.send(());
        }
        let deadline = request.drain.unwrap_or(service.config().switch.drain);
        let pool = service.pool(color).clone();
        let in_flight = pool.in_flight();
        let _ = events.send(Event::Draining { color, in_flight, deadline_ms: millis(deadline) });
        let (cancel, cancelled) = oneshot::channel();
        let (report, reported) = watch::channel(None);
        self.drains.borrow_mut().insert(name, Drain { color, cancel });
        let (operator, service, actor) = (self.clone(), service.clone(), request.actor.clone());
        // Ends by the deadline and the cut's grace, or when a switch back cancels it.
        tokio::task::spawn_local(async move {
            let done = operator.run_drain(&service, color, deadline, cancelled).await;
            operator.note_drain(&service, &actor, &done);
            let _ = report.send(Some(done));
        });
        reported
    }

    async fn run_drain(
        &self,
        service: &Arc<Service>,
        color: Color,
        deadline: Duration,
        cancelled: oneshot::Receiver<()>,
    ) -> DrainReport {
        let pool = service.pool(color);
        let (started, began_with) = (Instant::now(), pool.in_flight());
        // The cancel first: a deadline that has passed in the same moment would cut the colour that serves again, and an end
        // would take the next drain off the books.
        let done = tokio::select! {
            biased;
            _ = cancelled => {
                let took_ms = millis(started.elapsed());
                return DrainReport { color, took_ms, began_with, cut: 0, cancelled: true };
            }
            done = drain(pool, color, deadline) => done,
        };
        self.drains.borrow_mut().remove(service.name());
        // A switch back that runs has connections of this pool in its hands: it may be warming it up.
        if !self.held.borrow().contains_key(service.name()) {
            (self.on_drained)(&pool.backends().iter().map(|b| b.id()).collect::<Vec<u64>>());
        }
        self.shared.metrics.service(service.name()).phase("drain", started.elapsed());
        tracing::info!(service = %service.name(), %color, cut = done.cut, took_ms = done.took_ms, "drained");
        done
    }

    fn note_switch(&self, request: &Request, switched: &Switched) {
        self.note(&Record {
            from: Some(switched.from),
            to: Some(switched.to),
            generation: switched.generation,
            result: switched.result.clone(),
            gate_ms: switched.gate_ms,
            flip_us: switched.flip_us,
            ..record(&switched.service, request)
        });
    }

    fn note_refusal(&self, service: &Service, request: &Request, refused: &Refused) {
        let active = service.active();
        let result = match refused {
            Refused::Conflict { .. } | Refused::Generation { .. } => "conflict",
            Refused::Gate(_) | Refused::NoPrevious { .. } => "refused",
            _ => "failed",
        };
        self.shared.metrics.service(service.name()).switched(result);
        self.note(&Record {
            from: Some(active.color),
            to: match request.goal {
                Goal::To(color) | Goal::GateOnly(color) => Some(color),
                Goal::Previous => active.previous,
            },
            generation: active.generation,
            result: result.to_owned(),
            detail: Some(refused.to_string()),
            ..record(service.name(), request)
        });
    }

    fn note_drain(&self, service: &Service, actor: &Actor, done: &DrainReport) {
        self.note(&Record {
            time: Timestamp::now(),
            service: service.name().to_string(),
            action: Action::Drain,
            actor: actor.clone(),
            reason: None,
            from: Some(done.color),
            to: None,
            generation: service.active().generation,
            result: if done.cancelled { "cancelled" } else { "drained" }.to_owned(),
            detail: None,
            gate_ms: None,
            flip_us: None,
            drain: Some(done.clone()),
        });
    }

    /// The history is told, not asked: a full disk does not undo a switch that is done.
    fn note(&self, record: &Record) {
        if let Err(error) = self.history.append(record) {
            tracing::error!(%error, "history not written");
        }
    }
}

fn record(service: &str, request: &Request) -> Record {
    Record {
        time: Timestamp::now(),
        service: service.to_owned(),
        action: if request.goal == Goal::Previous { Action::Rollback } else { Action::Switch },
        actor: request.actor.clone(),
        reason: request.reason.clone(),
        from: None,
        to: None,
        generation: 0,
        result: String::new(),
        detail: None,
        gate_ms: None,
        flip_us: None,
        drain: None,
    }
}

fn goal(service: &Service, before: &Active, request: &Request) -> Result<Color, Refused> {
    if let Some(asked) = request.if_generation.filter(|asked| *asked != before.generation) {
        return Err(Refused::Generation { service: service.name().to_string(), present: before.generation, asked });
    }
    match request.goal {
        Goal::To(color) | Goal::GateOnly(color) => Ok(color),
        Goal::Previous => before.previous.ok_or_else(|| Refused::NoPrevious { service: service.name().to_string() }),
    }
}

/// The one switch of a service that runs; freed by drop.
struct Lock {
    operator: Rc<Operator>,
    service: Arc<str>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.operator.held.borrow_mut().remove(&self.service);
    }
}
