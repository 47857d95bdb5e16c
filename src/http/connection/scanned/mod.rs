//! What the scan beneath the HTTP/1.1 codec has found, for the exchanges above it.
//!
//! The scan sees bytes before the codec does, those of pipelined requests too: so each finding has the number of its request on
//! the connection, counted from one. Over HTTP/2 there is none.

mod escapes;

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

pub use escapes::Escapes;

use crate::error::Failure;
use crate::types::keep_waker;

/// Findings of one connection.
#[derive(Default)]
pub struct Scanned {
    /// Whether there is any finding.
    has_any: Cell<bool>,
    fault: Cell<Option<(u64, Failure)>>,
    announced: Cell<(u64, u64)>,
    escapes: RefCell<Vec<(u64, Escapes)>>,
    waker: RefCell<Option<Waker>>,
}

impl Scanned {
    /// Whether nothing was found, as nearly always.
    pub fn is_clean(&self) -> bool {
        !self.has_any.get()
    }

    /// Why this request can't be trusted: for a fault of its own, or of one before it.
    pub fn fault_in(&self, request: u64) -> Option<Failure> {
        self.fault.get().filter(|(number, _)| *number <= request).map(|(_, failure)| failure)
    }

    /// How many bytes the chunks of this request's body have announced so far.
    pub fn announced_in(&self, request: u64) -> u64 {
        let (number, announced) = self.announced.get();
        if number == request { announced } else { 0 }
    }

    /// What was encoded in this request's target, if anything was.
    pub fn take_escapes(&self, request: u64) -> Option<Escapes> {
        let mut all = self.escapes.borrow_mut();
        if all.is_empty() {
            return None;
        }
        let ours = all.iter().position(|(number, _)| *number == request).map(|at| all.swap_remove(at).1);
        all.retain(|(number, _)| *number > request);
        ours
    }

    /// The next finding wakes this task.
    pub fn keep_waker(&self, cx: &Context<'_>) {
        keep_waker(&mut self.waker.borrow_mut(), cx);
    }

    /// The first fault counts.
    pub(super) fn note_fault(&self, request: u64, failure: Failure) {
        if self.fault.get().is_none() {
            self.has_any.set(true);
            self.fault.set(Some((request, failure)));
            self.wake();
        }
    }

    pub(super) fn note_announced(&self, request: u64, announced: u64) {
        if announced > 0 && self.announced.replace((request, announced)) != (request, announced) {
            self.has_any.set(true);
            self.wake();
        }
    }

    pub(super) fn note_escape(&self, request: u64, in_target: usize) {
        self.has_any.set(true);
        let mut all = self.escapes.borrow_mut();
        match all.last_mut() {
            Some((number, escapes)) if *number == request => escapes.add(in_target),
            _ => {
                let mut escapes = Escapes::default();
                escapes.add(in_target);
                all.push((request, escapes));
            }
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_counts_for_its_request_and_those_behind_it() {
        let scanned = Scanned::default();
        assert_eq!(scanned.fault_in(1), None);
        scanned.note_fault(2, Failure::BadFraming);
        scanned.note_fault(1, Failure::BadPath);
        assert_eq!(scanned.fault_in(1), None, "it came before");
        assert_eq!(scanned.fault_in(2), Some(Failure::BadFraming));
        assert_eq!(scanned.fault_in(3), Some(Failure::BadFraming));
    }

    #[test]
    fn what_chunks_announce_belongs_to_one_request() {
        let scanned = Scanned::default();
        scanned.note_announced(2, 7);
        assert_eq!((scanned.announced_in(1), scanned.announced_in(2), scanned.announced_in(3)), (0, 7, 0));
    }

    #[test]
    fn escapes_are_taken_once_by_their_request() {
        let scanned = Scanned::default();
        for (request, place) in [(1, 1), (1, 2), (3, 1)] {
            scanned.note_escape(request, place);
        }
        assert_eq!(scanned.take_escapes(1).and_then(|escapes| escapes.undone("/%22%22")).as_deref(), Some("/\"\""));
        assert_eq!(scanned.take_escapes(1), None);
        assert_eq!(scanned.take_escapes(2), None);
        assert!(scanned.take_escapes(3).is_some());
    }
}
