//! Idle connections to the backends, per core, and the lease of one for an exchange.
//!
//! No lock: a pool belongs to one thread. Keyed by the backend's id, so that a backend that was replaced is never reached
//! through an old connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use futures_util::TryFutureExt;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::connect::{ConnectError, Connected, Connector, MaxStreams, Speaks, UpstreamSender};
use super::outgoing::Outgoing;
use crate::config::{self, TlsProtocol};
use crate::resources::{Descriptor, Descriptors};
use crate::service::Backend;
use crate::trust::BackendTls;
use crate::types::Scheme;

/// Idle connections that one core keeps to one backend; beyond that the longest idle is closed. nginx: `keepalive`.
const MAX_IDLE: usize = 128;

/// How long a connection may be idle while descriptors are scarce, at most.
const SCARCE_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// One core's connections to all backends.
pub struct Upstreams {
    connector: Connector,
    /// What connections for clients are counted in; `None`: there are none, only the daemon's own.
    descriptors: Option<Arc<Descriptors>>,
    /// The time of the last pruning: precise enough for idle connections, and read without a system call.
    looked: Cell<Instant>,
    idle: RefCell<HashMap<u64, Vec<IdleConnection>, RandomState>>,
    /// The latest first; beside it those that are full.
    shared: RefCell<HashMap<u64, Vec<SharedH2>, RandomState>>,
}

struct IdleConnection {
    sender: http1::SendRequest<Outgoing>,
    vouched: Vouched,
    since: Instant,
    keepalive: Duration,
}

/// An HTTP/2 connection: exchanges take clones of its sender.
struct SharedH2 {
    sender: http2::SendRequest<Outgoing>,
    vouched: Vouched,
    /// Each lease has a clone.
    in_use: Rc<Silence>,
    max_streams: MaxStreams,
    since: Instant,
    keepalive: Duration,
}

/// Whether a request on an HTTP/2 connection was not answered in time: what else is on it may still end, nothing new goes there. The
/// backend may answer well on another one.
#[derive(Default)]
struct Silence(Cell<bool>);

/// What verified the backend of a connection; without TLS, nothing did.
struct Vouched(Option<Arc<BackendTls>>);

impl Vouched {
    /// Whether the service's roots, or what else verifies its backends, are still those that the connection was made under.
    fn holds(&self) -> bool {
        self.0.as_ref().is_none_or(|tls| !tls.is_replaced())
    }
}

/// A connection for one exchange. Given back with [`Lease::release`] once the answer's body has ended; dropped otherwise,
/// which closes it.
pub struct Lease {
    upstreams: Rc<Upstreams>,
    backend: u64,
    sender: UpstreamSender,
    vouched: Vouched,
    reused: bool,
    /// What follows on the connection can't be trusted.
    is_spent: bool,
    /// How long the connection may be idle after this exchange.
    keepalive: Duration,
    in_use: Option<Rc<Silence>>,
}

/// Why there was no answer.
pub struct SendError {
    /// The request, if not a byte of it was sent: it may be sent again, whatever its method.
    pub unsent: Option<Box<Request<Outgoing>>>,
    /// The backend says that it has processed nothing of the request (RFC 9113, 8.7): it may be sent again too.
    pub unprocessed: bool,
    pub error: hyper::Error,
}

impl Default for Upstreams {
    fn default() -> Self {
        Self {
            connector: Connector::default(),
            descriptors: None,
            looked: Cell::new(Instant::now()),
            idle: RefCell::default(),
            shared: RefCell::default(),
        }
    }
}

impl Upstreams {
    /// For a worker, whose connections share the budget of the clients.
    pub fn within(descriptors: Arc<Descriptors>) -> Self {
        Self { descriptors: Some(descriptors), ..Self::default() }
    }

