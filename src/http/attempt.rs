//! The tries at one request: pick, connect or reuse, send, try again where that is safe.
//!
//! A request is sent a second time only when nothing of it can have been processed, or when its method says that doing it
//! twice is doing it once (RFC 9110, 9.2.2) and it has no body and was never answered.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::uri::{PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version, header};
use hyper::body::Incoming;

use super::census::Kind;
use super::exchange::Exchange;
use super::forward::prepare;
use super::pick::Picker;
use super::upload::Upload;
use crate::config::{self, UpstreamHost};
use crate::error::{Broken, Failure};
use crate::headers::Hop;
use crate::service::{Backend, InFlight};
use crate::site::Target;
use crate::upstream::{ConnectError, Lease, Outgoing, SendError};

/// The tries at one request.
pub(super) struct Attempt<'a> {
    exchange: &'a mut Exchange,
    target: &'a Target,
    settings: &'a config::Service,
    picker: Picker<'a>,
    /// What is to be sent; `None` while it is on its way.
    request: Option<Request<Outgoing>>,
    spare: Option<Spare>,
}

/// What is needed to send a request without a body again: the client's own fields.
pub(super) struct Spare {
    pub headers: HeaderMap,
    pub trusted: bool,
}

impl<'a> Attempt<'a> {
    pub fn new(
        exchange: &'a mut Exchange,
        target: &'a Target,
        request: Request<Incoming>,
        spare: Option<Spare>,
    ) -> Self {
        let settings = &*target.settings;
        let (head, body) = request.into_parts();
        let picker = Picker::new(exchange, &head, settings);
        let body = outgoing(exchange, body);
        if exchange.upload.is_some() {
            exchange.live.becomes(Kind::Upload);
        }
        let request = Some(Request::from_parts(head, body));
        Self { exchange, target, settings, picker, request, spare }
    }

    pub async fn run(&mut self, hop: &Hop) -> Result<(Response<Incoming>, Lease), Failure> {
        let mut failure = Failure::NoHealthyBackend;
        let mut fresh_only = false;
        loop {
            let Some(backend) = self.next_backend() else {
                if !self.fail_over() {
                    self.wait_for_backend(failure).await?;
                }
                continue;
            };
            self.exchange.held = None;
            let mut lease = match self.lease(&backend, fresh_only).await {
                Ok(lease) => lease,
                Err(why) => {
                    failure = why;
                    self.blame(&backend, failure);
                    self.give_up(&backend, failure)?;
                    continue;
                }
            };
            self.address(&lease, &backend, hop);
            // The first try is as old as the exchange, but for what it took to decide.
            let first = lease.reused() && !self.picker.has_tried_any() && !self.exchange.has_waited;
            let started = if first { self.exchange.started() } else { Instant::now() };
            let error = match self.send(&mut lease, started).await {
                Ok(response) => {
                    backend.answered();
                    self.exchange.upstream = Some(started.elapsed());
                    return Ok((response, lease));
                }
                Err(Unanswered::Failed(why)) => return Err(why),
                Err(Unanswered::Lost(error)) => error,
            };
            tracing::debug!(error = %error.error, backend = %backend.name(), "request not answered");
            let stale = lease.reused();
            let was_sent = error.unsent.is_none();
            if !stale {
                self.blame(&backend, reset_reason(&error.error));
            }
            failure = self.recover(error)?;
            if stale {
                // The backend closed an idle connection: not a failure of the backend, and not an attempt.
                fresh_only = true;
                if was_sent {
                    self.count_retry();
                }
            } else {
                self.give_up(&backend, failure)?;
            }
        }
    }

    /// Puts back what may be sent again; an error when nothing may.
    fn recover(&mut self, lost: SendError) -> Result<Failure, Failure> {
        if let Some(unsent) = lost.unsent {
            self.request = Some(*unsent);
            return Ok(Failure::UpstreamReset);
        }
        let failure = reset_reason(&lost.error);
        let again = self.spare.as_ref().filter(|_| failure == Failure::UpstreamReset);
        self.request = again.map(|spare| spare.request(self.exchange)).transpose()?;
        if self.request.is_some() {
            return Ok(failure);
        }
        self.count_failure(failure);
        Err(failure)
    }

