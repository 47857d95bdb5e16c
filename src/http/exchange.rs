//! The record of one exchange, from its head to its last byte: what is logged and counted when it ends, however it ends.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, Uri, Version, header};

use super::conn::Conn;
use super::entry::Held;
use super::live::LiveGuard;
use super::upload::Progress;
use super::visit::Guest;
use crate::access::Entry;
use crate::error::{Broken, Failure};
use crate::headers::TraceParent;
use crate::service::InFlight;
use crate::site::Route;
use crate::types::{Color, RequestId};

/// nginx's code for a client that left before the answer: only in logs and metrics, never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// One exchange. Recorded when dropped.
pub struct Exchange {
    conn: Rc<Conn>,
    pub route: Arc<Route>,
    started: Instant,
    /// `started` on the wall's clock.
    began: SystemTime,
    pub id: RequestId,
    /// `id` as it is sent, both ways.
    pub id_value: HeaderValue,
    pub client: IpAddr,
    pub trace: Option<TraceParent>,
    method: Method,
    /// Without what a preview's link had in it.
    pub uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    accept: Option<HeaderValue>,
    /// Until it is sent on; here, so that no future on the way has room for a copy of it.
    pub head: Option<Parts>,
    /// Some of the request's body is still to come, on a connection that carries nothing else meanwhile.
    pub unread: bool,
    /// 0 until a head was answered.
    pub status: u16,
    /// How the request's body fares on its way to the backend, where there is one.
    pub upload: Option<Rc<Progress>>,
    /// Counted by the upload, where there is one.
    pub bytes_in: Option<Rc<Cell<u64>>>,
    pub bytes_out: u64,
    pub upstream: Option<Duration>,
    pub attempts: u32,
    pub limited: Option<Arc<str>>,
    /// For a place, a pause's end or a zone's turn: it is older than what it asks of its backend.
    pub has_waited: bool,
    pub error: Option<&'static str>,
    pub in_flight: Option<InFlight>,
    /// It was held by a pause, and the next behind it waits for it to have a backend.
    pub held: Option<Box<Held>>,
    /// Who is to be told something by the answer.
    pub guest: Option<Box<Guest>>,
    /// Set once the answer's last byte was handed over.
    pub complete: bool,
    pub live: LiveGuard,
}

impl Exchange {
    pub fn begin(
        conn: &Rc<Conn>,
        route: &Arc<Route>,
        client: IpAddr,
        id: RequestId,
        began: SystemTime,
        head: Parts,
    ) -> Box<Self> {
        let logged = |name| head.headers.get(name).cloned();
        let started = Instant::now();
        Box::new(Self {
            live: LiveGuard::new(conn, started, conn.limits().body_timeout),
            conn: conn.clone(),
            route: route.clone(),
            started,
            began,
            id_value: id.header_value(),
            id,
            client,
            trace: None,
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            host: logged(header::HOST),
            user_agent: logged(header::USER_AGENT),
            referer: logged(header::REFERER),
            accept: logged(header::ACCEPT),
            head: Some(head),
            unread: false,
            status: 0,
            upload: None,
            bytes_in: None,
            bytes_out: 0,
            upstream: None,
            attempts: 0,
            limited: None,
            has_waited: false,
            error: None,
            in_flight: None,
            held: None,
            guest: None,
            complete: false,
        })
    }

    pub fn conn(&self) -> &Rc<Conn> {
        &self.conn
    }

    /// Whether an error page is better read by a program.
    pub fn wants_json(&self) -> bool {
        let accept = self.accept.as_ref().and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        accept.contains("json") && !accept.contains("text/html")
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// When its head had arrived.
    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn is_h2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    pub fn failed(&mut self, failure: Failure) {
        self.error = Some(failure.reason());
    }

    pub fn broke(&mut self, why: Broken) {
        self.error.get_or_insert(why.reason());
    }

    /// Why the backend's answer broke off: by its own doing, unless the client has spoilt a body that was still coming, which
    /// ends both.
    pub fn lost_upstream(&mut self) -> Broken {
        let Some(failure) = self.upload.as_ref().and_then(|upload| upload.failure()) else {
            return Broken::UpstreamAborted;
        };
        if failure != Failure::BadRequest {
            self.failed(failure);
        }
        Broken::ClientAborted
    }

    /// The backends of this colour have failed it, whoever answers in their stead.
    pub fn fails_in(&self, color: Option<Color>) {
        self.route.series.outcome(self.conn.worker().id, color, true, None);
    }

    fn record(&mut self, now: Instant) {
        // What was handed over whole may still have been cut in the codec.
        if let Some(why) = self.live.broken().or((!self.complete).then_some(Broken::ClientAborted)) {
            self.broke(why);
        }
        if self.status == 0 {
            self.status = CLIENT_CLOSED_REQUEST;
        }
        let worker = self.conn.worker();
        let took = now.duration_since(self.started);
        let color = self.in_flight.as_ref().and_then(|f| f.pool().color());
        self.route.series.record(worker.id, color, &self.method, self.status, took, self.bytes_out);
        if self.in_flight.is_some() {
            let is_tunnel = self.status == StatusCode::SWITCHING_PROTOCOLS.as_u16();
            // A tunnel's head may be hours old: it says nothing of how fast the backend answers now.
            let head_after = self.upstream.filter(|_| !is_tunnel);
            self.route.series.outcome(worker.id, color, self.backend_failed(), head_after);
        }
        let mut log = worker.log.borrow_mut();
        if log.is_on() {
            log.record(&self.entry(took));
        }
    }

    /// Whether it is the backend's fault. Never what the client did (4xx, 499), nor a tunnel, nor what a drain has cut.
    fn backend_failed(&self) -> bool {
        let ended_by = |why: Broken| self.error == Some(why.reason());
        match self.status {
            // A head of the backend's own is its failure even where the drain then cut the body.
            500.. => self.upstream.is_some() || !ended_by(Broken::DrainCut),
            200..400 => ended_by(Broken::UpstreamAborted) || ended_by(Broken::UpstreamTooSlow),
            _ => false,
        }
    }

    fn entry(&self, duration: Duration) -> Entry<'_> {
        let backend = self.in_flight.as_ref().and_then(|f| f.backend());
        let authority = self.uri.authority().map(http::uri::Authority::as_str);
        let host = self.host.as_ref().and_then(|h| h.to_str().ok());
        Entry {
            time: self.began + duration,
            request_id: self.id.as_str(),
            client: self.client,
            method: self.method.as_str(),
            host: host.or(authority).unwrap_or_default(),
            path: self.uri.path(),
            query: self.uri.query(),
            protocol: protocol(self.version),
            tls: self.conn.peer().tls_version,
            status: self.status,
            bytes_in: self.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: self.bytes_out,
            duration,
            upstream: self.upstream,
            site: some(&self.route.site),
            route: some(&self.route.label),
            service: self.route.service_name(),
            color: self.in_flight.as_ref().and_then(|f| f.pool().color()).map(Color::as_str),
            backend: backend.map(|b| &**b.name()),
            attempts: self.attempts,
            limited: self.limited.as_deref(),
            error: self.error,
            user_agent: self.user_agent.as_ref().map(HeaderValue::as_bytes),
            referer: self.referer.as_ref().map(HeaderValue::as_bytes),
            trace_id: self.trace.as_ref().map(TraceParent::trace_id),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let now = Instant::now();
        self.record(now);
        self.conn.end_exchange(now);
    }
}

fn some(label: &str) -> Option<&str> {
    Some(label).filter(|l| !l.is_empty())
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}
