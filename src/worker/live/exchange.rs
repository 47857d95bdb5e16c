//! What the sweep and a census see of a running exchange: whether it waits for its client or its backend, since when, and
//! whether its pool has been cut.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::connection::Connection;
use super::stream_abort::StreamAbort;
use super::waker_slot::WakerSlot;
use crate::error::Broken;
use crate::service::{Era, InFlight, Pool};
use crate::site::Route;
use crate::snapshot::Snapshot;

/// When a pool is cut its exchanges end one after another, spread over this long, never all at once.
const CUT_SPREAD: Duration = Duration::from_secs(2);

/// The same at the shutdown, where every second is one of a closed door.
const LEAVING_SPREAD: Duration = Duration::from_secs(1);

/// What an exchange is, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeKind {
    /// Its answer has not begun.
    Request,
    /// The same, with a body.
    Upload,
    /// Its answer is on the way.
    Download,
    /// The same, without an end: `text/event-stream`.
    EventStream,
    Websocket,
    /// Another protocol after a 101.
    Tunnel,
}

impl ExchangeKind {
    pub const ALL: [Self; 6] =
        [Self::Request, Self::Upload, Self::Download, Self::EventStream, Self::Websocket, Self::Tunnel];

    /// Whether it may go on for ever: nobody waits for its end.
    pub fn is_endless(self) -> bool {
        matches!(self, Self::EventStream | Self::Websocket | Self::Tunnel)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Upload => "upload",
            Self::Download => "download",
            Self::EventStream => "event_stream",
            Self::Websocket => "websocket",
            Self::Tunnel => "tunnel",
        }
    }
}

/// The sweep's handle on one exchange.
pub struct ExchangeState {
    pool: RefCell<Option<Arc<Pool>>>,
    guest: Cell<Option<Era>>,
    kind: Cell<ExchangeKind>,
    started: Instant,
    /// Since when the client has not taken what we have for it.
    client_owes: Cell<Option<Instant>>,
    patience: Duration,
    /// How long the backend may leave its part undone; `None`: nothing is asked of it.
    response_timeout: Cell<Option<Duration>>,
    /// Since when it has not taken what there is of the request, or not answered it.
    backend_owes: Cell<Option<Instant>>,
    /// When it is to end, and why.
    ends_at: Cell<Option<(Instant, Broken)>>,
    broken: Cell<Option<Broken>>,
    waker: WakerSlot,
    connection: Weak<dyn Connection>,
    route: Arc<Route>,
    /// Its answer has begun, and says nothing of where it ends.
    flows: Cell<bool>,
    /// Its client would not be let in any more: when it ends if it has no end of its own.
    outdated: Cell<Option<Instant>>,
    /// Of an exchange's stream over HTTP/2.
    stream: RefCell<Option<Rc<StreamAbort>>>,
}

impl ExchangeState {
    /// `patience`: how long the client may leave an answer untaken.
    pub fn new(connection: Weak<dyn Connection>, route: Arc<Route>, started: Instant, patience: Duration) -> Self {
        Self {
            pool: RefCell::new(None),
            guest: Cell::new(None),
            kind: Cell::new(ExchangeKind::Request),
            started,
            client_owes: Cell::new(None),
            patience,
            response_timeout: Cell::new(None),
            backend_owes: Cell::new(None),
            ends_at: Cell::new(None),
            broken: Cell::new(None),
            waker: WakerSlot::default(),
            connection,
            route,
            flows: Cell::new(false),
            outdated: Cell::new(None),
            stream: RefCell::default(),
        }
    }

    /// The exchange is in this pool now, and on the stream that runs: it ends when the pool is cut, unless it is there as a
    /// guest.
    pub fn enter(&self, in_flight: &InFlight) {
        *self.pool.borrow_mut() = Some(in_flight.pool().clone());
        self.guest.set(in_flight.guest());
        *self.stream.borrow_mut() = StreamAbort::of_running_stream();
    }

    /// Its backend has done its part: no cut of the pool concerns it any more.
    pub fn leave(&self) {
        *self.pool.borrow_mut() = None;
        self.kind.set(ExchangeKind::Download);
    }

    /// Notes which kind it has turned out to be.
    pub fn becomes(&self, kind: ExchangeKind) {
        self.kind.set(kind);
    }

    /// Its answer has no length.
    pub fn flows(&self) {
        self.flows.set(true);
    }

