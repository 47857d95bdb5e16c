//! Being in flight: a guard from the moment an exchange enters a pool until its last byte, or its tunnel's end.

use std::sync::Arc;

use super::{Backend, Pool};

/// Counts one exchange in its pool and, once chosen, on its backend. Leaves both by drop, whatever ended the exchange:
/// an aborted task can't be missed.
#[derive(Debug)]
pub struct InFlight {
    pool: Arc<Pool>,
    backend: Option<Arc<Backend>>,
}

impl InFlight {
    pub(super) fn enter(pool: &Arc<Pool>) -> Self {
        pool.count_in();
        Self { pool: pool.clone(), backend: None }
    }

    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub fn backend(&self) -> Option<&Arc<Backend>> {
        self.backend.as_ref()
    }

    /// Moves the exchange to a backend, unless `max` are inside already (0: no bound); a retry replaces the one before.
    pub fn assign(&mut self, backend: &Arc<Backend>, max: usize) -> bool {
        if !backend.count_in(max) {
            return false;
        }
        self.unassign();
        self.backend = Some(backend.clone());
        true
    }

    /// Leaves its backend, if it has one, and tells who waits for room there.
    pub fn unassign(&mut self) {
        if let Some(backend) = self.backend.take() {
            backend.count_out();
            if backend.serves() {
                self.pool.room_made();
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.unassign();
        self.pool.count_out();
    }
}
