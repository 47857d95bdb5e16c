//! What the sweep sees of a client connection: its phase, its deadline, and what its task has been ordered to do.
//!
//! The phases are kept here because an HTTP codec has one timer for all: waiting for a head has one bound, receiving it
//! another, and a running exchange has bounds of its own. Never reads or writes a socket.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::waker_slot::WakerSlot;
use crate::config::Limits;
use crate::decide::Peer;

/// How long a new connection has for its first head once it is to finish.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// How long an idle connection that is to finish has for its farewell, if its protocol has one (GOAWAY). It begins anew when the client
/// takes or sends something, for as long as `keepalive`: over HTTP/2 the end of an answer may still be on its way.
const GOODBYE: Duration = Duration::from_secs(2);

/// What a worker keeps a table of: whatever has a [`ConnectionState`].
pub trait Connection {
    fn state(&self) -> &ConnectionState;

    /// Its other end.
    fn peer(&self) -> &Peer;
}

/// One client connection, as its exchanges and the sweep see it.
pub struct ConnectionState {
    listener: usize,
    limits: Limits,
    phase: Cell<Phase>,
    deadline: Cell<Instant>,
    order: Cell<ConnectionOrder>,
    waker: WakerSlot,
    exchanges: Cell<u64>,
    running: Cell<u32>,
    waiting: Cell<u32>,
    /// The client has not taken what the codec has for it.
    is_blocked: Cell<bool>,
    /// The client has taken or sent something since the sweep has looked.
    is_stirring: Cell<bool>,
    /// When the farewell is over, whatever the client does.
    farewell_ends: Cell<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between requests.
    Idle,
    /// A head has begun to arrive.
    Head,
    /// At least one exchange runs; it has its own bounds.
    Running,
}

/// What the connection's task is to do when it looks next. Only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConnectionOrder {
    Serve,
    Finish,
    Abort,
}

impl ConnectionState {
    /// A connection accepted by this listener, which has `header_timeout` for its first head.
    pub fn new(listener: usize, limits: Limits) -> Self {
        let deadline = Instant::now() + limits.header_timeout;
        Self {
            listener,
            limits,
            phase: Cell::new(Phase::Head),
            deadline: Cell::new(deadline),
            order: Cell::new(ConnectionOrder::Serve),
            waker: WakerSlot::default(),
            exchanges: Cell::new(0),
            running: Cell::new(0),
            waiting: Cell::new(0),
            is_blocked: Cell::new(false),
            is_stirring: Cell::new(false),
            farewell_ends: Cell::new(deadline),
        }
    }

    /// The limits of the time when it was accepted: a reload does not change them.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many exchanges have begun on it.
    pub fn exchanges(&self) -> u64 {
        self.exchanges.get()
    }

    pub fn listener(&self) -> usize {
        self.listener
    }

    /// What runs on it ends, then it closes. A connection that has not asked yet may ask once: the request may be on its way.
    pub fn finish(&self) {
        let now = Instant::now();
        let was_finishing = self.is_finishing();
        self.order(ConnectionOrder::Finish);
        match self.phase.get() {
            Phase::Head if self.is_fresh() => self.deadline.set(self.deadline.get().min(now + FIRST_REQUEST)),
            Phase::Idle if !was_finishing => self.rest(now),
            Phase::Idle | Phase::Head | Phase::Running => {}
        }
    }

    /// It closes now.
    pub fn abort(&self) {
        self.order(ConnectionOrder::Abort);
    }

    /// Its task's standing order; wakes that task when it changes.
    pub fn poll_order(&self, cx: &Context<'_>) -> ConnectionOrder {
        self.waker.keep(cx);
        self.order.get()
    }

