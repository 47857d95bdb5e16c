//! The ledger of one service: which operation holds its gate, which colour drains, which course runs. Pure, and the only
//! truth about it: a task that has waited asks here whether it may still go on.
//!
//! A hold is exclusive: one switch or canary at a time passes the gate. Only a colour without traffic drains. A course follows
//! a change by itself: a watch, or the steps of a rollout. It ends as soon as another operation moves the traffic. The model
//! beside this file tries every order of events.

use std::time::{Duration, Instant};

use crate::control::messages::Actor;
use crate::service::Active;
use crate::types::Color;

/// Names one hold, drain or course; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerEntry(u64);

/// What runs beside the requests of one service. `H` describes the holder of the gate: the actor, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrafficLedger<H = (Actor, Instant)> {
    next: u64,
    holder: Option<(LedgerEntry, H)>,
    drain: Option<(LedgerEntry, Color)>,
    course: Option<LedgerEntry>,
    /// The generation that a course has made by taking the traffic back.
    taken_back: Option<u64>,
}

impl<H> Default for TrafficLedger<H> {
    fn default() -> Self {
        Self { next: 0, holder: None, drain: None, course: None, taken_back: None }
    }
}

impl<H: Clone> TrafficLedger<H> {
    /// Takes the one hold of the gate; the error is its present holder.
    pub fn hold(&mut self, holder: H) -> Result<LedgerEntry, H> {
        if let Some((_, present)) = &self.holder {
            return Err(present.clone());
        }
        let entry = self.entry();
        self.holder = Some((entry, holder));
        Ok(entry)
    }

    /// Gives the hold back. Does nothing if another operation holds the gate by now.
    pub fn release(&mut self, hold: LedgerEntry) {
        self.holder.take_if(|(entry, _)| *entry == hold);
    }

    pub fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// The traffic has moved to where `after` sends it. This ends the drain of a colour that gets traffic again, and it ends
    /// the course, unless that course is the `mover`. Returns whether a drain has ended.
    pub fn traffic_moved(&mut self, after: &Active, mover: Option<LedgerEntry>) -> bool {
        self.course.take_if(|course| Some(*course) != mover);
        self.drain.take_if(|(_, color)| after.sends_to(*color)).is_some()
    }

    /// A colour without traffic begins to drain. There is only one such colour, so this replaces a drain that runs already.
    pub fn begin_drain(&mut self, color: Color) -> LedgerEntry {
        let entry = self.entry();
        self.drain = Some((entry, color));
        entry
    }

    /// Whether this drain may still go on waiting, and may cut.
    pub fn is_draining(&self, drain: LedgerEntry) -> bool {
        self.drain.is_some_and(|(entry, _)| entry == drain)
    }

    pub fn end_drain(&mut self, drain: LedgerEntry) {
        self.drain.take_if(|(entry, _)| *entry == drain);
    }

    /// A watch or a rollout begins. It replaces one that runs already.
    pub fn begin_course(&mut self) -> LedgerEntry {
        let entry = self.entry();
        self.course = Some(entry);
        entry
    }

    /// Whether this course may still move the traffic.
    pub fn is_on(&self, course: LedgerEntry) -> bool {
        self.course == Some(course)
    }

    pub fn end_course(&mut self, course: LedgerEntry) {
        self.course.take_if(|entry| *entry == course);
    }

    /// A course has taken the traffic back by itself, and that made this generation.
    pub fn took_back(&mut self, generation: u64) {
        self.taken_back = Some(generation);
    }

    /// A change that moved no traffic has counted the generation up: what was true of the old number is true of the new one.
    pub fn renumbered(&mut self, before: u64, after: u64) {
        if self.is_taken_back(before) {
            self.took_back(after);
        }
    }

    /// Whether `generation` was made by a course that took the traffic back.
    pub fn is_taken_back(&self, generation: u64) -> bool {
        self.taken_back == Some(generation)
    }

    /// No hold, no drain, no course.
    #[cfg(test)]
    pub fn is_at_rest(&self) -> bool {
        self.holder.is_none() && self.drain.is_none() && self.course.is_none()
    }

    fn entry(&mut self) -> LedgerEntry {
        self.next += 1;
        LedgerEntry(self.next)
    }
}

impl TrafficLedger {
    /// [`Self::hold`] for an actor; the error says how long the present holder has had it.
    pub fn hold_for(&mut self, actor: &Actor) -> Result<LedgerEntry, (Actor, Duration)> {
        self.hold((actor.clone(), Instant::now())).map_err(|(holder, since)| (holder, since.elapsed()))
    }
}
