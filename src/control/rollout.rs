//! Steps before the flip: a growing share of the clients goes to the new colour, each step under the watch's eyes.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::drain::Draining;
use super::ledger::{Entry, Ledger};
use super::operation::{Done, Event, Refused, Request, Verdict, Word};
use super::operator::{Events, Operator};
use super::plan;
use super::verdict::Bounds;
use super::watch::Subject;
use crate::service::{Active, Service};
use crate::types::Color;

/// How long a step is watched unless said otherwise.
const STEP_TIME: Duration = Duration::from_secs(30);

/// A rollout at its top: what its last step has shown.
pub(super) struct Top {
    pub course: Entry,
    pub verdict: Option<Verdict>,
}

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
    ) -> Result<Result<Top, Stopped>, Refused> {
        let course = self.ledger(service, Ledger::begin_course);
        let climbed = self.steps(service, to, course, request, events).await;
        if !matches!(climbed, Ok(Ok(_))) {
            self.ledger(service, |ledger| ledger.end_course(course));
        }
        Ok(climbed?.map(|verdict| Top { course, verdict }))
    }

    async fn steps(
        self: &Rc<Self>,
        service: &Arc<Service>,
        to: Color,
        course: Entry,
        request: &Request,
        events: &Events,
    ) -> Result<Result<Option<Verdict>, Stopped>, Refused> {
        let mut last = None;
        let step_time = request.options.step_time.unwrap_or(STEP_TIME);
        let bounds = Bounds::new(&service.config().switch, self.baseline(service, service.active().color), step_time);
        for (number, percent) in request.options.steps.iter().enumerate() {
            let mut before = 0;
            let step = |now: &Active| {
                before = now.generation;
                if number == 0 {
                    plan::check_generation(service.name(), now, request.if_generation)?;
                }
                // Asked where it is decided: the wait for the disk's lock was long enough for someone else.
                self.still_on(service, course)?;
                plan::canary(service.name(), now, to, *percent)
            };
            let (after, _) = self.move_traffic(service, Some(course), step).await?;
            let generation = after.generation;
            let stepped = Done {
                result: "canary".to_owned(),
                percent: Some(*percent),
                ..Done::unchanged(service.name(), after.color, to, generation)
            };
            self.note_done(request, &stepped, before);
            let _ = events.send(Event::Canary { color: to, percent: *percent, generation });
            let before = self.totals(service, to);
            let subject = Subject { color: to, generation, course, length: step_time };
            let verdict = self.watch(service, &subject, &bounds, &before).await;
            let _ = events.send(Event::Watched(verdict.clone()));
            match verdict.verdict {
                Word::Ended => return Err(overtaken(service)),
                Word::RolledBack => return self.climb_down(service, verdict, course, request, events).await.map(Err),
                _ => self.note_watch(service, request, after.color, &verdict),
            }
            last = Some(verdict);
        }
        Ok(Ok(last))
    }

    async fn climb_down(
        self: &Rc<Self>,
        service: &Arc<Service>,
        mut verdict: Verdict,
        course: Entry,
        request: &Request,
        events: &Events,
    ) -> Result<Stopped, Refused> {
        let off = |now: &Active| {
            self.still_on(service, course)?;
            Ok(plan::no_canary(now))
        };
        let moved = self.move_traffic(service, Some(course), off).await;
        if let Err(refused) = &moved {
            verdict.verdict = Word::Failed;
            verdict.why = format!("{}; not rolled back: {refused}", verdict.why);
            self.note_verdict(service, request, service.active().color, &verdict);
        }
        let (after, _) = moved?;
        self.ledger(service, |ledger| ledger.took_back(after.generation));
        tracing::error!(service = %service.name(), color = %verdict.color, why = verdict.why, "ROLLED BACK by the watch");
        self.note_verdict(service, request, after.color, &verdict);
        let draining = self.start_drain(service, verdict.color, request, events);
        Ok(Stopped { verdict, generation: after.generation, draining })
    }
}

impl Operator {
    /// Whether a course may go on; refused when anyone else has moved the traffic.
    pub(super) fn still_on(&self, service: &Service, course: Entry) -> Result<(), Refused> {
        let is_on = self.ledger(service, |ledger| ledger.is_on(course));
        if is_on { Ok(()) } else { Err(overtaken(service)) }
    }
}

fn overtaken(service: &Service) -> Refused {
    Refused::Overtaken { service: service.name().to_string(), present: service.active().generation }
}
