//! A switch from its gate to its answer: gate, steps, flip, then the watch and the drain.

use std::time::SystemTime;

use super::steps::StepsStopped;
use crate::control::drain::Draining;
use crate::control::messages::{
    Goal, OperationDone, OperationEvent, OperationRefused, OperationResult, VerdictKind, WatchVerdict, micros,
};
use crate::control::moves::{LedgerEntry, plan};
use crate::control::plane::{Operation, SwitchPhase, SwitchResult};
use crate::control::watch::Watching;
use crate::service::{Active, Canary};
use crate::types::Color;

impl Operation {
    /// A switch or a rollback.
    pub async fn switch(&self) -> Result<OperationDone, OperationRefused> {
        let hold = self.hold_gate()?;
        let before = self.service.active();
        self.check_generation(&before)?;
        let to = self.target(&before)?;
        let mut done = OperationDone::unchanged(self.name(), before.color, to, before.generation);
        if to == before.color {
            done.percent = before.canary.map(|canary| canary.percent);
            return Ok(done);
        }
        let options = &self.request.options;
        if !options.force {
            done.gate_ms = Some(self.pass_gate(to).await?);
        }
        let left = |refused| self.left_at_step(&before, refused);
        let (mut course, mut last_step) = (None, None);
        if !options.steps.is_empty() {
            match self.take_steps(to).await.map_err(left)? {
                Ok(passed) => (course, last_step) = (Some(passed.course), passed.verdict),
                Err(stopped) => return Ok(self.end_of_steps(done, stopped).await),
            }
        }
        done.result = if options.force { OperationResult::Forced } else { OperationResult::Switched };
        let baseline = self.baseline(before.color);
        let flipped = self.flip(&mut done, before.color, to, course).await;
        if let Some(course) = course {
            self.ledger(|ledger| ledger.end_course(course));
        }
        flipped.map_err(left)?;
        self.note_switch(&done, before.generation, self.watch_length());
        let draining = self.start_drain(before.color);
        let watching = self.start_watch(before.color, to, done.generation, baseline);
        drop(hold);
        if watching.is_none() {
            self.judge_by_last_step(&mut done, last_step);
        }
        if options.wait {
            self.wait_out(&mut done, watching, draining).await;
        }
        Ok(done)
    }

    /// Passes the gate and changes nothing.
    pub async fn gate_only(&self, color: Color) -> Result<OperationDone, OperationRefused> {
        let gate_ms = Some(self.pass_gate(color).await?);
        let active = self.service.active();
        let unchanged = OperationDone::unchanged(self.name(), active.color, color, active.generation);
        Ok(OperationDone { result: OperationResult::Ready, gate_ms, ..unchanged })
    }

    /// The colour to switch to. A rollback is refused if the watch has just taken the traffic back, which it would undo, and if
    /// the previous colour is one that was rolled back from.
    fn target(&self, before: &Active) -> Result<Color, OperationRefused> {
        if let Goal::To(color) = self.request.goal {
            return Ok(color);
        }
        let (service, present) = (self.name().to_owned(), before.generation);
        if self.request.options.anyway {
            return before.previous.ok_or(OperationRefused::NoPrevious { service });
        }
        if self.ledger(|ledger| ledger.is_taken_back(present)) {
            return Err(OperationRefused::TakenBack { service, color: before.color, present });
        }
        match (before.previous, before.rolled_back) {
            (Some(color), Some(at)) => Err(OperationRefused::RolledBackFrom { service, color, at: at.into() }),
            (previous, _) => previous.ok_or(OperationRefused::NoPrevious { service }),
        }
    }

    /// The flip itself; its figures go into `done`.
    async fn flip(
        &self,
        done: &mut OperationDone,
        from: Color,
        to: Color,
        course: Option<LedgerEntry>,
    ) -> Result<(), OperationRefused> {
        let flip = |now: &Active| {
            match course {
                Some(course) => self.check_course(course)?,
                None => self.check_generation(now)?,
            }
            match self.request.goal {
                Goal::Previous => plan::flip_back(self.name(), now, from, to, SystemTime::now()),
                _ => plan::flip(self.name(), now, from, to, SystemTime::now()),
            }
        };
        let (after, took) = self.plane.move_traffic(&self.service, course, flip).await?;
        let generation = after.generation;
        done.generation = generation;
        done.flip_us = Some(micros(took));
        self.plane.count_phase(&self.service, SwitchPhase::Flip, took);
        tracing::info!(service = %self.name(), %from, %to, generation, "switched");
        self.tell(OperationEvent::Flipped { from, to, generation, took_us: micros(took) });
        Ok(())
    }

    /// For a caller that waits: the watch's verdict, and how the colour without traffic has drained.
    async fn wait_out(&self, done: &mut OperationDone, watching: Option<Watching>, draining: Draining) {
        let mut draining = draining;
        if let Some(watching) = watching
            && let Some(watched) = watching.ended().await
        {
            self.tell(OperationEvent::Watched(watched.verdict.clone()));
            done.judge(watched.verdict);
            if let Some(back) = watched.rolled_back {
                done.generation = back.generation;
                draining = back.draining;
            }
        }
        done.drain = Some(self.tell_drained(draining).await);
    }

    /// If no watch follows the flip, the verdict on the last step is the verdict on the switch.
    fn judge_by_last_step(&self, done: &mut OperationDone, last: Option<WatchVerdict>) {
        let Some(verdict) = last else { return };
        if verdict.kind == VerdictKind::Inconclusive {
            self.plane.count_result(&done.service, SwitchResult::Inconclusive);
        }
        done.judge(verdict);
    }

    /// A watch has stopped the rollout before the flip.
    async fn end_of_steps(&self, mut done: OperationDone, stopped: StepsStopped) -> OperationDone {
        done.generation = stopped.generation;
        done.judge(stopped.verdict);
        if self.request.options.wait {
            done.drain = Some(self.tell_drained(stopped.draining).await);
        }
        done
    }

    /// If the disk is full in the middle of a rollout, or the daemon leaves, the share of its last step stays.
    fn left_at_step(&self, before: &Active, refused: OperationRefused) -> OperationRefused {
        let canary = self.service.active().canary.filter(|canary| before.canary != Some(*canary));
        match (refused, canary) {
            (OperationRefused::NotDurable { error }, Some(Canary { color, percent, .. })) => {
                OperationRefused::StuckAtStep { service: self.name().to_owned(), color, percent, error }
            }
            (OperationRefused::ShuttingDown, Some(Canary { color, percent, .. })) => {
                OperationRefused::ShuttingDownAtStep { service: self.name().to_owned(), color, percent }
            }
            (refused, _) => refused,
        }
    }
}