    /// Gives the request the form this connection speaks.
    fn address(&mut self, lease: &Lease, backend: &Backend, hop: &Hop) {
        let Some(request) = &mut self.request else { return };
        address(request, lease, backend, self.settings, hop);
    }

    /// The backend for the next try: the one assigned already unless it was given up.
    fn next_backend(&mut self) -> Option<Arc<Backend>> {
        let in_flight = self.exchange.in_flight.as_mut()?;
        if let Some(assigned) = in_flight.backend().filter(|b| !self.picker.has_tried(b)) {
            return Some(assigned.clone());
        }
        let backend = self.picker.pick(in_flight)?;
        self.exchange.attempts += 1;
        Some(backend)
    }

    /// Nobody in this colour has taken it, and its health may not know yet: on to the colour that stands in, for a canary and
    /// where the service has it so. Answers whether there is one.
    fn fail_over(&mut self) -> bool {
        let left = self.color();
        let Some(in_flight) = self.exchange.in_flight.as_mut() else { return false };
        // What is only full is waited for.
        let failover = self.settings.failover;
        if self.picker.may_wait(in_flight.pool()) || !self.target.service.stand_in(in_flight, failover) {
            return false;
        }
        self.exchange.live.enter(in_flight);
        if self.picker.has_tried_any() {
            // Its client won't notice, but whoever judges the colour by its answers is to know.
            self.exchange.fails_in(left);
        }
        true
    }

    /// All that serve are full: waits until one has room, and has the exchange assigned to it, or until none serves any more
    /// and another colour is to be asked. Without any: `failure`.
    async fn wait_for_backend(&mut self, failure: Failure) -> Result<(), Failure> {
        let in_flight = self.exchange.in_flight.as_mut().ok_or(failure)?;
        if !self.picker.may_wait(in_flight.pool()) {
            return Err(failure);
        }
        // Boxed: rare, and the room it needs would be kept by every client connection.
        let waited = Box::pin(self.picker.wait(in_flight, &self.exchange.live)).await;
        let has_room = waited.inspect_err(|why| self.count_failure(*why))?;
        self.exchange.has_waited = true;
        self.exchange.attempts += u32::from(has_room);
        Ok(())
    }

    async fn lease(&mut self, backend: &Backend, fresh_only: bool) -> Result<Lease, Failure> {
        let upstreams = self.exchange.conn().worker().upstreams.clone();
        if !fresh_only && let Some(lease) = upstreams.reuse(backend) {
            return Ok(lease);
        }
        // Boxed: rare and large, and the room it needs would be kept by every client connection.
        let connecting = Box::pin(upstreams.connect(backend, self.settings));
        match self.exchange.live.unless_broken(connecting).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(error)) => {
                tracing::warn!(service = %self.settings.name, backend = %backend.name(), %error, "connect failed");
                Err(match error {
                    ConnectError::Timeout(_) => Failure::ConnectTimeout,
                    ConnectError::Failed(_) => Failure::ConnectFailed,
                })
            }
            Err(_) => Err(Failure::DrainCut),
        }
    }

    /// Sends and waits for the head: `response_timeout` from the moment the request's last byte has come, and for every part
    /// of a body that the backend does not take.
    async fn send(&mut self, lease: &mut Lease, now: Instant) -> Result<Response<Incoming>, Unanswered> {
        let request = self.request.take().ok_or(Unanswered::Failed(Failure::Internal))?;
        let live = &self.exchange.live;
        live.asks_backend(now, self.settings.response_timeout);
        let answer = live.unless_broken(lease.send(request)).await;
        live.asks_nothing();
        let answer = match answer {
            Ok(answer) => answer.map_err(Unanswered::Lost),
            Err(Broken::UpstreamTooSlow) => Err(Unanswered::Failed(Failure::ResponseTimeout)),
            Err(_) => Err(Unanswered::Failed(Failure::DrainCut)),
        };
        match (answer, self.exchange.upload.as_ref().and_then(|upload| upload.failure())) {
            (Err(_), Some(failure)) => Err(Unanswered::Failed(failure)),
            (answer, _) => answer,
        }
    }

    /// Leaves this backend for another; an error when the retries are used up.
    fn give_up(&mut self, backend: &Backend, failure: Failure) -> Result<(), Failure> {
        self.picker.strike(backend);
        self.count_failure(failure);
        let body_begun = self.exchange.upload.as_ref().is_some_and(|upload| upload.has_begun());
        let retries_left = self.exchange.attempts <= self.settings.retries;
        if failure == Failure::DrainCut || body_begun || !retries_left {
            return Err(failure);
        }
        self.count_retry();
        Ok(())
    }

    /// A failure of the backend itself, by its own doing: too many in a row take it out of its pool.
    fn blame(&self, backend: &Backend, failure: Failure) {
        let health = &self.settings.health;
        let is_its_own = matches!(failure, Failure::ConnectFailed | Failure::ConnectTimeout | Failure::UpstreamReset);
        if !is_its_own || !backend.failed(health.max_fails) {
            return;
        }
        let Some(in_flight) = &self.exchange.in_flight else { return };
        let (pool, why) = (in_flight.pool(), failure.reason());
        let why = format!("{} failures in a row, the last: {why}", health.max_fails);
        let Some(out) = pool.eject(backend, health, why.clone(), Instant::now()) else { return };
        self.target.series.ejected(pool.color(), backend.addr().to_string());
        let (service, color, backend) = (&self.settings.name, pool.color_label(), backend.name());
        tracing::warn!(service = %service, color, backend = %backend, ?out, why, "backend ejected");
    }

    fn count_failure(&self, failure: Failure) {
        self.target.series.failed(self.color(), failure.reason());
    }

    fn count_retry(&self) {
        self.target.series.retried(self.color());
    }

    fn color(&self) -> Option<crate::types::Color> {
        self.exchange.in_flight.as_ref().and_then(|f: &InFlight| f.pool().color())
    }
}

