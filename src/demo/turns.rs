//! Which colour may answer, from a client's view: after a switch has returned, only the new one.
//!
//! Pure. The script says when a switch begins and when it has returned; each exchange takes a ticket and shows it at its end.

use std::cell::Cell;

use crate::types::Color;

/// Which colour may answer now.
#[derive(Debug)]
pub(super) struct Turns {
    /// `None` while a switch runs.
    settled: Cell<Option<Color>>,
    begun: Cell<u32>,
}

/// What was known when an exchange started.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnTicket {
    settled: Option<Color>,
    begun: u32,
}

impl Turns {
    pub fn new(serves: Color) -> Self {
        Self { settled: Cell::new(Some(serves)), begun: Cell::new(0) }
    }

    /// A switch is about to be asked for: from here on both may answer.
    pub fn begin(&self) {
        self.settled.set(None);
        self.begun.set(self.begun.get() + 1);
    }

    /// The switch has returned.
    pub fn settle(&self, serves: Color) {
        self.settled.set(Some(serves));
    }

    pub fn ticket(&self) -> TurnTicket {
        TurnTicket { settled: self.settled.get(), begun: self.begun.get() }
    }

    /// Judges the colour that answered an exchange that started with `ticket`.
    pub fn check(&self, ticket: TurnTicket, answered: Color) -> Result<(), String> {
        match ticket.settled {
            Some(serves) if serves != answered && ticket.begun == self.begun.get() => {
                Err(format!("answered by {answered} although it started when {serves} served"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_switch_runs_both_may_answer() {
        let turns = Turns::new(Color::Blue);
        let before = turns.ticket();
        turns.begin();
        let during = turns.ticket();
        for color in Color::ALL {
            assert_eq!(turns.check(before, color), Ok(()));
            assert_eq!(turns.check(during, color), Ok(()));
        }
    }

    #[test]
    fn after_a_switch_only_the_new_colour_may_answer() {
        let turns = Turns::new(Color::Blue);
        turns.begin();
        turns.settle(Color::Green);
        let ticket = turns.ticket();
        assert_eq!(turns.check(ticket, Color::Green), Ok(()));
        assert!(turns.check(ticket, Color::Blue).is_err());
    }

    #[test]
    fn before_a_switch_only_the_old_colour_may_answer() {
        let turns = Turns::new(Color::Blue);
        assert!(turns.check(turns.ticket(), Color::Green).is_err());
    }
}
