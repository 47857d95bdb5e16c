//! Steps before the flip: a growing share of the clients goes to the new colour, each step under the watch's eyes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::drain::Draining;
use super::ledger::{Entry, Ledger};
use super::operation::{Done, Event, Refused, Request, Verdict, Word};
use super::operator::{Events, Operator};
use super::plan;
use super::watch::Subject;
use crate::service::{Active, Service};
use crate::types::Color;

/// How long a step is watched unless said otherwise.
const STEP_TIME: Duration = Duration::from_secs(30);

/// A rollout that a watch has ended: nobody goes to the new colour any more.
pub(super) struct Stopped {
    pub verdict: Verdict,
    pub generation: u64,
    pub draining: Draining,
}

impl Operator {
    /// Step by step; answers the course that has come to its top, or what has stopped it. Anyone else's change of the
    /// traffic ends it where it is, as overtaken.
    pub(super) async fn climb(
        self: &Rc<Self>,
        service: &Arc<Service>,
        to: Color,
        request: &Request,
        events: &Events,
    ) -> Result<Result<Entry, Stopped>, Refused> {
        let from = service.active().color;
        let step_time = request.options.step_time.unwrap_or(STEP_TIME);
        let bounds = Self::bounds(service, self.recent_p95(service, from));
        let course = self.ledger(service, Ledger::begin_course);
        for percent in &request.options.steps {
            let step = |now: &Active| {
                self.still_on(service, Some(course))?;
                plan::canary(service.name(), now, to, *percent)
            };
            let (after, _) = self.move_traffic(service, Some(course), step).await?;
            let generation = after.generation;
            let stepped = Done {
                result: "canary".to_owned(),
                percent: Some(*percent),
                ..Done::unchanged(service.name(), from, to, generation)
            };
            self.note_done(request, &stepped, generation - 1);
            let _ = events.send(Event::Canary { color: to, percent: *percent, generation });
            let before = self.totals(service, to);
            let subject = Subject { color: to, generation, course, length: step_time };
            let verdict = self.watch(service, &subject, &bounds, &before).await;
            let _ = events.send(Event::Watched(verdict.clone()));
            match verdict.verdict {
                Word::Ended => return Err(overtaken(service)),
                Word::RolledBack => return self.climb_down(service, verdict, course, request, events).await.map(Err),
                _ => {}
            }
        }
        Ok(Ok(course))
    }

    async fn climb_down(
        self: &Rc<Self>,
        service: &Arc<Service>,
        verdict: Verdict,
        course: Entry,
        request: &Request,
        events: &Events,
    ) -> Result<Stopped, Refused> {
        let off = |now: &Active| {
            self.still_on(service, Some(course))?;
            Ok(plan::no_canary(now))
        };
        let (after, _) = self.move_traffic(service, Some(course), off).await?;
        self.ledger(service, |ledger| ledger.end_course(course));
        tracing::error!(service = %service.name(), color = %verdict.color, why = verdict.why, "ROLLED BACK by the watch");
        self.note_verdict(service, request, after.color, &verdict);
        let draining = self.start_drain(service, verdict.color, request, events);
        Ok(Stopped { verdict, generation: after.generation, draining })
    }
}

fn overtaken(service: &Service) -> Refused {
    Refused::Overtaken { service: service.name().to_string(), present: service.active().generation }
}
