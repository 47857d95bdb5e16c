//! The waker of a task that waits for something on its own thread.

use std::cell::RefCell;
use std::task::{Context, Waker};

/// At most one waker: that of the task that looked last.
#[derive(Debug, Default)]
pub(super) struct WakerSlot(RefCell<Option<Waker>>);

impl WakerSlot {
    /// The next wake is for this task. Costs a comparison when it is the one already kept.
    pub fn keep(&self, cx: &Context<'_>) {
        match &mut *self.0.borrow_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
    }

    /// Wakes the task, and keeps its waker for the next time.
    pub fn wake(&self) {
        if let Some(waker) = &*self.0.borrow() {
            waker.wake_by_ref();
        }
    }
}
