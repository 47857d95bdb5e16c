//! Keeping the waker of a task that was polled.

use std::task::{Context, Waker};

/// The next wake is for the task that is polled now. Costs a comparison when its waker is kept already.
pub fn keep_waker(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
