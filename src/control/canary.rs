//! A canary by hand: a share of the clients for as long as the operator likes.

use std::rc::Rc;
use std::sync::Arc;

use super::operation::{Done, Event, Refused, Request};
use super::operator::{Events, Operator};
use super::plan;
use crate::service::{Active, Service};
use crate::types::Color;

impl Operator {
    /// A gate guards the start; another share for a canary that runs needs none.
    pub(super) async fn canary(
        self: &Rc<Self>,
        service: &Arc<Service>,
        color: Color,
        percent: u8,
        request: &Request,
        events: &Events,
    ) -> Result<Done, Refused> {
        let hold = self.hold(service, &request.actor)?;
        let before = service.active();
        plan::check_generation(service.name(), &before, request.if_generation)?;
        plan::canary(service.name(), &before, color, percent)?;
        let mut done = Done::unchanged(service.name(), before.color, color, before.generation);
        if before.canary.is_none() {
            done.gate_ms = Some(self.gate(service, color, request, events).await?);
        }
        let begin = |now: &Active| {
            plan::check_generation(service.name(), now, request.if_generation)?;
            plan::canary(service.name(), now, color, percent)
        };
        let (after, _) = self.move_traffic(service, None, begin).await?;
        drop(hold);
        "canary".clone_into(&mut done.result);
        done.percent = Some(percent);
        done.generation = after.generation;
        let _ = events.send(Event::Canary { color, percent, generation: after.generation });
        self.note_done(request, &done, before.generation);
        Ok(done)
    }

    /// Every client goes to the colour that serves; what is in flight on the other one drains. Needs no hold: it is the way
    /// back, and never waits for the way there.
    pub(super) async fn canary_off(
        self: &Rc<Self>,
        service: &Arc<Service>,
        request: &Request,
        events: &Events,
    ) -> Result<Done, Refused> {
        let before = service.active();
        plan::check_generation(service.name(), &before, request.if_generation)?;
        let Some(canary) = before.canary else {
            return Ok(Done::unchanged(service.name(), before.color, before.color, before.generation));
        };
        let mut done = Done::unchanged(service.name(), canary.color, before.color, before.generation);
        let off = |now: &Active| {
            plan::check_generation(service.name(), now, request.if_generation)?;
            if now.canary.is_none() {
                return Err(Refused::Overtaken { service: service.name().to_string(), present: now.generation });
            }
            Ok(plan::no_canary(now))
        };
        let (after, _) = self.move_traffic(service, None, off).await?;
        "canary-off".clone_into(&mut done.result);
        done.generation = after.generation;
        self.note_done(request, &done, before.generation);
        let draining = self.start_drain(service, canary.color, request, events);
        if request.options.wait {
            let report = draining.ended().await;
            let _ = events.send(Event::Drained(report.clone()));
            done.drain = Some(report);
        }
        Ok(done)
    }
}