    /// A connection that has been idle for less than the service's `keepalive`, or one of HTTP/2 with room for an exchange more;
    /// or `None`.
    pub fn reuse(self: &Rc<Self>, backend: &Backend, service: &config::ServiceConfig, speaks: Speaks) -> Option<Lease> {
        let (id, keepalive, protocol) = (backend.id(), service.keepalive, service.tls.protocol);
        let mut shared = self.shared.borrow_mut();
        let of_backend = shared.get_mut(&id).filter(|_| speaks == Speaks::Any && protocol != TlsProtocol::Http1);
        if let Some(shared) = of_backend.into_iter().flatten().find(|shared| shared.is_usable() && shared.has_room()) {
            shared.keepalive = keepalive;
            let sender = UpstreamSender::H2(shared.sender.clone());
            return Some(self.lease(id, sender, Vouched(None), true, keepalive, Some(shared.in_use.clone())));
        }
        if speaks == Speaks::Any && protocol == TlsProtocol::H2 && backend.addr().scheme == Scheme::Https {
            return None;
        }
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.get_mut(&id)?;
        // Latest first: the one least likely to be closed by the backend meanwhile.
        while let Some(last) = waiting.pop() {
            let is_young = self.looked.get().duration_since(last.since) < keepalive;
            if is_young && last.sender.is_ready() && last.vouched.holds() {
                return Some(self.lease(id, UpstreamSender::H1(last.sender), last.vouched, true, keepalive, None));
            }
        }
        None
    }

    /// A new connection of the daemon's own, within the service's connect timeout.
    pub async fn connect(
        self: &Rc<Self>,
        backend: &Backend,
        service: &config::ServiceConfig,
        speaks: Speaks,
    ) -> Result<Lease, ConnectError> {
        self.connect_counted(backend, service, speaks, None).await
    }

    /// What [`Upstreams::connect_counted`] needs, waited for for as long as for a backend that is full. `served`: for how many of its
    /// exchanges the client's connection has one.
    pub async fn descriptor(
        &self,
        service: &config::ServiceConfig,
        served: impl Fn() -> usize,
    ) -> Result<Option<Descriptor>, ConnectError> {
        match &self.descriptors {
            Some(descriptors) => Ok(Some(descriptors.for_backend(served, service.queue_timeout).await?)),
            None => Ok(None),
        }
    }

    /// A new connection for a client, which keeps its descriptor as long as it is open.
    pub async fn connect_counted(
        self: &Rc<Self>,
        backend: &Backend,
        service: &config::ServiceConfig,
        speaks: Speaks,
        descriptor: Option<Descriptor>,
    ) -> Result<Lease, ConnectError> {
        let Connected { sender, tls, max_streams } =
            self.connector.connect(backend, service, speaks, descriptor).await?;
        let (mut vouched, mut in_use, keepalive) = (Vouched(tls), None, service.keepalive);
        if let (UpstreamSender::H2(sender), Some(max_streams)) = (&sender, max_streams) {
            let vouched = std::mem::replace(&mut vouched, Vouched(None));
            let token = in_use.insert(Rc::<Silence>::default()).clone();
            let (sender, since) = (sender.clone(), self.looked.get());
            let latest = SharedH2 { sender, vouched, in_use: token, max_streams, since, keepalive };
            let mut shared = self.shared.borrow_mut();
            let of_backend = shared.entry(backend.id()).or_default();
            // One that had room was not wanted, as it broke, or lost the race with this one: it ends with what runs on it.
            of_backend.retain(|other| other.is_usable() && !other.has_room());
            of_backend.insert(0, latest);
        }
        Ok(self.lease(backend.id(), sender, vouched, false, keepalive, in_use))
    }

    /// Closes the idle connections to these backends: their colour has drained, or they are gone.
    pub fn forget(&self, backends: &[u64]) {
        for id in backends {
            self.idle.borrow_mut().remove(id);
            self.shared.borrow_mut().remove(id);
        }
    }

    /// Closes what has been idle for too long, was closed by the other side, or was made under roots that count no more.
    pub fn prune(&self, now: Instant) {
        self.looked.set(now);
        let are_scarce = self.descriptors.as_ref().is_some_and(|descriptors| descriptors.are_scarce());
        let most = if are_scarce { SCARCE_IDLE_TIMEOUT } else { Duration::MAX };
        self.idle.borrow_mut().retain(|_, waiting| {
            let is_young = |c: &IdleConnection| now.duration_since(c.since) < c.keepalive.min(most);
            waiting.retain(|c| !c.sender.is_closed() && is_young(c) && c.vouched.holds());
            !waiting.is_empty()
        });
        self.shared.borrow_mut().retain(|_, shared| {
            shared.retain_mut(|shared| shared.is_usable() && shared.is_young(now));
            !shared.is_empty()
        });
    }

