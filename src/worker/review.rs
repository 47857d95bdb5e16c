//! Whether the clients of what runs would be let in by a snapshot that has come since: each exchange is looked at once.
//!
//! A certificate may have to be verified again, which takes a tenth of a millisecond: what thousands of clients take is spread
//! over sweeps, so that nobody waits for it. Requests don't wait for their turn here: each is decided by the snapshot that it finds.

use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use slab::Slab;

use super::live::ExchangeState;
use crate::snapshot::Snapshot;

/// How long one sweep may look.
const AT_ONCE: Duration = Duration::from_millis(10);

/// How far the look at one worker's exchanges has come.
#[derive(Default)]
pub(super) struct Review {
    seen: Weak<Snapshot>,
    /// Keys of the exchanges that ran when the snapshot was first seen. Another exchange may have got one of them since: it is looked
    /// at in vain.
    left: Vec<usize>,
}

impl Review {
    pub fn go_on(&mut self, snapshot: &Arc<Snapshot>, exchanges: &Slab<Rc<ExchangeState>>, now: Instant) {
        if !std::ptr::eq(self.seen.as_ptr(), Arc::as_ptr(snapshot)) {
            self.seen = Arc::downgrade(snapshot);
            self.left = exchanges.iter().map(|(key, _)| key).collect();
        }
        let begun = Instant::now();
        while let Some(key) = self.left.pop() {
            if let Some(exchange) = exchanges.get(key) {
                exchange.review(snapshot, now);
            }
            if begun.elapsed() > AT_ONCE {
                break;
            }
        }
    }
}
