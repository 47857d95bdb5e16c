//! The one place that publishes: a new state of a service, or a new snapshot. One at a time, durable before visible.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::control::disk::StateFile;
use crate::control::messages::OperationRefused;
use crate::service::{Active, Service};
use crate::snapshot::Snapshot;
use crate::types::Color;
use crate::worker::SharedState;

/// The disk did not take the new state: nothing has changed.
#[derive(Debug)]
pub struct NotDurable(pub io::Error);

impl From<NotDurable> for OperationRefused {
    fn from(NotDurable(error): NotDurable) -> Self {
        Self::NotDurable { error: error.to_string() }
    }
}

/// Serializes every change that requests can see.
#[derive(Clone)]
pub struct StateWriter {
    file: Arc<Mutex<StateFile>>,
    shared: Arc<SharedState>,
}

impl StateWriter {
    pub fn new(file: StateFile, shared: Arc<SharedState>) -> Self {
        Self { file: Arc::new(Mutex::new(file)), shared }
    }

    /// Changes what serves: on disk first, then by one store. `next` makes the new state from what serves at that moment, or
    /// refuses. The generation is counted here, and expired previews are dropped. Returns the states before and after.
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
        // A drain may have cut a pool that gets traffic again. The cut ends here, before a request enters.
        for color in Color::ALL.into_iter().filter(|color| after.sends_to(*color)) {
            service.pool(color).uncut();
        }
        service.publish(after.clone());
        service.look_at_detour();
        Ok((before, after))
    }

    /// Reads what is on disk now.
    pub async fn with_state<T>(&self, look: impl FnOnce(&StateFile) -> T) -> T {
        look(&*self.file.lock().await)
    }

    /// For a reload: `build` makes the next snapshot from the present one. After an error nothing has changed.
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

/// Counts the generation up, unless only the previews have changed: those move no client. Drops expired previews.
fn next_generation(before: &Active, next: Active, now: SystemTime) -> Active {
    let next = Active { preview_until: next.preview_until.filter(|until| *until > now), ..next };
    let is_same = Active { preview_until: before.preview_until, ..next.clone() } == *before;
    Active { generation: before.generation + u64::from(!is_same), ..next }
}
