//! Idle connections to the backends, per core, and the lease of one for an exchange.
//!
//! No lock: a pool belongs to one thread. Keyed by the backend's id, so that a backend that was replaced is never reached
//! through an old connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use futures_util::TryFutureExt;
use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::connect::{ConnectError, Connected, Connector, UpstreamSender};
use super::outgoing::Outgoing;
use crate::config;
use crate::resources::{Descriptor, Descriptors};
use crate::service::Backend;
use crate::trust::BackendTls;

/// Idle connections that one core keeps to one backend; beyond that the longest idle is closed. nginx: `keepalive`.
const MAX_IDLE: usize = 128;

/// How long a connection may be idle. nginx: `keepalive_timeout` of an upstream, 60 s.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// The same while descriptors are scarce.
const SCARCE_IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// One core's connections to all backends.
pub struct Upstreams {
    connector: Connector,
    /// What connections for clients are counted in; `None`: there are none, only the daemon's own.
    descriptors: Option<Arc<Descriptors>>,
    /// The time of the last pruning: precise enough for idle connections, and read without a system call.
    looked: Cell<Instant>,
    idle: RefCell<HashMap<u64, Vec<IdleConnection>, RandomState>>,
    shared: RefCell<HashMap<u64, SharedH2, RandomState>>,
}

struct IdleConnection {
    sender: http1::SendRequest<Outgoing>,
    vouched: Vouched,
    since: Instant,
}

/// An HTTP/2 connection: exchanges take clones of its sender.
struct SharedH2 {
    sender: http2::SendRequest<Outgoing>,
    vouched: Vouched,
}

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
}

/// Why there was no answer.
pub struct SendError {
    /// The request, if not a byte of it was sent: it may be sent again, whatever its method.
    pub unsent: Option<Box<Request<Outgoing>>>,
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

    /// An idle connection, or `None`.
    pub fn reuse(self: &Rc<Self>, backend: &Backend) -> Option<Lease> {
        let id = backend.id();
        if let Some(shared) = self.shared.borrow().get(&id).filter(|shared| shared.is_usable()) {
            return Some(self.lease(id, UpstreamSender::H2(shared.sender.clone()), Vouched(None), true));
        }
        let mut idle = self.idle.borrow_mut();
        let waiting = idle.get_mut(&id)?;
        // Latest first: the one least likely to be closed by the backend meanwhile.
        while let Some(last) = waiting.pop() {
            if last.sender.is_ready() && last.vouched.holds() {
                return Some(self.lease(id, UpstreamSender::H1(last.sender), last.vouched, true));
            }
        }
        None
    }

    /// A new connection of the daemon's own, within the service's connect timeout.
    pub async fn connect(
        self: &Rc<Self>,
        backend: &Backend,
        service: &config::ServiceConfig,
    ) -> Result<Lease, ConnectError> {
        self.connect_counted(backend, service, None).await
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
        descriptor: Option<Descriptor>,
    ) -> Result<Lease, ConnectError> {
        let Connected { sender, tls } = self.connector.connect(backend, service, descriptor).await?;
        let mut vouched = Vouched(tls);
        if let UpstreamSender::H2(sender) = &sender {
            let shared = SharedH2 { sender: sender.clone(), vouched: std::mem::replace(&mut vouched, Vouched(None)) };
            self.shared.borrow_mut().insert(backend.id(), shared);
        }
        Ok(self.lease(backend.id(), sender, vouched, false))
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
        let timeout = if are_scarce { SCARCE_IDLE_TIMEOUT } else { IDLE_TIMEOUT };
        self.idle.borrow_mut().retain(|_, waiting| {
            let is_young = |c: &IdleConnection| now.duration_since(c.since) < timeout;
            waiting.retain(|c| !c.sender.is_closed() && is_young(c) && c.vouched.holds());
            !waiting.is_empty()
        });
        self.shared.borrow_mut().retain(|_, shared| shared.is_usable());
    }

    /// Whether a connection may wait for the descriptor of one that goes back to the pool.
    fn are_descriptors_awaited(&self) -> bool {
        self.descriptors.as_ref().is_some_and(|descriptors| descriptors.are_exhausted())
    }

    fn lease(self: &Rc<Self>, backend: u64, sender: UpstreamSender, vouched: Vouched, reused: bool) -> Lease {
        Lease { upstreams: self.clone(), backend, sender, vouched, reused, is_spent: false }
    }
}

impl SharedH2 {
    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.vouched.holds()
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
        if self.is_spent || sender.is_closed() || !self.vouched.holds() || self.upstreams.are_descriptors_awaited() {
            return;
        }
        let mut idle = self.upstreams.idle.borrow_mut();
        let waiting = idle.entry(self.backend).or_default();
        if waiting.len() >= MAX_IDLE {
            waiting.remove(0);
        }
        waiting.push(IdleConnection { sender, vouched: self.vouched, since: self.upstreams.looked.get() });
    }
}

async fn send_h2(
    mut sender: http2::SendRequest<Outgoing>,
    request: Request<Outgoing>,
) -> Result<Response<Incoming>, SendError> {
    match sender.ready().await {
        Ok(()) => sender.try_send_request(request).await.map_err(SendError::from),
        Err(error) => Err(SendError { unsent: Some(Box::new(request)), error }),
    }
}

impl From<TrySendError<Request<Outgoing>>> for SendError {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        Self { unsent: error.take_message().map(Box::new), error: error.into_error() }
    }
}
