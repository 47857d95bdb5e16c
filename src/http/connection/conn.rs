//! One client connection: where it comes from, and what its exchanges leave for its end.

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::{Rc, Weak};

use bytes::Bytes;

use super::stream::ClientStream;
use crate::config::Limits;
use crate::decide::Peer;
use crate::error::Failure;
use crate::headers::ForwardedSender;
use crate::worker::{Connection, ConnectionState, Worker};

/// One client connection. Derefs to what the sweep sees of it.
pub struct Conn {
    worker: Rc<Worker>,
    key: Cell<usize>,
    state: ConnectionState,
    peer: Peer,
    sender: ForwardedSender,
    bad_head: Cell<Option<Failure>>,
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
        let conn = Rc::new(Self {
            worker: worker.clone(),
            key: Cell::new(0),
            state: ConnectionState::new(listener, limits),
            sender: ForwardedSender::new(peer.ip, peer.port, peer.tls),
            peer,
            bad_head: Cell::new(None),
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

    /// The scan has found a head, or what is left of a body, ambiguous: nothing that follows can be trusted.
    pub fn distrust(&self, failure: Failure) {
        self.bad_head.set(Some(failure));
    }

    /// What the scan has found wrong, if it has.
    pub fn bad_head(&self) -> Option<Failure> {
        self.bad_head.get()
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
