//! The end of a server: what it is asked goes to its answer, and nothing new is taken.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Ends a server. Without it, a server answers until it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Closing {
    pub(super) asked: CancellationToken,
    pub(super) open: TaskTracker,
}

impl Closing {
    /// Closes what is idle, and waits until the requests that run have their answers.
    pub async fn close(&self, limit: Duration) {
        self.asked.cancel();
        self.open.close();
        let _ = tokio::time::timeout(limit, self.open.wait()).await;
    }
}
