//! The one that publishes: a new colour of a service, or a new snapshot. One at a time, durable before visible.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::state_file::StateFile;
use crate::service::{Active, Service};
use crate::snapshot::Snapshot;
use crate::types::Color;
use crate::worker::SharedState;

/// The disk did not take the new state: nothing has changed.
#[derive(Debug)]
pub struct NotDurable(pub io::Error);

/// Serializes every change that requests can see.
#[derive(Clone)]
pub struct Writer {
    file: Arc<Mutex<StateFile>>,
    shared: Arc<SharedState>,
}

impl Writer {
    pub fn new(file: StateFile, shared: Arc<SharedState>) -> Self {
        Self { file: Arc::new(Mutex::new(file)), shared }
    }

    /// Changes what serves: on disk first, then one store. `next` makes it from what serves at that moment, or refuses; the
    /// generation is counted here, and what has expired is forgotten. Answers what served and what serves now.
    pub async fn change<E: From<NotDurable>>(
        &self,
        service: &Service,
        next: impl FnOnce(&Active) -> Result<Active, E>,
    ) -> Result<(Arc<Active>, Active), E> {
        let mut file = self.file.clone().lock_owned().await;
        let before = service.active();
        let after = next_generation(&before, next(&before)?, SystemTime::now());
        let (name, durable) = (service.name().clone(), after.clone());
        let stored = spawn_blocking(move || file.store(&name, &durable).map(|()| file)).await;
        let _file = stored.map_err(io::Error::other).flatten().map_err(NotDurable)?;
        // Traffic comes back to a pool whose drain may have cut it: that ends here, before anyone enters.
        for color in Color::ALL.into_iter().filter(|color| after.sends_to(*color)) {
            service.pool(color).uncut();
        }
        service.publish(after.clone());
        service.look_at_detour();
        Ok((before, after))
    }

    /// What the disk says now.
    pub async fn with_state<T>(&self, look: impl FnOnce(&StateFile) -> T) -> T {
        look(&*self.file.lock().await)
    }

    /// A reload: `build` makes the next snapshot from the present one; on an error nothing changes.
    pub async fn publish<E>(
        &self,
        build: impl FnOnce(&Snapshot, &StateFile) -> Result<Snapshot, E>,
    ) -> Result<Arc<Snapshot>, E> {
        let file = self.file.lock().await;
        let next = Arc::new(build(&self.shared.snapshot.load(), &file)?);
        next.install();
        self.shared.snapshot.store(next.clone());
        Ok(next)
    }
}

/// Counted up, unless nothing but the previews has changed: those move no one. What has expired is forgotten.
fn next_generation(before: &Active, next: Active, now: SystemTime) -> Active {
    let next = Active { preview_until: next.preview_until.filter(|until| *until > now), ..next };
    let is_same = Active { preview_until: before.preview_until, ..next.clone() } == *before;
    Active { generation: before.generation + u64::from(!is_same), ..next }
}
