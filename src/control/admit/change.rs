//! A change that moves no traffic, and its record.

use crate::control::messages::{Done, OperationRefused, OperationResult};
use crate::control::plane::Operation;
use crate::service::Active;
use crate::types::Color;

impl Operation {
    /// Changes what serves. `color` is the colour that the change is about, if that is not the one that serves.
    pub(super) async fn set(
        &self,
        color: Option<Color>,
        result: OperationResult,
        next: impl FnOnce(&Active) -> Active,
    ) -> Result<Done, OperationRefused> {
        let checked = |now: &Active| {
            self.check_generation(now)?;
            Ok(next(now))
        };
        let (before, after) = self.plane.change(&self.service, checked).await?;
        self.ledger(|ledger| ledger.renumbered(before.generation, after.generation));
        let about = color.unwrap_or(after.color);
        let done = Done { result, ..Done::unchanged(self.name(), after.color, about, after.generation) };
        self.note_set(&done, before.generation);
        Ok(done)
    }

    /// For an operation that has nothing to do.
    pub(super) fn unchanged(&self) -> Result<Done, OperationRefused> {
        let now = self.service.active();
        self.check_generation(&now)?;
        Ok(Done::unchanged(self.name(), now.color, now.color, now.generation))
    }
}
