//! A switch from its gate to its last word: gate, steps, flip, then the watch and the drain.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::drain::Draining;
use super::ledger::Entry;
use super::operation::{Done, Event, Goal, Refused, Request, Verdict, Word};
use super::operator::{Events, Operator};
use super::plan;
use super::watch::{Watching, watch_length};
use crate::service::{Active, Canary, Service};
use crate::types::Color;

impl Operator {
    pub(super) async fn switch(
        self: &Rc<Self>,
        service: &Arc<Service>,
        request: &Request,
        events: &Events,
    ) -> Result<Done, Refused> {
        let hold = self.hold(service, &request.actor)?;
        let before = service.active();
        plan::check_generation(service.name(), &before, request.if_generation)?;
        let to = self.target(service, &before, request)?;
        let mut done = Done::unchanged(service.name(), before.color, to, before.generation);
        if to == before.color {
            done.percent = before.canary.map(|canary| canary.percent);
            return Ok(done);
        }
        if !request.options.force {
            done.gate_ms = Some(self.gate(service, to, request, events).await?);
        }
        let left = |refused| what_is_left(service, &before, refused);
        let (mut course, mut last_step) = (None, None);
        if !request.options.steps.is_empty() {
            match self.climb(service, to, request, events).await.map_err(left)? {
                Ok(top) => (course, last_step) = (Some(top.course), top.verdict),
                Err(stopped) => return Ok(self.end_of_steps(done, stopped, request, events).await),
            }
        }
        if request.options.force { "forced" } else { "switched" }.clone_into(&mut done.result);
        let baseline = self.baseline(service, before.color);
        let flipped = self.flip(service, &mut done, course, request, events).await;
        if let Some(course) = course {
            self.ledger(service, |ledger| ledger.end_course(course));
        }
        flipped.map_err(left)?;
        self.note_switch(request, &done, before.generation, watch_length(service, request));
        let draining = self.start_drain(service, before.color, request, events);
        let watching = self.start_watch(service, &done, baseline, request, events);
        drop(hold);
        if watching.is_none() {
            self.judge_by_last_step(&mut done, last_step);
        }
        if request.options.wait {
            self.wait_out(&mut done, watching, draining, events).await;
        }
        Ok(done)
    }

    /// The flip itself, and its figures into `done`.
    pub(super) async fn flip(
        &self,
        service: &Arc<Service>,
        done: &mut Done,
        course: Option<Entry>,
        request: &Request,
        events: &Events,
    ) -> Result<(), Refused> {
        let (from, to) = (done.from, done.to);
        let flip = |now: &Active| {
            match course {
                Some(course) => self.still_on(service, course)?,
                None => plan::check_generation(service.name(), now, request.if_generation)?,
            }
            plan::flip(service.name(), now, from, to, SystemTime::now())
        };
        let (after, took) = self.move_traffic(service, course, flip).await?;
        done.generation = after.generation;
        done.flip_us = Some(micros(took));
        self.shared.metrics.service(service.name()).phase("flip", took);
        tracing::info!(service = %service.name(), %from, %to, generation = after.generation, "switched");
        let _ = events.send(Event::Flipped { from, to, generation: after.generation, took_us: micros(took) });
        Ok(())
    }

    /// What a caller who waits is told: the watch's verdict, and how what is left without traffic has drained.
    async fn wait_out(&self, done: &mut Done, watching: Option<Watching>, draining: Draining, events: &Events) {
        let mut draining = draining;
        if let Some(watching) = watching
            && let Some(watched) = watching.ended().await
        {
            let _ = events.send(Event::Watched(watched.verdict.clone()));
            done.judge(watched.verdict);
            if let Some(back) = watched.rolled_back {
                done.generation = back.generation;
                draining = back.draining;
            }
        }
        let report = draining.ended().await;
        let _ = events.send(Event::Drained(report.clone()));
        done.drain = Some(report);
    }

    /// Where no watch follows, what the last step has shown is the whole verdict.
    fn judge_by_last_step(&self, done: &mut Done, last: Option<Verdict>) {
        let Some(verdict) = last else { return };
        if verdict.verdict == Word::Inconclusive {
            self.shared.metrics.service(&done.service).switched("inconclusive");
        }
        done.judge(verdict);
    }

    /// A rollout that its watch has stopped before the flip.
    async fn end_of_steps(
        &self,
        mut done: Done,
        stopped: super::rollout::Stopped,
        request: &Request,
        events: &Events,
    ) -> Done {
        done.generation = stopped.generation;
        done.judge(stopped.verdict);
        if request.options.wait {
            let report = stopped.draining.ended().await;
            let _ = events.send(Event::Drained(report.clone()));
            done.drain = Some(report);
        }
        done
    }
}

impl Done {
    /// The watch's word becomes the result's.
    fn judge(&mut self, verdict: Verdict) {
        match verdict.verdict {
            Word::Inconclusive => "inconclusive".clone_into(&mut self.result),
            Word::RolledBack => "rolled-back".clone_into(&mut self.result),
            Word::Passed | Word::Failed | Word::Ended => {}
        }
        self.verdict = Some(verdict);
    }
}

impl Operator {
    /// Where it goes. Who calls for a rollback while a watch does it by itself means the same one, not the way there again.
    fn target(&self, service: &Service, before: &Active, request: &Request) -> Result<Color, Refused> {
        if let Goal::To(color) = request.goal {
            return Ok(color);
        }
        let (name, present) = (service.name().to_string(), before.generation);
        if self.ledger(service, |ledger| ledger.is_taken_back(present)) {
            return Err(Refused::TakenBack { service: name, color: before.color, present });
        }
        before.previous.ok_or(Refused::NoPrevious { service: name })
    }
}

/// A disk that takes no more in the middle of a rollout leaves the share of its last step.
fn what_is_left(service: &Service, before: &Active, refused: Refused) -> Refused {
    let canary = service.active().canary.filter(|canary| before.canary != Some(*canary));
    match (refused, canary) {
        (Refused::NotDurable { error }, Some(Canary { color, percent, .. })) => {
            Refused::StuckAtStep { service: service.name().to_string(), color, percent, error }
        }
        (refused, _) => refused,
    }
}

pub(super) fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}
