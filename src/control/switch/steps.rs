//! Steps before the flip: a growing share of the clients goes to the new colour, and each step is watched.

use std::time::Duration;

use crate::control::drain::Draining;
use crate::control::messages::{
    OperationDone, OperationEvent, OperationRefused, OperationResult, VerdictKind, WatchVerdict,
};
use crate::control::moves::{LedgerEntry, TrafficLedger, plan};
use crate::control::plane::Operation;
use crate::control::watch::{Bounds, Watch};
use crate::service::Active;
use crate::types::Color;

/// How long a step is watched unless the request says otherwise.
const STEP_TIME: Duration = Duration::from_secs(30);

/// A rollout that has passed its last step, and the verdict on that step.
pub struct StepsPassed {
    pub course: LedgerEntry,
    pub verdict: Option<WatchVerdict>,
}

/// A rollout that a watch has ended: no client goes to the new colour any more.
pub struct StepsStopped {
    pub verdict: WatchVerdict,
    pub generation: u64,
    pub draining: Draining,
}

impl Operation {
    /// Takes all steps. The inner result is the course that has passed them, or what has stopped it. If another operation moves
    /// the traffic, the rollout ends where it is and is refused as overtaken.
    pub async fn take_steps(&self, to: Color) -> Result<Result<StepsPassed, StepsStopped>, OperationRefused> {
        let course = self.ledger(TrafficLedger::begin_course);
        let taken = self.steps(to, course).await;
        if !matches!(taken, Ok(Ok(_))) {
            self.ledger(|ledger| ledger.end_course(course));
        }
        Ok(taken?.map(|verdict| StepsPassed { course, verdict }))
    }

    async fn steps(
        &self,
        to: Color,
        course: LedgerEntry,
    ) -> Result<Result<Option<WatchVerdict>, StepsStopped>, OperationRefused> {
        let mut last = None;
        let length = self.request.options.step_time.unwrap_or(STEP_TIME);
        let baseline = self.baseline(self.service.active().color);
        let bounds = Bounds::new(&self.service.config().switch, baseline, length);
        for (number, percent) in self.request.options.steps.iter().enumerate() {
            let after = self.step(to, course, *percent, number == 0).await?;
            let generation = after.generation;
            let before = self.plane.totals(&self.service, to);
            let watch = Watch { color: to, generation, course, length, before };
            let verdict = self.watch(&watch, &bounds).await;
            self.tell(OperationEvent::Watched(verdict.clone()));
            match verdict.kind {
                VerdictKind::Ended => return Err(self.overtaken()),
                VerdictKind::RolledBack => return self.step_back(verdict, course).await.map(Err),
                _ => self.note_watch(after.color, &verdict),
            }
            last = Some(verdict);
        }
        Ok(Ok(last))
    }

    /// Gives `percent` of the clients to `to`.
    async fn step(
        &self,
        to: Color,
        course: LedgerEntry,
        percent: u8,
        is_first: bool,
    ) -> Result<Active, OperationRefused> {
        let mut before = 0;
        let step = |now: &Active| {
            before = now.generation;
            if is_first {
                self.check_generation(now)?;
            }
            // Checked under the writer's lock: another operation may have moved the traffic while this one waited for it.
            self.check_course(course)?;
            plan::canary(self.name(), now, to, percent)
        };
        let (after, _) = self.plane.move_traffic(&self.service, Some(course), step).await?;
        let generation = after.generation;
        let stepped = OperationDone {
            result: OperationResult::Canary,
            percent: Some(percent),
            ..OperationDone::unchanged(self.name(), after.color, to, generation)
        };
        self.note_done(&stepped, before);
        self.tell(OperationEvent::Canary { color: to, percent, generation });
        Ok(after)
    }

    /// Takes every client back.
    async fn step_back(
        &self,
        mut verdict: WatchVerdict,
        course: LedgerEntry,
    ) -> Result<StepsStopped, OperationRefused> {
        let off = |now: &Active| {
            self.check_course(course)?;
            Ok(plan::no_canary(now))
        };
        let moved = self.plane.move_traffic(&self.service, Some(course), off).await;
        if let Err(refused) = &moved {
            verdict.fail_to_roll_back(refused);
            self.note_verdict(self.service.active().color, &verdict);
        }
        let (after, _) = moved?;
        self.ledger(|ledger| ledger.took_back(after.generation));
        tracing::error!(service = %self.name(), color = %verdict.color, why = verdict.why, "ROLLED BACK by the watch");
        self.note_verdict(after.color, &verdict);
        let draining = self.start_drain(verdict.color);
        Ok(StepsStopped { verdict, generation: after.generation, draining })
    }
}
