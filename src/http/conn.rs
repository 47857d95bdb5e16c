//! One client connection: its peer, its phase, its deadline; and the byte stream under the codec that keeps them.
//!
//! The phases are ours because the codec has one timer for all: waiting for a head has one bound, receiving it another,
//! and a running exchange has its own.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use std::{future::poll_fn, io};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::refusal;
use super::scan::HeadScan;
use super::tunnel::Tunnel;
use super::worker::Worker;
use crate::config::Limits;
use crate::decide::Peer;
use crate::error::Failure;
use crate::headers::Sender;

/// What a new connection has for its first head once it is to finish.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// One client connection, as its exchanges and the sweep see it.
pub struct Conn {
    worker: Rc<Worker>,
    key: Cell<usize>,
    listener: usize,
    peer: Peer,
    sender: Sender,
    limits: Limits,
    phase: Cell<Phase>,
    deadline: Cell<Instant>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
    exchanges: Cell<u64>,
    running: Cell<u32>,
    bad_head: Cell<Option<Failure>>,
    linger: Cell<bool>,
    /// The client has not taken what the codec has for it.
    is_blocked: Cell<bool>,
    tunnel: RefCell<Option<Tunnel>>,
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
pub enum Order {
    Serve,
    Finish,
    Abort,
}

impl Conn {
    pub fn new(worker: &Rc<Worker>, listener: usize, peer: Peer, limits: Limits) -> Rc<Self> {
        let deadline = Instant::now() + limits.header_timeout;
        let conn = Rc::new(Self {
            worker: worker.clone(),
            key: Cell::new(0),
            listener,
            sender: Sender::new(peer.ip, peer.port, peer.tls),
            peer,
            limits,
            phase: Cell::new(Phase::Head),
            deadline: Cell::new(deadline),
            order: Cell::new(Order::Serve),
            waker: RefCell::new(None),
            exchanges: Cell::new(0),
            running: Cell::new(0),
            bad_head: Cell::new(None),
            linger: Cell::new(false),
            is_blocked: Cell::new(false),
            tunnel: RefCell::new(None),
        });
        conn.key.set(worker.add_conn(Rc::downgrade(&conn) as Weak<_>));
        if worker.is_stopping() {
            conn.finish();
        }
        conn
    }

    pub fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The forwarded fields that are the same for every request of this connection.
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn listener(&self) -> usize {
        self.listener
    }

    /// What runs on it ends, then it closes. Who has just come in may still ask once: the request may be on its way.
    pub fn finish(&self) {
        if self.is_fresh() {
            self.deadline.set(self.deadline.get().min(Instant::now() + FIRST_REQUEST));
        }
        self.order(Order::Finish);
    }

    /// It closes now.
    pub fn abort(&self) {
        self.order(Order::Abort);
    }

    /// Its task's standing order; wakes that task when it changes.
    pub fn poll_order(&self, cx: &mut Context<'_>) -> Order {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|w| w.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        self.order.get()
    }

    /// Runs `future` until the connection is aborted.
    pub async fn unless_aborted<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.poll_order(cx) == Order::Abort => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// A head has been received. Answers what is wrong with it, if the scan has found it ambiguous.
    pub(super) fn begin_exchange(&self) -> Option<Failure> {
        self.running.set(self.running.get() + 1);
        self.exchanges.set(self.exchanges.get() + 1);
        self.phase.set(Phase::Running);
        if self.exchanges.get() >= self.limits.keepalive_requests {
            self.finish();
        }
        self.bad_head.get()
    }

    pub(super) fn end_exchange(&self, now: Instant) {
        self.running.set(self.running.get() - 1);
        if self.running.get() == 0 {
            self.phase.set(Phase::Idle);
            self.deadline.set(now + self.limits.keepalive);
        }
    }

    /// Whether nothing was asked on it yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.exchanges.get() == 0
    }

    /// Whether this answer is the connection's last.
    pub(super) fn is_finishing(&self) -> bool {
        self.order.get() >= Order::Finish
    }

