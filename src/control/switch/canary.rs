//! A canary by hand: a share of the clients goes to the other colour, for as long as the operator likes.

use crate::control::messages::{OperationDone, OperationEvent, OperationRefused, OperationResult};
use crate::control::moves::plan;
use crate::control::plane::Operation;
use crate::service::Active;
use crate::types::Color;

impl Operation {
    /// Starts a canary, which takes a gate, or gives a running one another share, which takes none.
    pub async fn canary(&self, color: Color, percent: u8) -> Result<OperationDone, OperationRefused> {
        let hold = self.hold_gate()?;
        let before = self.service.active();
        self.check_generation(&before)?;
        plan::canary(self.name(), &before, color, percent)?;
        let mut done = OperationDone::unchanged(self.name(), before.color, color, before.generation);
        if before.canary.is_none() {
            done.gate_ms = Some(self.pass_gate(color).await?);
        }
        let begin = |now: &Active| {
            self.check_generation(now)?;
            plan::canary(self.name(), now, color, percent)
        };
        let (after, _) = self.plane.move_traffic(&self.service, None, begin).await?;
        drop(hold);
        done.result = OperationResult::Canary;
        done.percent = Some(percent);
        done.generation = after.generation;
        self.tell(OperationEvent::Canary { color, percent, generation: after.generation });
        self.note_done(&done, before.generation);
        Ok(done)
    }

    /// Every client goes to the colour that serves, and the other colour drains. It is the way back, so it takes no hold and
    /// never waits for another operation.
    pub async fn canary_off(&self) -> Result<OperationDone, OperationRefused> {
        let before = self.service.active();
        self.check_generation(&before)?;
        let Some(canary) = before.canary else {
            return Ok(OperationDone::unchanged(self.name(), before.color, before.color, before.generation));
        };
        let mut done = OperationDone::unchanged(self.name(), canary.color, before.color, before.generation);
        let off = |now: &Active| {
            self.check_generation(now)?;
            if now.canary.is_none() {
                return Err(OperationRefused::Overtaken { service: self.name().to_owned(), present: now.generation });
            }
            Ok(plan::no_canary(now))
        };
        let (after, _) = self.plane.move_traffic(&self.service, None, off).await?;
        done.result = OperationResult::CanaryOff;
        done.generation = after.generation;
        self.note_done(&done, before.generation);
        let draining = self.start_drain(canary.color);
        if self.request.options.wait {
            done.drain = Some(self.tell_drained(draining).await);
        }
        Ok(done)
    }
}
