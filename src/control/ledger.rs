//! The books of one service: who holds it, which colour drains, whose course runs on beside. Pure, and the whole truth of
//! it: a task that goes on after a wait asks here whether it still may.
//!
//! A hold is exclusive: one switch or canary at a time passes its gate. A drain is of a colour that no traffic goes to. A
//! course is what follows a change on its own, a watch or the steps of a rollout; it ends as soon as anyone else moves the
//! traffic. The model in the tests tries every order of events.

use std::time::{Duration, Instant};

use super::history::Actor;
use crate::service::Active;
use crate::types::Color;

/// One entry; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Entry(u64);

/// The books. `W`: who holds, and since when. `taken_back`: the generation that a course has made on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Ledger<W = (Actor, Instant)> {
    next: u64,
    holder: Option<(Entry, W)>,
    drain: Option<(Entry, Color)>,
    course: Option<Entry>,
    taken_back: Option<u64>,
}

impl<W> Default for Ledger<W> {
    fn default() -> Self {
        Self { next: 0, holder: None, drain: None, course: None, taken_back: None }
    }
}

impl<W: Clone> Ledger<W> {
    /// Takes the one hold, or tells who has it.
    pub fn hold(&mut self, who: W) -> Result<Entry, W> {
        if let Some((_, holder)) = &self.holder {
            return Err(holder.clone());
        }
        let entry = self.entry();
        self.holder = Some((entry, who));
        Ok(entry)
    }

    /// Gives the hold back; nothing happens if it is not this one's any more.
    pub fn release(&mut self, hold: Entry) {
        self.holder.take_if(|(entry, _)| *entry == hold);
    }

    pub fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// The traffic has moved to where `after` sends it: a drain of a colour that gets some of it ends, uncut, and so does a
    /// course, unless it was the mover itself. Answers whether a drain has ended.
    pub fn traffic_moved(&mut self, after: &Active, mover: Option<Entry>) -> bool {
        self.course.take_if(|course| Some(*course) != mover);
        self.drain.take_if(|(_, color)| after.sends_to(*color)).is_some()
    }

    /// A colour that no traffic goes to begins to drain. There is but one such colour: a drain of it that runs already
    /// gives way.
    pub fn begin_drain(&mut self, color: Color) -> Entry {
        let entry = self.entry();
        self.drain = Some((entry, color));
        entry
    }

    /// Whether this drain still is to go on: to wait, and to cut.
    pub fn is_draining(&self, drain: Entry) -> bool {
        self.drain.is_some_and(|(entry, _)| entry == drain)
    }

    pub fn end_drain(&mut self, drain: Entry) {
        self.drain.take_if(|(entry, _)| *entry == drain);
    }

    /// A watch or a rollout begins; one that runs already gives way.
    pub fn begin_course(&mut self) -> Entry {
        let entry = self.entry();
        self.course = Some(entry);
        entry
    }

    /// Whether this course still may move the traffic.
    pub fn is_on(&self, course: Entry) -> bool {
        self.course == Some(course)
    }

    pub fn end_course(&mut self, course: Entry) {
        self.course.take_if(|entry| *entry == course);
    }

    /// A course has taken the traffic back by itself, which has made this generation.
    pub fn took_back(&mut self, generation: u64) {
        self.taken_back = Some(generation);
    }

    /// One generation has followed another without moving the traffic: what is true of it stays true.
    pub fn renumbered(&mut self, before: u64, after: u64) {
        if self.is_taken_back(before) {
            self.took_back(after);
        }
    }

    /// Whether that is what made `generation`.
    pub fn is_taken_back(&self, generation: u64) -> bool {
        self.taken_back == Some(generation)
    }

    /// Nobody holds it, nothing drains, nothing runs on.
    #[cfg(test)]
    pub fn is_at_rest(&self) -> bool {
        self.holder.is_none() && self.drain.is_none() && self.course.is_none()
    }

    fn entry(&mut self) -> Entry {
        self.next += 1;
        Entry(self.next)
    }
}

impl Ledger {
    /// Who holds it, for how long already.
    pub fn hold_for(&mut self, actor: &Actor) -> Result<Entry, (Actor, Duration)> {
        self.hold((actor.clone(), Instant::now())).map_err(|(holder, since)| (holder, since.elapsed()))
    }
}
