//! A change that moves no traffic, and its record.

use crate::control::messages::{OperationDone, OperationRefused, OperationResult};
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
    ) -> Result<OperationDone, OperationRefused> {
        let checked = |now: &Active| {
            self.check_generation(now)?;
            Ok(next(now))
        };
        let (before, after) = self.plane.change(&self.service, checked).await?;
        self.ledger(|ledger| ledger.renumbered(before.generation, after.generation));
        let about = color.unwrap_or(after.color);
        let done = OperationDone { result, ..self.as_it_is(&after, about) };
        self.note_set(&done, before.generation);
        Ok(done)
    }

    /// For an operation that has nothing to do.
    pub(super) fn unchanged(&self) -> Result<OperationDone, OperationRefused> {
        let now = self.service.active();
        self.check_generation(&now)?;
        Ok(self.as_it_is(&now, now.color))
    }

    /// A service with one pool has no colour to tell.
    fn as_it_is(&self, now: &Active, about: Color) -> OperationDone {
        let done = OperationDone::unchanged(self.name(), now.color, about, now.generation);
        if self.service.is_colored() { done } else { OperationDone { from: None, to: None, ..done } }
    }
}
