//! What the sweep sees of a running exchange: who it waits for, since when, and whether its pool has been cut; and what a
//! census sees.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::census::Kind;
use super::conn::Conn;
use super::stream::Scissors;
use super::worker::Worker;
use crate::error::Broken;
use crate::service::Pool;

/// When a pool is cut its exchanges end one after another, spread over this long, never all at once.
const CUT_SPREAD: Duration = Duration::from_secs(2);

/// The sweep's handle on one exchange.
pub struct Live {
    pool: RefCell<Option<Arc<Pool>>>,
    is_guest: Cell<bool>,
    kind: Cell<Kind>,
    started: Instant,
    /// Since when the client has not taken what we have for it.
    client_owes: Cell<Option<Instant>>,
    patience: Duration,
    /// Until when the backend may take to answer.
    backend_until: Cell<Option<Instant>>,
    cut_at: Cell<Option<Instant>>,
    broken: Cell<Option<Broken>>,
    waker: RefCell<Option<Waker>>,
    conn: Weak<Conn>,
    /// Of an exchange's stream over HTTP/2.
    scissors: RefCell<Option<Rc<Scissors>>>,
}

/// Registers a [`Live`] with its worker until dropped.
pub struct LiveGuard {
    worker: Rc<Worker>,
    key: usize,
    live: Rc<Live>,
}

impl LiveGuard {
    /// `patience`: how long the client may leave an answer untaken.
    pub fn new(conn: &Rc<Conn>, started: Instant, patience: Duration) -> Self {
        let worker = conn.worker();
        let live = Rc::new(Live {
            pool: RefCell::new(None),
            is_guest: Cell::new(false),
            kind: Cell::new(Kind::Request),
            started,
            client_owes: Cell::new(None),
            patience,
            backend_until: Cell::new(None),
            cut_at: Cell::new(None),
            broken: Cell::new(None),
            waker: RefCell::new(None),
            conn: Rc::downgrade(conn),
            scissors: RefCell::default(),
        });
        Self { key: worker.add_live(live.clone()), worker: worker.clone(), live }
    }
}

impl std::ops::Deref for LiveGuard {
    type Target = Live;

    fn deref(&self) -> &Live {
        &self.live
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        self.worker.remove_live(self.key);
    }
}

impl Live {
    /// The exchange is in this pool now, and on the stream that runs: it ends when the pool is cut, unless it is there as a
    /// guest.
    pub fn enter(&self, pool: &Arc<Pool>, is_guest: bool) {
        *self.pool.borrow_mut() = Some(pool.clone());
        self.is_guest.set(is_guest);
        *self.scissors.borrow_mut() = Scissors::of_running_stream();
    }

    /// What it has turned out to be.
    pub fn becomes(&self, kind: Kind) {
        self.kind.set(kind);
    }

    pub fn kind(&self) -> Kind {
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
        *self.scissors.borrow_mut() = Scissors::of_running_stream();
    }

    pub fn client_paid(&self) {
        self.client_owes.set(None);
    }

    /// The backend has until then to answer; `None`: nothing is asked of it. Looked at by the sweep: a timer for each request
    /// would cost more than all that the sweep does.
    pub fn backend_until(&self, deadline: Option<Instant>) {
        self.backend_until.set(deadline);
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
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
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

    pub(super) fn check(&self, now: Instant) {
        if self.broken.get().is_some() && self.client_owes.get().is_some() {
            // It was told and has not moved: its codec waits for a client that takes nothing.
            return self.end_carrier();
        }
        if self.client_owes.get().is_some_and(|since| now.duration_since(since) > self.patience) {
            self.break_off(Broken::ClientTooSlow);
        }
        if self.backend_until.get().is_some_and(|until| now > until) {
            self.break_off(Broken::UpstreamTooSlow);
        }
        let is_cut = !self.is_guest.get() && self.pool.borrow().as_ref().is_some_and(|pool| pool.is_cut());
        if !is_cut {
            self.cut_at.set(None);
            return;
        }
        match self.cut_at.get() {
            None => self.cut_at.set(Some(now + CUT_SPREAD.mul_f32(fastrand::f32()))),
            Some(at) if now >= at => self.break_off(Broken::DrainCut),
            Some(_) => {}
        }
    }

    /// Ends the stream that carries the exchange, or the connection where there are no streams.
    fn end_carrier(&self) {
        match (&*self.scissors.borrow(), self.conn.upgrade()) {
            (Some(scissors), _) => scissors.cut(),
            (None, Some(conn)) => conn.abort(),
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
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }
}
