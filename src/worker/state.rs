//! One worker's state: its view of the snapshot, its upstream connections, its log buffer, its tables of what is live.
//!
//! Belongs to one thread: no lock, no atomic of its own. The sweep looks at every connection and exchange ten times a second.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::Guard;
use slab::Slab;

use super::dates::Dates;
use super::live::{Census, CensusQuery, Connection, ConnectionState, ExchangeState};
use super::review::Review;
use super::shared::SharedState;
use crate::access::WorkerLog;
use crate::snapshot::Snapshot;
use crate::upstream::Upstreams;

/// How often deadlines are looked at: what bounds their precision.
pub(super) const SWEEP: Duration = Duration::from_millis(100);

/// A connection that is idle for this long gives way while descriptors are scarce: new clients wait at the door.
const LONG_IDLE: Duration = Duration::from_secs(5);

/// So many of them at each sweep, as a divisor, and one more: the door opens before all are gone.
const AT_ONCE: usize = 16;

/// One worker's state.
pub struct Worker {
    /// Numbered from 0: the shard of the metrics that this worker alone writes.
    pub id: usize,
    pub shared: Arc<SharedState>,
    pub upstreams: Rc<Upstreams>,
    pub log: RefCell<WorkerLog>,
    /// What the protocol above keeps from one connection to the next.
    pub dates: Dates,
    kept: RefCell<Option<Rc<dyn Any>>>,
    connections: RefCell<Slab<Weak<dyn Connection>>>,
    exchanges: RefCell<Slab<Rc<ExchangeState>>>,
    review: RefCell<Review>,
    stopping: Cell<bool>,
}

impl Worker {
    pub fn new(id: usize, shared: Arc<SharedState>, log: WorkerLog) -> Rc<Self> {
        Rc::new(Self {
            id,
            upstreams: Rc::new(Upstreams::within(shared.descriptors.clone())),
            shared,
            log: RefCell::new(log),
            dates: Dates::default(),
            kept: RefCell::default(),
            connections: RefCell::default(),
            exchanges: RefCell::default(),
            review: RefCell::default(),
            stopping: Cell::new(false),
        })
    }

    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    /// One `T` for all connections of this worker, made for the first that asks. A worker keeps one type: another `T`
    /// takes the place of the one before.
    pub fn kept<T: Default + 'static>(&self) -> Rc<T> {
        let mut kept = self.kept.borrow_mut();
        if let Some(known) = kept.as_ref().and_then(|kept| kept.clone().downcast().ok()) {
            return known;
        }
        let made: Rc<T> = Rc::default();
        *kept = Some(made.clone());
        made
    }

    /// Puts a connection under the sweep, under the key that is returned. A worker that stops lets it finish at once.
    pub fn add_connection(&self, connection: Weak<dyn Connection>, state: &ConnectionState) -> usize {
        if self.is_stopping() {
            state.finish();
        }
        self.connections.borrow_mut().insert(connection)
    }

    pub fn remove_connection(&self, key: usize) {
        self.connections.borrow_mut().remove(key);
    }

    pub(super) fn add_exchange(&self, exchange: Rc<ExchangeState>) -> usize {
        self.exchanges.borrow_mut().insert(exchange)
    }

    pub(super) fn remove_exchange(&self, key: usize) {
        self.exchanges.borrow_mut().remove(key);
    }

    /// Nothing here has a deadline to look at.
    pub(super) fn is_idle(&self) -> bool {
        self.connections.borrow().is_empty()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Every connection finishes what runs on it and closes. What has no end by itself, such as a WebSocket, is ended by the sweep.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
        self.for_each_connection(ConnectionState::finish);
    }

    /// Connections that came in by a listener that is gone finish and close.
    pub(super) fn finish_listener(&self, listener: usize) {
        self.for_each_connection(|connection| {
            if connection.listener() == listener {
                connection.finish();
            }
        });
    }

    /// The shutdown's deadline: what still runs is cut.
    pub(super) fn abort(&self) {
        self.for_each_connection(ConnectionState::abort);
    }

    /// What this worker has inside each of the pools.
    pub(super) fn census(&self, query: &CensusQuery) -> Vec<Census> {
        Census::take(query, self.exchanges.borrow().iter().map(|(_, exchange)| &**exchange), Instant::now())
    }

    /// Looks at every deadline, flushes the log, closes upstream connections that have been idle for too long.
    pub(super) fn sweep(&self, now: Instant) {
        self.for_each_connection(|connection| connection.check_deadline(now));
        if self.shared.descriptors.are_scarce() {
            self.let_idle_go(now);
        }
        self.review.borrow_mut().go_on(&self.snapshot(), &self.exchanges.borrow(), now);
        for (_, exchange) in self.exchanges.borrow().iter() {
            exchange.check(now, self.is_stopping());
        }
        self.upstreams.prune(now);
        self.log.borrow_mut().flush();
    }

    /// Those that are idle for longest. nginx does that, too: "reusing connections".
    fn let_idle_go(&self, now: Instant) {
        let connections = self.connections.borrow();
        let mut idle: Vec<(Duration, usize)> = Vec::new();
        for (key, connection) in connections.iter() {
            let idle_for = connection.upgrade().and_then(|connection| connection.state().idle_for(now));
            idle.extend(idle_for.filter(|idle_for| *idle_for >= LONG_IDLE).map(|idle_for| (idle_for, key)));
        }
        idle.sort_unstable_by(|a, b| b.cmp(a));
        let count = idle.len() / AT_ONCE + 1;
        for connection in idle.iter().take(count).filter_map(|(_, key)| connections.get(*key)?.upgrade()) {
            connection.state().finish();
        }
    }

    fn for_each_connection(&self, act: impl Fn(&ConnectionState)) {
        // Acting may wake a task but runs none: the table does not change under us.
        for (_, connection) in self.connections.borrow().iter() {
            if let Some(connection) = connection.upgrade() {
                act(connection.state());
            }
        }
    }
}
