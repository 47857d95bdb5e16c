//! The waker of a task that waits for something on its own thread.

use std::cell::RefCell;
use std::task::{Context, Waker};

use crate::types::keep_waker;

/// At most one waker: that of the task that looked last.
#[derive(Debug, Default)]
pub(super) struct WakerSlot(RefCell<Option<Waker>>);

impl WakerSlot {
    /// The next wake is for this task. Costs a comparison when it is the one already kept.
    pub fn keep(&self, cx: &Context<'_>) {
        keep_waker(&mut self.0.borrow_mut(), cx);
    }

    /// Wakes the task, and keeps its waker for the next time.
    pub fn wake(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }
}
