//! How many HTTP/2 frames a client may send that ask for nothing (RFC 9113, 10.5). Pure.
//!
//! Settings, pings, priorities, window updates, resets and unknown frames cost us more than their sender. Each takes from the
//! connection's budget. Time fills it again, and so does what the client asks for and takes: a stream needs a few of them, and each
//! part of an answer is worth a window update or two.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// The most that is ever left.
const MOST: u32 = 1000;

/// One more for each of these: fifty a second.
const REFILL: Duration = Duration::from_millis(20);

/// What a new stream adds.
const STREAM: u32 = 10;

/// One connection's budget of control frames.
pub struct ControlBudget {
    left: Cell<u32>,
    filled: Cell<Instant>,
}

impl ControlBudget {
    pub fn new(now: Instant) -> Self {
        Self { left: Cell::new(MOST), filled: Cell::new(now) }
    }

    /// A control frame has come. False: one too many.
    pub fn spend(&self, now: impl FnOnce() -> Instant) -> bool {
        if self.left.get() == 0 {
            self.fill(now());
        }
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// A stream was opened.
    pub fn open_stream(&self) {
        self.earn(STREAM);
    }

    /// A part of an answer goes out, as this many bytes in one frame or more.
    pub fn answer(&self, bytes: usize) {
        self.earn(2 + u32::try_from(bytes / 4096).unwrap_or(MOST));
    }

    fn earn(&self, more: u32) {
        self.left.set(self.left.get().saturating_add(more).min(MOST));
    }

    fn fill(&self, now: Instant) {
        let periods = now.saturating_duration_since(self.filled.get()).as_millis() / REFILL.as_millis();
        if let Ok(periods) = u32::try_from(periods)
            && periods > 0
        {
            self.earn(periods);
            self.filled.set(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(budget: &ControlBudget, frames: u32, now: Instant) -> u32 {
        (0..frames).map(|_| u32::from(budget.spend(|| now))).sum()
    }

    #[test]
    fn a_flood_ends_the_budget_and_time_fills_it() {
        let start = Instant::now();
        let budget = ControlBudget::new(start);
        assert_eq!(spend(&budget, 2 * MOST, start), MOST);
        assert_eq!(spend(&budget, 100, start + Duration::from_secs(1)), 50);
        assert_eq!(spend(&budget, 2 * MOST, start + Duration::from_hours(1)), MOST);
    }

    #[test]
    fn a_large_part_of_an_answer_is_worth_more_than_a_small_one() {
        let start = Instant::now();
        for (bytes, worth) in [(0, 2), (1, 2), (4096, 3), (16 * 1024, 6)] {
            let budget = ControlBudget::new(start);
            spend(&budget, MOST, start);
            budget.answer(bytes);
            assert_eq!(spend(&budget, 100, start), worth, "{bytes} bytes");
        }
    }

    #[test]
    fn what_is_too_little_time_for_one_is_not_lost() {
        let start = Instant::now();
        let budget = ControlBudget::new(start);
        spend(&budget, MOST, start);
        assert_eq!(spend(&budget, 1, start + REFILL / 2), 0);
        assert_eq!(spend(&budget, 2, start + REFILL), 1, "counted from the last that was given");
    }

    #[test]
    fn a_ping_each_second_is_fine_for_ever() {
        let start = Instant::now();
        let budget = ControlBudget::new(start);
        for second in 0..10_000 {
            assert_eq!(spend(&budget, 1, start + Duration::from_secs(second)), 1);
        }
    }

    #[test]
    fn streams_and_answers_pay_for_what_they_need() {
        let start = Instant::now();
        let budget = ControlBudget::new(start);
        for _ in 0..1000 {
            budget.open_stream();
            assert_eq!(spend(&budget, STREAM, start), STREAM);
            budget.answer(16 * 1024);
            assert_eq!(spend(&budget, 6, start), 6);
            budget.answer(1);
            assert_eq!(spend(&budget, 2, start), 2);
        }
    }
}
