//! Preview links: makes the daemon look for their tokens. The links themselves are signed by the admin socket.

use std::time::SystemTime;

use crate::control::messages::{OperationDone, OperationRefused, OperationResult};
use crate::control::plane::Operation;
use crate::service::Active;
use crate::types::Color;

impl Operation {
    /// From here on requests are checked for preview tokens, until the last link has expired.
    pub async fn preview(&self, color: Color, until: SystemTime) -> Result<OperationDone, OperationRefused> {
        self.set(Some(color), OperationResult::Preview, |now| Active {
            preview_until: Some(now.preview_until.map_or(until, |already| already.max(until))),
            ..now.clone()
        })
        .await
    }
}
