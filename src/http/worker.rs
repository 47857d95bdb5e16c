//! One core's share of everything: its view of the snapshot, its upstream connections, its log buffer, what it has live.
//!
//! Belongs to one thread: no lock, no atomic of its own. The sweep bounds every connection and exchange in time without a
//! timer for each: it looks at all of them ten times a second.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use slab::Slab;

use super::census::{Census, Question};
use super::conn::Conn;
use super::live::Live;
use super::slot::Shelf;
use crate::access::WorkerLog;
use crate::challenge::Challenges;
use crate::metrics::Metrics;
use crate::snapshot::Snapshot;
use crate::token::Signer;
use crate::upstream::Upstreams;

/// How often deadlines are looked at: what bounds their precision.
pub const SWEEP: Duration = Duration::from_millis(100);

/// What all cores share.
pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub metrics: Arc<Metrics>,
    pub signer: Arc<Signer>,
    pub challenges: Arc<Challenges>,
}

/// One core's state.
pub struct Worker {
    /// Which one, from 0: the shard of the metrics that this core alone writes.
    pub id: usize,
    pub shared: Arc<Shared>,
    pub upstreams: Rc<Upstreams>,
    pub log: RefCell<WorkerLog>,
    pub(super) shelf: Shelf,
    conns: RefCell<Slab<Weak<Conn>>>,
    live: RefCell<Slab<Rc<Live>>>,
    stopping: Cell<bool>,
}

impl Worker {
    pub fn new(id: usize, shared: Arc<Shared>, log: WorkerLog) -> Rc<Self> {
        Rc::new(Self {
            id,
            shared,
            upstreams: Rc::default(),
            log: RefCell::new(log),
            shelf: Shelf::default(),
            conns: RefCell::default(),
            live: RefCell::default(),
            stopping: Cell::new(false),
        })
    }

    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.shared.snapshot.load()
    }

    pub fn connections(&self) -> usize {
        self.conns.borrow().len()
    }

    /// Nothing here has a deadline to look at.
    pub fn is_idle(&self) -> bool {
        self.conns.borrow().is_empty()
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Every connection finishes what runs on it and closes; none is cut.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.for_each_conn(super::conn::Conn::finish);
    }

    /// Connections taken in by a listener that is gone finish and close.
    pub fn finish_listener(&self, listener: usize) {
        self.for_each_conn(|conn| {
            if conn.listener() == listener {
                conn.finish();
            }
        });
    }

    /// The shutdown's deadline: what still runs is cut.
    pub fn abort(&self) {
        self.for_each_conn(super::conn::Conn::abort);
    }

    /// What this core has inside each of the pools.
    pub fn census(&self, question: &Question) -> Vec<Census> {
        Census::take(question, self.live.borrow().iter().map(|(_, live)| &**live), Instant::now())
    }

    /// Looks at every deadline, flushes the log, lets idle upstream connections go.
    pub fn sweep(&self, now: Instant) {
        self.for_each_conn(|conn| conn.check_deadline(now));
        for (_, live) in self.live.borrow().iter() {
            live.check(now);
        }
        self.upstreams.prune(now);
        self.log.borrow_mut().flush();
    }

    pub(super) fn add_conn(&self, conn: Weak<Conn>) -> usize {
        self.conns.borrow_mut().insert(conn)
    }

    pub(super) fn remove_conn(&self, key: usize) {
        self.conns.borrow_mut().remove(key);
    }

    pub(super) fn add_live(&self, live: Rc<Live>) -> usize {
        self.live.borrow_mut().insert(live)
    }

    pub(super) fn remove_live(&self, key: usize) {
        self.live.borrow_mut().remove(key);
    }

    fn for_each_conn(&self, act: impl Fn(&Conn)) {
        // Acting may wake a task but runs none: the table does not change under us.
        for (_, conn) in self.conns.borrow().iter() {
            if let Some(conn) = conn.upgrade() {
                act(&conn);
            }
        }
    }
}