    /// The route that answers it.
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    pub fn kind(&self) -> ExchangeKind {
        self.kind.get()
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn is_in(&self, pool: &Arc<Pool>) -> bool {
        self.pool.borrow().as_ref().is_some_and(|mine| Arc::ptr_eq(mine, pool))
    }

    /// Bytes were handed towards the client; the clock runs until it asks for more, or the exchange is over.
    pub fn client_owes(&self, now: Instant) {
        self.client_owes.set(Some(now));
    }

    /// The same for an answer of ours, whose exchange may never have entered a pool.
    pub fn client_owes_for_ours(&self, now: Instant) {
        self.client_owes(now);
        *self.stream.borrow_mut() = StreamAbort::of_running_stream();
    }

    pub fn client_paid(&self) {
        self.client_owes.set(None);
    }

    /// The request goes to a backend, which has `limit` to answer; or to take the next part of a body, while there is one.
    /// Looked at by the sweep: a timer for each request would cost more than all that the sweep does.
    pub fn asks_backend(&self, now: Instant, limit: Duration) {
        self.response_timeout.set(Some(limit));
        self.backend_owes.set(Some(now));
    }

    /// The backend has a new part of the request, or all of it; its clock begins anew.
    pub fn backend_owes(&self, now: Instant) {
        self.backend_owes.set(Some(now));
    }

    /// The backend has taken all there is, and more is to come from the client.
    pub fn backend_paid(&self) {
        self.backend_owes.set(None);
    }

    /// The backend's head has come, or none will. A backend that was too slow has been dealt with then: the client has its own time
    /// for the answer that it gets instead.
    pub fn asks_nothing(&self) {
        self.response_timeout.set(None);
        if self.broken.get() == Some(Broken::UpstreamTooSlow) {
            self.broken.set(None);
        }
    }

    /// Since when the exchange has waited for the backend, if it does.
    pub fn awaits_backend(&self) -> Option<Instant> {
        self.response_timeout.get().and(self.backend_owes.get())
    }

    /// Why the sweep has broken this exchange, if it has.
    pub fn broken(&self) -> Option<Broken> {
        self.broken.get()
    }

    /// Ready once the sweep has broken this exchange; else wakes the task when it does.
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<Broken> {
        if let Some(broken) = self.broken.get() {
            return Poll::Ready(broken);
        }
        self.waker.keep(cx);
        Poll::Pending
    }

    /// Runs `future` unless the sweep breaks the exchange first.
    pub async fn unless_broken<F: Future>(&self, future: F) -> Result<F::Output, Broken> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_broken(cx).map(Err),
        })
        .await
    }

    /// Looks at its deadlines. `leaving`: the daemon shuts down, so an exchange without an end is ended soon.
    pub fn check(&self, now: Instant, leaving: bool) {
        if self.broken.get().is_some() && self.client_owes.get().is_some() {
            // It was woken and has not ended: its codec waits for a client that takes nothing.
            return self.end_carrier();
        }
        if self.client_owes.get().is_some_and(|since| now.duration_since(since) > self.patience) {
            self.break_off(Broken::ClientTooSlow);
        }
        if let (Some(since), Some(limit)) = (self.awaits_backend(), self.response_timeout.get())
            && now.saturating_duration_since(since) > limit
        {
            self.break_off(Broken::UpstreamTooSlow);
        }
        let is_guest = |pool: &Pool| self.guest.get().is_some_and(|era| pool.is_guest(era));
        let is_cut = self.pool.borrow().as_ref().is_some_and(|pool| pool.is_cut() && !is_guest(pool));
        let is_endless = self.kind.get().is_endless();
        let is_outdated = self.outdated.get().is_some_and(|at| now >= at) && (is_endless || self.flows.get());
        let ends = if leaving && is_endless {
            Some((LEAVING_SPREAD, Broken::Shutdown))
        } else if is_cut {
            Some((CUT_SPREAD, Broken::DrainCut))
        } else if is_outdated {
            Some((CUT_SPREAD, Broken::ClientRulesChanged))
        } else {
            None
        };
        let Some((spread, why)) = ends else { return self.ends_at.set(None) };
        match self.ends_at.get() {
            Some((at, known)) if known == why => {
                if now >= at {
                    self.break_off(why);
                }
            }
            _ => self.ends_at.set(Some((now + spread.mul_f32(fastrand::f32()), why))),
        }
    }

    /// Another snapshot is published: looks whether its client would still be let in. One that would not may finish what has an end;
    /// the rest ends with the drain of its service. May verify a certificate.
    pub fn review(&self, snapshot: &Snapshot, now: Instant) {
        let Some(connection) = self.connection.upgrade() else { return };
        let fits = connection.peer().still_fits(snapshot, &self.route.site);
        let drain = || {
            let service = self.route.service_name().and_then(|name| snapshot.config.services.get(name));
            service.map_or(Duration::ZERO, |service| service.switch.drain)
        };
        self.outdated.set((!fits).then(|| self.outdated.get().unwrap_or_else(|| now + drain())));
    }

    /// Ends the stream that carries the exchange, or the connection where there are no streams.
    fn end_carrier(&self) {
        match (&*self.stream.borrow(), self.connection.upgrade()) {
            (Some(stream), _) => stream.abort(),
            (None, Some(connection)) => connection.state().abort(),
            (None, None) => {}
        }
    }

    fn break_off(&self, why: Broken) {
        if self.broken.get().is_none() {
            self.broken.set(Some(why));
            if why == Broken::DrainCut
                && let Some(pool) = &*self.pool.borrow()
            {
                pool.count_cut();
            }
            self.waker.wake();
        }
    }
}