/// Why a try brought no answer.
enum Unanswered {
    /// The connection broke; it says whether the request had left.
    Lost(SendError),
    /// Something else ended it; there is no second try.
    Failed(Failure),
}

fn reset_reason(error: &hyper::Error) -> Failure {
    if error.is_parse() || error.is_parse_too_large() { Failure::UpstreamInvalid } else { Failure::UpstreamReset }
}

impl Spare {
    fn request(&self, exchange: &mut Exchange) -> Result<Request<Outgoing>, Failure> {
        let mut request = Request::new(Outgoing::Empty);
        *request.method_mut() = exchange.method().clone();
        *request.uri_mut() = exchange.uri.clone();
        *request.version_mut() = exchange.version();
        *request.headers_mut() = self.headers.clone();
        let (mut head, body) = request.into_parts();
        prepare(exchange, &mut head, self.trusted)?;
        Ok(Request::from_parts(head, body))
    }
}

/// Puts target, version, Host and the upgrade fields in the form this connection speaks.
fn address(request: &mut Request<Outgoing>, lease: &Lease, backend: &Backend, settings: &config::Service, hop: &Hop) {
    match &settings.host {
        UpstreamHost::Preserve => {}
        UpstreamHost::Literal(host) => {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        UpstreamHost::Backend => {
            if let Ok(host) = HeaderValue::from_str(&backend.addr().authority()) {
                request.headers_mut().insert(header::HOST, host);
            }
        }
    }
    if lease.is_h2() {
        address_h2(request, hop);
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() || request.uri().path_and_query().is_none() {
        *request.uri_mut() = origin_form(request.uri());
    }
    if let Some(upgrade) = &hop.upgrade {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(header::UPGRADE, upgrade.clone());
    }
    if hop.te_trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("TE"));
    }
}

fn address_h2(request: &mut Request<Outgoing>, hop: &Hop) {
    let authority = request.headers_mut().remove(header::HOST);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(UriScheme::HTTP);
    parts.authority = authority.and_then(|host| http::uri::Authority::try_from(host.as_bytes()).ok());
    parts.path_and_query = request.uri().path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    if hop.te_trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()))
}

fn outgoing(exchange: &mut Exchange, body: Incoming) -> Outgoing {
    if http_body::Body::is_end_stream(&body) {
        return Outgoing::Empty;
    }
    let bytes: Rc<Cell<u64>> = Rc::default();
    exchange.bytes_in = Some(bytes.clone());
    let route = &exchange.route;
    let live = exchange.live.handle();
    let (upload, progress) = Upload::new(body, route.body_size, route.body_timeout, bytes, live);
    exchange.upload = Some(progress);
    Outgoing::Stream(Box::pin(upload))
}
