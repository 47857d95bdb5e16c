//! A guard that counts an exchange as in flight, from its entry into a pool until its last byte, or the end of its tunnel.

use std::sync::Arc;

use super::active::Way;
use super::guests::Era;
use super::{Backend, Pool};

/// Counts one exchange in its pool and, once chosen, on its backend. Dropping it leaves both, whatever ended the exchange: an
/// aborted task is counted out too.
#[derive(Debug)]
pub struct InFlight {
    pool: Arc<Pool>,
    backend: Option<Arc<Backend>>,
    way: Way,
    guest: Option<Era>,
    is_tunnel: bool,
    has_left: bool,
}

impl InFlight {
    pub(super) fn enter(pool: &Arc<Pool>, way: Way, is_guest: bool) -> Self {
        let guest = pool.count_in(is_guest);
        Self { pool: pool.clone(), backend: None, way, guest, is_tunnel: false, has_left: false }
    }

    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// How it came to this pool.
    pub fn way(&self) -> Way {
        self.way
    }

    /// The era in which it came as a guest, if it did.
    pub fn guest(&self) -> Option<Era> {
        self.guest
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

    /// Leaves its backend, if it has one, and wakes a request that waits for room there.
    pub fn unassign(&mut self) {
        if let Some(backend) = self.backend.take()
            && !self.has_left
        {
            self.count_out_of(&backend);
        }
    }

    fn count_out_of(&self, backend: &Backend) {
        backend.count_out();
        if backend.serves() {
            self.pool.room_made();
        }
    }

    /// Leaves backend and pool: nothing more is to come of them. Which they were is still known.
    pub fn leave(&mut self) {
        if std::mem::replace(&mut self.has_left, true) {
            return;
        }
        if let Some(backend) = &self.backend {
            self.count_out_of(backend);
        }
        if self.is_tunnel {
            self.pool.count_tunnel_out();
        }
        self.pool.count_out(self.guest);
    }

    /// Leaves its pool for the one that stands in.
    pub(super) fn move_to(&mut self, pool: &Arc<Pool>, way: Way) {
        *self = Self::enter(pool, way, way.is_guest());
    }

    /// It is a tunnel from now on: a pause does not wait for it.
    pub fn become_tunnel(&mut self) {
        if !std::mem::replace(&mut self.is_tunnel, true) {
            self.pool.count_tunnel_in();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.leave();
    }
}
