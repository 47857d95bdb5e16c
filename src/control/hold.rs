//! What is done to new requests without moving them: pause, resume, maintenance; and preview links made known.
//!
//! None of it needs a hold: each is one change of what serves, and a switch that runs beside keeps it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;

use super::operation::{Done, Event, Refused, Request};
use super::operator::{Events, Operator};
use super::plan;
use crate::service::{Active, Maintenance, Pause, Service};
use crate::types::Color;

/// How often the count of what is in flight is looked at.
const LOOK: Duration = Duration::from_millis(20);

impl Operator {
    /// New requests are held from here on; returns when none is in flight any more, tunnels aside, or `timeout` (else the
    /// service's `switch.drain`) has passed: then `in_flight` says how many still are, and the pause stays.
    pub(super) async fn pause(
        self: &Rc<Self>,
        service: &Arc<Service>,
        max: Duration,
        request: &Request,
        events: &Events,
    ) -> Result<Done, Refused> {
        let pause = Pause { max, since: SystemTime::now() };
        let mut done = self
            .set(service, request, None, "paused", |now| {
                let since = now.paused.map_or(pause.since, |already| already.since);
                Active { paused: Some(Pause { since, ..pause }), ..now.clone() }
            })
            .await?;
        let _ = events.send(Event::Pausing { in_flight: in_flight(service) });
        let limit = request.options.timeout.unwrap_or(service.config().switch.drain);
        let until = Instant::now() + limit;
        let mut zeros = 0;
        while zeros < 2 && Instant::now() < until && service.active().paused.is_some() {
            zeros = if in_flight(service) == 0 { zeros + 1 } else { 0 };
            tokio::time::sleep(LOOK).await;
        }
        done.in_flight = Some(in_flight(service));
        if service.active().paused.is_none() {
            "resumed".clone_into(&mut done.result);
        }
        Ok(done)
    }

    /// Who was held goes on, in the order in which they came.
    pub(super) async fn resume(self: &Rc<Self>, service: &Arc<Service>, request: &Request) -> Result<Done, Refused> {
        if service.active().paused.is_none() {
            return self.unchanged(service, request);
        }
        let done = self.set(service, request, None, "resumed", |now| Active { paused: None, ..now.clone() }).await?;
        service.let_go();
        Ok(done)
    }

    pub(super) async fn maintenance_on(
        self: &Rc<Self>,
        service: &Arc<Service>,
        message: Option<String>,
        allow: Vec<IpNet>,
        request: &Request,
    ) -> Result<Done, Refused> {
        let maintenance = Arc::new(Maintenance { message, allow, since: SystemTime::now() });
        let done = self
            .set(service, request, None, "maintenance-on", |now| Active {
                maintenance: Some(maintenance),
                ..now.clone()
            })
            .await?;
        // Who was held is told at once.
        service.let_go();
        Ok(done)
    }

    pub(super) async fn maintenance_off(
        self: &Rc<Self>,
        service: &Arc<Service>,
        request: &Request,
    ) -> Result<Done, Refused> {
        if service.active().maintenance.is_none() {
            return self.unchanged(service, request);
        }
        self.set(service, request, None, "maintenance-off", |now| Active { maintenance: None, ..now.clone() }).await
    }

    /// From here on requests are looked at for preview tokens, until the last of them has expired.
    pub(super) async fn preview(
        self: &Rc<Self>,
        service: &Arc<Service>,
        color: Color,
        until: SystemTime,
        request: &Request,
    ) -> Result<Done, Refused> {
        self.set(service, request, Some(color), "preview", |now| Active {
            preview_until: Some(now.preview_until.map_or(until, |already| already.max(until))),
            ..now.clone()
        })
        .await
    }

    fn unchanged(&self, service: &Service, request: &Request) -> Result<Done, Refused> {
        let now = service.active();
        plan::check_generation(service.name(), &now, request.if_generation)?;
        Ok(Done::unchanged(service.name(), now.color, now.color, now.generation))
    }

    /// `color`: what it is about, if not the one that serves.
    async fn set(
        &self,
        service: &Arc<Service>,
        request: &Request,
        color: Option<Color>,
        result: &str,
        next: impl FnOnce(&Active) -> Active,
    ) -> Result<Done, Refused> {
        let checked = |now: &Active| {
            plan::check_generation(service.name(), now, request.if_generation)?;
            Ok::<_, Refused>(next(now))
        };
        let (before, after) = self.change(service, checked).await?;
        self.ledger(service, |ledger| ledger.renumbered(before.generation, after.generation));
        let about = color.unwrap_or(after.color);
        let mut done = Done::unchanged(service.name(), after.color, about, after.generation);
        result.clone_into(&mut done.result);
        tracing::info!(service = %service.name(), generation = after.generation, "{result}");
        self.note_done(request, &done, before.generation);
        Ok(done)
    }
}

fn in_flight(service: &Service) -> usize {
    service.pools().map(|pool| pool.requests()).sum()
}
