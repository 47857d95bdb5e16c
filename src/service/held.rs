//! The turn of a request that a pause has held.

use std::sync::Arc;

use super::Service;
use super::queue::{Full, Place};

/// A place in the queue of held requests. Dropping it gives the turn to the next. A request that is let go keeps its place until
/// it has a backend, so that the next can't overtake it there.
#[derive(Debug)]
pub struct HeldTurn {
    /// `None` only while it is dropped.
    place: Option<Place>,
    service: Arc<Service>,
}

impl HeldTurn {
    /// A place at the end of the queue; an error when `most` wait already.
    pub fn join(service: &Arc<Service>, most: usize) -> Result<Self, Full> {
        let place = service.held().join(most)?;
        let turn = Self { place: Some(place), service: service.clone() };
        service.look_whether_special();
        if service.active().paused.is_none() {
            // The service was resumed while this request was joining the queue.
            service.let_go();
        }
        Ok(turn)
    }

    /// Waits for the turn.
    pub async fn come(&mut self) {
        if let Some(place) = &mut self.place {
            place.await;
        }
    }

    /// The turn can't be used: back to its place in the queue.
    pub fn pass(&mut self) {
        if let Some(place) = &mut self.place {
            place.pass();
        }
    }
}

impl Drop for HeldTurn {
    fn drop(&mut self) {
        drop(self.place.take());
        self.service.look_whether_special();
    }
}
