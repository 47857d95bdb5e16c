//! The record of one exchange, from its head to its last byte. By drop it is closed, counted and logged.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::request::Parts;

use super::outcome::Outcome;
use super::progress::Progress;
use super::request::ClientRequest;
use crate::access::Entry;
use crate::error::{Broken, Failure};
use crate::headers::TraceParent;
use crate::http::connection::Conn;
use crate::site::Route;
use crate::types::{Color, TlsVersion};
use crate::worker::{Connection, LiveExchange};

/// One exchange. Recorded when dropped.
pub struct Exchange {
    conn: Rc<Conn>,
    /// Which of its connection's exchanges it is, from 1.
    pub number: u64,
    pub request: ClientRequest,
    /// The head until it is sent on. It is kept here, so that no future on the way needs room for a copy.
    pub head: Option<Parts>,
    pub progress: Progress,
    pub outcome: Outcome,
    pub live: LiveExchange,
}

impl Exchange {
    #[inline] // as the request's
    pub fn begin(conn: &Rc<Conn>, route: &Arc<Route>, request: ClientRequest, head: Parts) -> Box<Self> {
        let swept: Weak<dyn Connection> = Rc::downgrade(conn) as _;
        Box::new(Self {
            live: LiveExchange::new(conn.worker(), swept, route, request.started(), conn.limits().body_timeout),
            conn: conn.clone(),
            number: conn.exchanges(),
            request,
            head: Some(head),
            progress: Progress::default(),
            outcome: Outcome::default(),
        })
    }

    pub fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    /// The route that answers it.
    pub fn route(&self) -> &Arc<Route> {
        self.live.route()
    }

    /// Why the backend's answer broke off: the backend is the cause, unless the client's own body broke off meanwhile, which ends
    /// both.
    pub fn lost_upstream(&mut self) -> Broken {
        let Some(failure) = self.progress.upload.as_ref().and_then(|upload| upload.failure()) else {
            return Broken::UpstreamAborted;
        };
        if failure != Failure::BadRequest {
            self.outcome.failed(failure);
        }
        Broken::ClientAborted
    }

    /// The backends of this colour have failed it, even if another colour answers it.
    pub fn fails_in(&self, color: Option<Color>) {
        self.route().series.outcome(self.conn.worker().id, color, true, None);
    }

    fn count(&self, took: Duration) {
        let worker = self.conn.worker().id;
        let (color, series) = (self.progress.color(), &self.route().series);
        let Outcome { status, .. } = self.outcome;
        series.record(worker, color, self.request.method(), status, took, self.progress.bytes_out);
        if self.progress.in_flight.is_some() {
            // The head of a tunnel may be hours old: it says nothing about how fast the backend answers now.
            let head_after = self.progress.upstream.filter(|_| !self.outcome.is_tunnel());
            let failed = self.outcome.backend_failed(self.progress.upstream.is_some());
            series.outcome(worker, color, failed, head_after);
        }
    }

    fn log(&self, took: Duration) {
        let mut log = self.conn.worker().log.borrow_mut();
        if log.is_on() {
            log.record(&self.entry(took));
        }
    }

    fn entry(&self, duration: Duration) -> Entry<'_> {
        let Self { request, progress, outcome, .. } = self;
        let route = self.route();
        let backend = progress.in_flight.as_ref().and_then(|in_flight| in_flight.backend());
        let (path, query) = request.target();
        Entry {
            time: request.began() + duration,
            request_id: request.id.as_str(),
            client: request.client.ip,
            method: request.method().as_str(),
            host: request.host(),
            path,
            query,
            protocol: request.protocol(),
            tls: self.conn.peer().tls_version.map(TlsVersion::as_str),
            status: outcome.status,
            bytes_in: progress.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: progress.bytes_out,
            duration,
            upstream: progress.upstream,
            site: some(&route.site),
            route: some(&route.label),
            service: route.service_name(),
            color: progress.color().map(Color::as_str),
            backend: backend.map(|backend| &**backend.name()),
            attempts: progress.attempts,
            limited: progress.limited.as_deref(),
            error: outcome.error(),
            user_agent: request.user_agent(),
            referer: request.referer(),
            trace_id: request.trace.as_ref().map(TraceParent::trace_id),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        self.outcome.close(self.live.broken());
        let took = now.duration_since(self.request.started());
        self.count(took);
        self.log(took);
        self.conn.end_exchange(now);
    }
}

fn some(label: &str) -> Option<&str> {
    Some(label).filter(|label| !label.is_empty())
}
