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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::service::Canary;

    fn ledger() -> TrafficLedger<&'static str> {
        TrafficLedger::default()
    }

    fn serving(color: Color, canary: Option<Color>) -> Active {
        let canary = canary.map(|color| Canary { color, percent: 5, id: 1 });
        Active { canary, ..Active::new(color, 2, SystemTime::UNIX_EPOCH) }
    }

    #[test]
    fn one_operation_holds_the_gate_until_it_releases_it() {
        let mut ledger = ledger();
        assert!(!ledger.is_held());
        let first = ledger.hold("alice").unwrap();
        assert!(ledger.is_held());
        assert_eq!(ledger.hold("bob"), Err("alice"), "its holder is named");
        ledger.release(first);
        assert!(!ledger.is_held() && ledger.is_at_rest());
        let second = ledger.hold("bob").unwrap();
        assert_ne!(first, second, "an entry is never used twice");
        ledger.release(first);
        assert!(ledger.is_held(), "a late release does not free what another operation holds");
    }

    #[test]
    fn a_holder_is_shown_with_its_actor() {
        let alice = Actor { uid: 1000, user: Some("alice".to_owned()), pid: Some(7) };
        let mut ledger = TrafficLedger::default();
        ledger.hold_for(&alice).unwrap();
        let (holder, held) = ledger.hold_for(&Actor { uid: 0, user: None, pid: None }).unwrap_err();
        assert_eq!(holder, alice);
        assert!(held < Duration::from_mins(1), "{held:?}");
    }

    #[test]
    fn a_drain_ends_when_its_colour_gets_traffic_again() {
        for back in [serving(Color::Blue, None), serving(Color::Green, Some(Color::Blue))] {
            let mut ledger = ledger();
            let drain = ledger.begin_drain(Color::Blue);
            assert!(ledger.is_draining(drain) && !ledger.is_at_rest());
            assert!(!ledger.traffic_moved(&serving(Color::Green, None), None), "blue gets none of it");
            assert!(ledger.is_draining(drain));
            assert!(ledger.traffic_moved(&back, None));
            assert!(!ledger.is_draining(drain) && ledger.is_at_rest());
        }
    }

    #[test]
    fn a_later_drain_replaces_an_earlier_one_whose_end_does_not_touch_it() {
        let mut ledger = ledger();
        let (first, second) = (ledger.begin_drain(Color::Blue), ledger.begin_drain(Color::Blue));
        assert!(!ledger.is_draining(first));
        ledger.end_drain(first);
        assert!(ledger.is_draining(second));
        ledger.end_drain(second);
        assert!(!ledger.is_draining(second) && ledger.is_at_rest());
    }

    #[test]
    fn a_course_ends_when_another_operation_moves_the_traffic() {
        let mut ledger = ledger();
        let course = ledger.begin_course();
        assert!(ledger.is_on(course) && !ledger.is_at_rest());
        ledger.traffic_moved(&serving(Color::Green, None), Some(course));
        assert!(ledger.is_on(course), "its own move does not end it");
        ledger.traffic_moved(&serving(Color::Blue, None), None);
        assert!(!ledger.is_on(course) && ledger.is_at_rest());
    }

    #[test]
    fn a_later_course_replaces_an_earlier_one_whose_end_does_not_touch_it() {
        let mut ledger = ledger();
        let (first, second) = (ledger.begin_course(), ledger.begin_course());
        assert!(!ledger.is_on(first));
        ledger.end_course(first);
        assert!(ledger.is_on(second));
        ledger.end_course(second);
        assert!(!ledger.is_on(second) && ledger.is_at_rest());
    }

    #[test]
    fn a_generation_that_took_the_traffic_back_is_known_until_the_next_move() {
        let mut ledger = ledger();
        assert!(!ledger.is_taken_back(0));
        ledger.took_back(3);
        assert!(ledger.is_taken_back(3) && !ledger.is_taken_back(2));
        ledger.renumbered(3, 4);
        assert!(ledger.is_taken_back(4) && !ledger.is_taken_back(3), "a pause moves no traffic");
        ledger.renumbered(7, 8);
        assert!(ledger.is_taken_back(4) && !ledger.is_taken_back(8));
    }
}