    /// Whether a connection may wait for the descriptor of one that goes back to the pool.
    fn are_descriptors_awaited(&self) -> bool {
        self.descriptors.as_ref().is_some_and(|descriptors| descriptors.are_exhausted())
    }

    fn lease(
        self: &Rc<Self>,
        backend: u64,
        sender: UpstreamSender,
        vouched: Vouched,
        reused: bool,
        keepalive: Duration,
        in_use: Option<Rc<Silence>>,
    ) -> Lease {
        Lease { upstreams: self.clone(), backend, sender, vouched, reused, is_spent: false, keepalive, in_use }
    }
}

impl SharedH2 {
    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.vouched.holds() && !self.in_use.0.get()
    }

    /// Whether its backend takes another exchange on it now (RFC 9113, 5.1.2). One more would wait for another to end.
    fn has_room(&self) -> bool {
        Rc::strong_count(&self.in_use) - 1 < (self.max_streams)()
    }

    /// Whether it carries an exchange, or has done so lately.
    fn is_young(&mut self, now: Instant) -> bool {
        if Rc::strong_count(&self.in_use) > 1 {
            self.since = now;
        }
        now.duration_since(self.since) <= self.keepalive
    }
}

impl Lease {
    /// Whether it has carried an exchange before: the backend may have closed it meanwhile.
    pub fn reused(&self) -> bool {
        self.reused
    }

    pub fn is_h2(&self) -> bool {
        matches!(self.sender, UpstreamSender::H2(_))
    }

    /// Its connection carries no other exchange.
    pub fn spend(&mut self) {
        self.is_spent = true;
    }

    /// No answer has come in time: no other exchange is sent on its connection.
    pub fn was_silent(&mut self) {
        self.spend();
        if let Some(in_use) = &self.in_use {
            in_use.0.set(true);
        }
    }

    /// Sends the head and starts the body at once; answers with the response's head.
    pub fn send(
        &mut self,
        request: Request<Outgoing>,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError>> + use<> {
        match &mut self.sender {
            UpstreamSender::H1(sender) => Either::Left(sender.try_send_request(request).map_err(SendError::from)),
            // Its stream may have to wait for others to end.
            UpstreamSender::H2(sender) => Either::Right(Box::pin(send_h2(sender.clone(), request))),
        }
    }

    /// Back to the pool. Only once the answer's body has ended: the next request would wait behind it.
    pub fn release(self) {
        let UpstreamSender::H1(sender) = self.sender else { return };
        let is_kept = !self.is_spent && !self.keepalive.is_zero() && self.vouched.holds();
        if !is_kept || sender.is_closed() || self.upstreams.are_descriptors_awaited() {
            return;
        }
        let mut idle = self.upstreams.idle.borrow_mut();
        let waiting = idle.entry(self.backend).or_default();
        if waiting.len() >= MAX_IDLE {
            waiting.remove(0);
        }
        let since = self.upstreams.looked.get();
        waiting.push(IdleConnection { sender, vouched: self.vouched, since, keepalive: self.keepalive });
    }
}

async fn send_h2(
    mut sender: http2::SendRequest<Outgoing>,
    request: Request<Outgoing>,
) -> Result<Response<Incoming>, SendError> {
    match sender.ready().await {
        Ok(()) => sender.try_send_request(request).await.map_err(SendError::from),
        Err(error) => Err(SendError { unsent: Some(Box::new(request)), unprocessed: true, error }),
    }
}

impl From<TrySendError<Request<Outgoing>>> for SendError {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        let (unsent, error) = (error.take_message().map(Box::new), error.into_error());
        Self { unprocessed: unsent.is_some() || is_refused(&error), unsent, error }
    }
}

/// REFUSED_STREAM, or a GOAWAY whose last stream is an earlier one: the codec ends no other stream for a GOAWAY.
fn is_refused(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(present) = cause {
        if let Some(error) = present.downcast_ref::<h2::Error>() {
            let is_reset = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (is_reset || error.is_go_away());
        }
        cause = present.source();
    }
    false
}
