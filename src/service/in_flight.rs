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

    /// Moves the exchange to a backend; a retry replaces the one before.
    pub fn assign(&mut self, backend: Arc<Backend>) {
        backend.count_in();
        if let Some(before) = self.backend.replace(backend) {
            before.count_out();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(backend) = &self.backend {
            backend.count_out();
        }
        self.pool.count_out();
    }
}