    /// Some of the request was not read: close so that the answer still arrives.
    pub(super) fn linger_and_close(&self) {
        self.linger.set(true);
        self.finish();
    }

    pub(super) fn lingers(&self) -> bool {
        self.linger.get()
    }

    pub(super) fn become_tunnel(&self, tunnel: Tunnel) {
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    pub(super) fn check_deadline(&self, now: Instant) {
        if self.phase.get() == Phase::Running || now < self.deadline.get() {
            return;
        }
        if self.phase.get() == Phase::Idle && self.order.get() == Order::Serve {
            // Says goodbye where the protocol can (GOAWAY); what does not go then is cut at the next look.
            self.deadline.set(now + Duration::from_secs(1));
            self.finish();
        } else {
            self.abort();
        }
    }

    fn order(&self, order: Order) {
        if order > self.order.get() {
            self.order.set(order);
            if let Some(waker) = self.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }

    /// The codec has written. The end of an answer may lie with it when the exchange is over: a connection is not idle while
    /// its client takes of that.
    fn wrote<T>(&self, written: &Poll<io::Result<T>>) {
        let was_blocked = self.is_blocked.replace(written.is_pending());
        if was_blocked && written.is_ready() && self.phase.get() == Phase::Idle {
            self.deadline.set(Instant::now() + self.limits.keepalive);
        }
    }

    fn received(&self) {
        if self.phase.get() == Phase::Idle {
            self.phase.set(Phase::Head);
            self.deadline.set(Instant::now() + self.limits.header_timeout);
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.worker.remove_conn(self.key.get());
    }
}

/// The byte stream under the HTTP/1.1 codec: scans heads, keeps the phase, and gives the codec's own refusals our form.
pub struct HeadWatch<T> {
    io: T,
    conn: Rc<Conn>,
    scan: HeadScan,
    refusal: Option<(Vec<u8>, usize)>,
}

impl<T> HeadWatch<T> {
    pub fn new(io: T, conn: Rc<Conn>) -> Self {
        Self { io, conn, scan: HeadScan::default(), refusal: None }
    }

    pub fn into_inner(self) -> T {
        self.io
    }

    fn scan(&mut self, bytes: &[u8]) {
        if self.conn.phase.get() == Phase::Idle {
            self.scan.expect_head();
        }
        self.conn.received();
        if self.scan.feed(bytes).is_err() {
            self.conn.bad_head.set(Some(Failure::BadFraming));
        }
    }
}

impl<T: AsyncWrite + Unpin> HeadWatch<T> {
    /// The codec refuses a head it can't parse with a bare answer that no service has seen. Ours replaces it.
    fn substitute(&mut self, written: &[u8]) -> bool {
        if self.conn.phase.get() != Phase::Head {
            return false;
        }
        let Some(status) = refusal::status_of_bare(written) else { return false };
        let failure = match (self.conn.bad_head.get(), status) {
            (Some(failure), _) => failure,
            (None, StatusCode::URI_TOO_LONG) => Failure::UriTooLong,
            // RFC 9112, 3: the request line alone was more than a head may be.
            (None, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
                if self.scan.request_line() >= self.conn.limits.header_size =>
            {
                Failure::UriTooLong
            }
            (None, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => Failure::HeadTooLarge,
            (None, _) => Failure::BadRequest,
        };
        self.refusal = Some((refusal::answer_unparsed(&self.conn, failure), 0));
        self.conn.linger_and_close();
        true
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some((answer, sent)) = &mut self.refusal {
            let n = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, &answer[*sent..]))?;
            *sent += n;
            if n == 0 || *sent == answer.len() {
                self.refusal = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeadWatch<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.scan(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for HeadWatch<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.substitute(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        std::task::ready!(self.poll_refusal(cx))?;
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.conn.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs
            && self.substitute(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        std::task::ready!(self.poll_refusal(cx))?;
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.conn.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
