//! One client connection: where it comes from, and what its exchanges leave for its end.

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Instant;

use bytes::Bytes;

use super::body::Unread;
use super::budget::ControlBudget;
use super::hints::Hints;
use super::read_ahead::{ReadAhead, SentBody};
use super::scanned::Scanned;
use super::stream::ClientStream;
use crate::config::Limits;
use crate::decide::Peer;
use crate::headers::ForwardedSender;
use crate::resources::HeldAccount;
use crate::spool::Fifo;
use crate::worker::{Connection, ConnectionState, Worker};

/// The largest head that every HTTP/2 client takes although it has not said so: nghttp2, and curl with it, takes no more.
const UNSAID_HEADER_LIST_SIZE: usize = 64 * 1024;

/// One client connection. Derefs to what the sweep sees of it.
pub struct Conn {
    worker: Rc<Worker>,
    key: Cell<usize>,
    state: ConnectionState,
    peer: Peer,
    sender: ForwardedSender,
    scanned: Scanned,
    header_list_size: Cell<usize>,
    budget: ControlBudget,
    unread: Unread,
    hints: Hints,
    sent: SentBody,
    held: Rc<HeldAccount>,
    linger: Cell<bool>,
    takeover: Cell<Option<Box<dyn Takeover>>>,
}

/// What takes a connection over once its 101 is written.
pub trait Takeover {
    /// `early`: what the client sent right behind its request. The connection is over when this is.
    fn run<'io>(
        self: Box<Self>,
        client: &'io mut dyn ClientStream,
        early: Bytes,
    ) -> Pin<Box<dyn Future<Output = ()> + 'io>>;
}

impl Conn {
    pub fn new(worker: &Rc<Worker>, listener: usize, peer: Peer, limits: Limits) -> Rc<Self> {
        let held = HeldAccount::new(worker.shared.buffers.clone(), limits.buffer_memory);
        let conn = Rc::new(Self {
            worker: worker.clone(),
            key: Cell::new(0),
            state: ConnectionState::new(listener, limits),
            sender: ForwardedSender::new(peer.ip, peer.port, peer.tls),
            peer,
            scanned: Scanned::default(),
            header_list_size: Cell::new(UNSAID_HEADER_LIST_SIZE),
            budget: ControlBudget::new(Instant::now()),
            unread: Unread::default(),
            hints: Hints::default(),
            sent: SentBody::default(),
            held,
            linger: Cell::new(false),
            takeover: Cell::new(None),
        });
        let swept: Weak<dyn Connection> = Rc::downgrade(&conn) as _;
        conn.key.set(worker.add_connection(swept, &conn.state));
        conn
    }

    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The forwarded fields that are the same for every request of this connection.
    pub fn sender(&self) -> &ForwardedSender {
        &self.sender
    }

    /// The largest head that its client takes over HTTP/2, as RFC 9113, 6.5.2 counts it.
    pub fn header_list_size(&self) -> usize {
        self.header_list_size.get()
    }

    pub(super) fn set_header_list_size(&self, size: usize) {
        self.header_list_size.set(size);
    }

    /// How many control frames its client may still send over HTTP/2.
    pub fn budget(&self) -> &ControlBudget {
        &self.budget
    }

    pub(super) fn unread(&self) -> &Unread {
        &self.unread
    }

    /// Early hints for its client.
    pub fn hints(&self) -> &Hints {
        &self.hints
    }

    /// The answer that is being sent over HTTP/1.1 can be read ahead.
    pub fn read_ahead_by(&self, body: Weak<dyn ReadAhead>) {
        self.sent.set(body);
    }

    pub(super) fn sent(&self) -> &SentBody {
        &self.sent
    }

    /// What is held for its client over HTTP/2.
    pub(super) fn held(&self) -> &Rc<HeldAccount> {
        &self.held
    }

    /// Room for a body that its slower side takes later, so much of it in memory.
    pub fn fifo(&self, in_memory: usize) -> Fifo {
        let (shared, limits) = (&self.worker.shared, self.limits());
        Fifo::new(in_memory, &shared.buffers, limits.buffer_memory, &shared.spool, &limits.spool)
    }

    /// What was found in its bytes before the codec has read them.
    pub fn scanned(&self) -> &Scanned {
        &self.scanned
    }

    /// Some of the request was not read: close so that the answer still arrives.
    pub fn linger_and_close(&self) {
        self.linger.set(true);
        self.finish();
    }

    pub(super) fn lingers(&self) -> bool {
        self.linger.get()
    }

    /// Once the 101 that is being answered is written, the connection is `takeover`'s.
    pub fn hand_over(&self, takeover: Box<dyn Takeover>) {
        self.takeover.set(Some(takeover));
    }

    pub(super) fn takeover(&self) -> Option<Box<dyn Takeover>> {
        self.takeover.take()
    }
}

impl Connection for Conn {
    fn state(&self) -> &ConnectionState {
        &self.state
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Deref for Conn {
    type Target = ConnectionState;

    fn deref(&self) -> &ConnectionState {
        &self.state
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.worker.remove_connection(self.key.get());
    }
}