    /// Its task looks again.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Runs `future` until the connection is aborted.
    pub async fn unless_aborted<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.poll_order(cx) == ConnectionOrder::Abort => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// A head has been received. The last that `keepalive_requests` allows finishes the connection.
    pub fn begin_exchange(&self) {
        self.running.set(self.running.get() + 1);
        self.exchanges.set(self.exchanges.get() + 1);
        self.phase.set(Phase::Running);
        if self.exchanges.get() >= self.limits.keepalive_requests {
            self.finish();
        }
    }

    pub fn end_exchange(&self, now: Instant) {
        self.running.set(self.running.get() - 1);
        if self.running.get() == 0 {
            self.phase.set(Phase::Idle);
            self.rest(now);
        }
    }

    /// One of its exchanges waits for what it takes to be served, until the guard is dropped.
    pub fn wait(&self) -> Waiting<'_> {
        self.waiting.set(self.waiting.get() + 1);
        Waiting(self)
    }

    /// How many of its exchanges do not wait.
    pub fn served(&self) -> usize {
        self.running.get().saturating_sub(self.waiting.get()) as usize
    }

    /// Whether nothing was asked on it yet.
    pub fn is_fresh(&self) -> bool {
        self.exchanges.get() == 0
    }

    /// Whether it is between requests.
    pub fn is_idle(&self) -> bool {
        self.phase.get() == Phase::Idle
    }

    /// For how long it has been between requests, if it goes on waiting for one.
    pub fn idle_for(&self, now: Instant) -> Option<Duration> {
        let left = self.deadline.get().saturating_duration_since(now);
        let waits = self.is_idle() && !self.is_finishing() && !self.is_blocked.get();
        waits.then(|| self.limits.keepalive.saturating_sub(left))
    }

    /// Whether a head is arriving on it.
    pub fn receives_head(&self) -> bool {
        self.phase.get() == Phase::Head
    }

    /// Whether this answer is the connection's last.
    pub fn is_finishing(&self) -> bool {
        self.order.get() >= ConnectionOrder::Finish
    }

    /// Bytes have arrived: between requests, they begin a head.
    pub fn received(&self) {
        if self.is_idle() {
            self.phase.set(Phase::Head);
            self.deadline.set(Instant::now() + self.limits.header_timeout);
        }
    }

    /// The codec has written, or could not. The codec may still hold the end of an answer when the exchange is over: a
    /// connection is not idle while its client still reads that.
    pub fn wrote(&self, is_blocked: bool) {
        let was_blocked = self.is_blocked.replace(is_blocked);
        if was_blocked != is_blocked && self.is_idle() {
            self.rest(Instant::now());
        }
    }

    /// The codec has been woken: the client takes or sends something.
    pub fn stir(&self) {
        self.is_stirring.set(true);
    }

    pub fn check_deadline(&self, now: Instant) {
        if self.phase.get() == Phase::Running || now < self.deadline.get() {
            return;
        }
        let is_leaving = self.is_stirring.replace(false) && now < self.farewell_ends.get();
        match (self.is_idle(), self.is_finishing()) {
            (true, false) => {
                // If there is the end of an answer left, its client has had the time for it.
                self.is_blocked.set(false);
                self.finish();
            }
            (true, true) if is_leaving => self.deadline.set(now + GOODBYE),
            _ => self.abort(),
        }
    }

    /// Nothing runs on it: it waits for the next request or, if it is to finish, for the end of its farewell. A client that still has to
    /// take the end of an answer has the time of an idle connection for that.
    fn rest(&self, now: Instant) {
        let keepalive = now + self.limits.keepalive;
        if self.is_finishing() && !self.is_blocked.get() {
            self.deadline.set(now + GOODBYE);
            self.farewell_ends.set(keepalive);
            self.is_stirring.set(false);
        } else {
            self.deadline.set(keepalive);
        }
    }

    fn order(&self, order: ConnectionOrder) {
        if order > self.order.get() {
            self.order.set(order);
            self.waker.wake();
        }
    }
}

/// An exchange that waits.
pub struct Waiting<'a>(&'a ConnectionState);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get() - 1);
    }
}
