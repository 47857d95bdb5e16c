//! One try after another: pick, connect or reuse, send, and what [`super::retry`] says of a try that failed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use super::again::{Refusable, RequestPayload, Spare};
use super::pick::Picker;
use super::retry::{Consequence, Means, Next, TryEnd, judge};
use crate::config;
use crate::error::{Broken, Failure};
use crate::headers::Hop;
use crate::http::exchange::{Exchange, WholeBody};
use crate::http::forward::address::address;
use crate::http::forward::hints;
use crate::service::Backend;
use crate::site::ServiceTarget;
use crate::types::Color;
use crate::upstream::{ConnectError, Lease, Outgoing, Speaks};

/// The tries at one request.
pub(in crate::http::forward) struct Attempt<'a> {
    exchange: &'a mut Exchange,
    target: &'a ServiceTarget,
    settings: &'a config::ServiceConfig,
    picker: Picker<'a>,
    /// What is to be sent; `None` while it is on its way.
    request: Option<Request<Outgoing>>,
    spare: Option<Spare>,
    /// The body, where it is here.
    whole: Option<Rc<WholeBody>>,
    /// What was sent to a backend that may refuse it.
    refusable: Option<Box<Refusable>>,
    refusals: u32,
}

impl<'a> Attempt<'a> {
    pub fn new(
        exchange: &'a mut Exchange,
        target: &'a ServiceTarget,
        head: Parts,
        body: RequestPayload,
        spare: Option<Spare>,
    ) -> Self {
        let settings = &*target.settings;
        let picker = Picker::new(exchange, &head, settings);
        let whole = body.whole();
        let request = Some(Request::from_parts(head, body.into_outgoing()));
        Self { exchange, target, settings, picker, request, spare, whole, refusable: None, refusals: 0 }
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
            self.exchange.progress.held = None;
            // In line, not in a function of its own: the answer would be moved once more for each.
            let end = match self.lease(&backend, fresh_only, hop).await {
                Ok(mut lease) => {
                    let started = self.begin(&lease, &backend, hop);
                    match self.send(&mut lease, &backend, started).await {
                        Ok(response) => return Ok((response, lease)),
                        Err(end) => end,
                    }
                }
                Err(end) => end,
            };
            let consequence = judge(end, self.means());
            self.apply(consequence, &backend);
            match consequence.next {
                // `retries` is about backends of one colour; the other colour stands in for all of them.
                Next::Stop(why) if self.can_turn(end, &backend) => failure = why,
                Next::Stop(why) => return Err(why),
                Next::OtherBackend(why) => failure = why,
                Next::FreshConnection(why) => (failure, fresh_only) = (why, true),
            }
            self.have_request()?;
        }
    }

    /// Gives the request the form of this connection; answers since when the backend is asked.
    fn begin(&mut self, lease: &Lease, backend: &Backend, hop: &Hop) -> Instant {
        if lease.is_h2()
            && self.spare.is_none()
            && self.refusable.is_none()
            && let Some(request) = self.request.take()
        {
            let (request, refusable) = Refusable::keep(request, self.whole.as_ref());
            (self.request, self.refusable) = (Some(request), Some(refusable));
        }
        if let Some(request) = &mut self.request {
            address(request, lease.is_h2(), backend, &self.settings.host, hop);
        }
        // The first try is as old as the exchange, but for what it took to decide.
        let first = lease.reused() && !self.picker.has_tried_any() && !self.exchange.progress.has_waited;
        if first { self.exchange.request.started() } else { Instant::now() }
    }

    fn means(&self) -> Means {
        let progress = &self.exchange.progress;
        Means {
            attempts: progress.attempts,
            retries: self.settings.retries,
            body_begun: progress.upload.as_ref().is_some_and(|upload| upload.has_begun()) && !self.is_whole(),
            can_repeat: self.spare.is_some(),
            is_whole: self.is_whole(),
            refusals: self.refusals,
        }
    }

    /// Whether all of a request that was refused can be sent again.
    fn is_whole(&self) -> bool {
        self.spare.is_some()
            || self.whole.is_some()
            || self.refusable.as_ref().is_some_and(|refusable| refusable.is_whole())
    }

    fn apply(&mut self, consequence: Consequence, backend: &Backend) {
        let (Next::Stop(why) | Next::OtherBackend(why) | Next::FreshConnection(why)) = consequence.next;
        if consequence.blames_backend {
            self.blame(backend, why);
        }
        if consequence.counts_failure {
            self.count_failure(why);
        }
        if consequence.counts_retry {
            self.target.series.retried(self.exchange.progress.color());
        }
        if matches!(consequence.next, Next::OtherBackend(_)) {
            self.picker.strike(backend);
        }
    }

    /// What is sent next: the request that came back untouched, or one made again.
    fn have_request(&mut self) -> Result<(), Failure> {
        if self.request.is_none()
            && let Some(spare) = &self.spare
        {
            self.request = Some(spare.request(self.exchange, self.whole.as_deref())?);
        }
        if self.request.is_none()
            && let Some(refusable) = &self.refusable
        {
            self.request = refusable.request();
        }
        Ok(())
    }

    /// The backend for the next try: the one that is assigned already, unless it was given up.
    fn next_backend(&mut self) -> Option<Arc<Backend>> {
        let in_flight = self.exchange.progress.in_flight.as_mut()?;
        if let Some(assigned) = in_flight.backend().filter(|b| !self.picker.has_tried(b) && !b.is_retired()) {
            return Some(assigned.clone());
        }
        let backend = self.picker.pick(in_flight)?;
        self.exchange.progress.attempts += 1;
        Some(backend)
    }

    /// Whether the request may go to the other colour after its last try here: there was no connection, so nothing of it has left.
    fn can_turn(&mut self, end: TryEnd, backend: &Backend) -> bool {
        let TryEnd::NotConnected(Failure::ConnectFailed | Failure::ConnectTimeout) = end else { return false };
        self.picker.strike(backend);
        !self.means().body_begun && self.fail_over()
    }

    /// No backend of this colour has taken the request, which their health may not show yet. Moves the exchange to the colour that
    /// stands in, if it is a canary's or the service has a failover. Returns whether it has moved.
    fn fail_over(&mut self) -> bool {
        let left = self.exchange.progress.color();
        let Some(in_flight) = self.exchange.progress.in_flight.as_mut() else { return false };
        // A backend that is only full is waited for.
        let failover = self.settings.failover;
        if self.picker.may_wait(in_flight.pool()) || !self.target.service.stand_in(in_flight, failover) {
            return false;
        }
        self.exchange.live.enter(in_flight);
        if self.picker.has_tried_any() {
            // The client notices nothing, but the failure counts for the colour.
            self.exchange.fails_in(left);
        }
        true
    }

    /// All backends that serve are full: waits until one has room and is assigned, or until none serves any more and another
    /// colour is to be asked. If none serves at all: `failure`.
    async fn wait_for_backend(&mut self, failure: Failure) -> Result<(), Failure> {
        let in_flight = self.exchange.progress.in_flight.as_mut().ok_or(failure)?;
        if !self.picker.may_wait(in_flight.pool()) {
            return Err(failure);
        }
        // Boxed, because it is rare: otherwise every client connection would hold the memory for it.
        let waited = Box::pin(self.picker.wait(in_flight, &self.exchange.live)).await;
        let has_room = waited.inspect_err(|why| self.count_failure(*why))?;
        self.exchange.progress.has_waited = true;
        self.exchange.progress.attempts += u32::from(has_room);
        Ok(())
    }

    async fn lease(&mut self, backend: &Backend, fresh_only: bool, hop: &Hop) -> Result<Lease, TryEnd> {
        let speaks = if hop.upgrade.is_some() { Speaks::Http1 } else { Speaks::Any };
        let upstreams = self.exchange.conn().worker().upstreams.clone();
        if !fresh_only && let Some(lease) = upstreams.reuse(backend, self.settings, speaks) {
            return Ok(lease);
        }
        // Boxed, because it is rare and large: otherwise every client connection would hold the memory for it.
        let (conn, settings) = (self.exchange.conn().clone(), self.settings);
        let connecting = Box::pin(async move {
            let waits = conn.wait();
            let descriptor = upstreams.descriptor(settings, || conn.served()).await?;
            drop(waits);
            upstreams.connect_counted(backend, settings, speaks, descriptor).await
        });
        match self.exchange.live.unless_broken(connecting).await {
            Ok(Ok(lease)) => {
                backend.connected();
                Ok(lease)
            }
            Ok(Err(ConnectError::OutOfDescriptors(lack))) => {
                tracing::debug!(service = %self.settings.name, backend = %backend.name(), lack, "not connected");
                Err(TryEnd::Stopped(Failure::OutOfDescriptors))
            }
            Ok(Err(error)) => {
                backend.doubt();
                let color = self.exchange.progress.color().map_or("", Color::as_str);
                tracing::warn!(service = %self.settings.name, color, backend = %backend.name(), %error, "connect failed");
                Err(TryEnd::NotConnected(match error {
                    ConnectError::Timeout(_) => Failure::ConnectTimeout,
                    ConnectError::Refused(_) | ConnectError::Failed(_) | ConnectError::OutOfDescriptors(_) => {
                        Failure::ConnectFailed
                    }
                }))
            }
            Err(_) => Err(TryEnd::NotConnected(Failure::DrainCut)),
        }
    }

    /// Sends and waits for the head: `response_timeout` from the moment the request's last byte has come, and for every part
    /// of a body that the backend does not take. A request that was not sent is put back.
    async fn send(&mut self, lease: &mut Lease, backend: &Backend, now: Instant) -> Result<Response<Incoming>, TryEnd> {
        let mut request = self.request.take().ok_or(TryEnd::Stopped(Failure::Internal))?;
        let (was_idle, was_h2) = (lease.reused(), lease.is_h2());
        let heard = (!was_h2).then(|| hints::listen(self.exchange, &mut request)).flatten();
        let live = &self.exchange.live;
        live.asks_backend(now, self.settings.response_timeout);
        let answer = hints::while_passing_on(lease.send(request), heard.as_deref(), self.exchange);
        let answer = live.unless_broken(answer).await;
        live.asks_nothing();
        let end = match answer {
            Ok(Ok(response)) => {
                backend.answered();
                self.exchange.progress.upstream = Some(now.elapsed());
                return Ok(response);
            }
            Ok(Err(lost)) => {
                tracing::debug!(error = %lost.error, backend = %backend.name(), "request not answered");
                let why = reset_reason(&lost.error);
                if lost.unprocessed && was_h2 {
                    self.refusals += 1;
                    TryEnd::Refused(why)
                } else {
                    self.request = lost.unsent.map(|unsent| *unsent);
                    TryEnd::Lost { why, was_idle, has_left: self.request.is_none() }
                }
            }
            Err(Broken::UpstreamTooSlow) => {
                lease.was_silent();
                TryEnd::Stopped(Failure::ResponseTimeout)
            }
            Err(_) => TryEnd::Stopped(Failure::DrainCut),
        };
        // If the client's own body broke off, that is the cause.
        Err(self.upload_failure().map_or(end, TryEnd::Stopped))
    }

    /// Its name may have another address by now, and too many failures in a row take it out of its pool.
    fn blame(&self, backend: &Backend, failure: Failure) {
        self.target.service.doubt_names();
        let health = &self.settings.health;
        if !backend.failed(health.max_fails) {
            return;
        }
        let Some(in_flight) = &self.exchange.progress.in_flight else { return };
        let (pool, why) = (in_flight.pool(), failure.reason());
        let why = format!("{} failures in a row, the last: {why}", health.max_fails);
        let Some(out) = pool.eject(backend, health, why.clone(), Instant::now()) else { return };
        self.target.series.ejected(pool.color(), backend.addr().to_string());
        let (service, color, backend) = (&self.settings.name, pool.color_label(), backend.name());
        tracing::warn!(service = %service, color, backend = %backend, ?out, why, "backend ejected");
    }

    fn count_failure(&self, failure: Failure) {
        self.target.series.failed(self.exchange.progress.color(), failure.reason());
    }

    /// Why the client's own body has ended the try, if it has.
    fn upload_failure(&self) -> Option<Failure> {
        self.exchange.progress.upload.as_ref().and_then(|upload| upload.failure())
    }
}

fn reset_reason(error: &hyper::Error) -> Failure {
    if error.is_parse_too_large() {
        Failure::UpstreamHeadTooLarge
    } else if error.is_parse() {
        Failure::UpstreamInvalid
    } else {
        Failure::UpstreamReset
    }
}
