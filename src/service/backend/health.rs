//! What probes have seen of a backend, and what follows from one more: up or down.
//!
//! Pure: a probe comes in, whether the backend's state has changed comes out. Probes are made in `health`; what else keeps
//! requests away from a backend is in [`super::ejection`].

use std::fmt;
use std::time::{Duration, SystemTime};

/// What the probes have seen. A new backend is down until `rise` probes in a row have passed.
#[derive(Debug, Clone, Default)]
pub struct Health {
    pub up: bool,
    /// Passes or failures in a row, of the kind of `last`.
    pub streak: u32,
    pub last: Option<Probe>,
    /// It went down because nothing listened there: one pass brings it back.
    gone: bool,
}

/// One probe and what it got.
#[derive(Debug, Clone)]
pub struct Probe {
    pub at: SystemTime,
    pub took: Duration,
    pub outcome: ProbeOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeOutcome {
    Passed,
    /// Nothing listens there: `connection refused`, `no route to host`.
    Refused(String),
    /// An answer with a status that does not pass: `got 503`.
    Status(u16, String),
    /// What else was got instead: `no answer within 1s`.
    Failed(String),
    /// The backend was not asked: this process lacked what asking takes, such as a descriptor.
    NotAsked(String),
}

impl ProbeOutcome {
    pub fn passed(&self) -> bool {
        matches!(self, Self::Passed)
    }

    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

impl fmt::Display for ProbeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Refused(what) | Self::Status(_, what) | Self::Failed(what) | Self::NotAsked(what) => {
                f.write_str(what)
            }
        }
    }
}

impl Health {
    /// Takes a probe in; answers whether that changed up to down or down to up.
    ///
    /// A second refusal in a row is enough to go down, whatever `fall`, and one pass to come back from that, whatever `rise`.
    /// `was_refused`: a request has found no connection since the last pass, which counts as the first refusal.
    pub(super) fn take(&mut self, probe: Probe, was_refused: bool, rise: u32, fall: u32) -> bool {
        let last = self.last.as_ref().map(|last| &last.outcome);
        let (passed, refused) = (probe.outcome.passed(), probe.outcome.is_refusal());
        let refused_again = refused && (was_refused || last.is_some_and(ProbeOutcome::is_refusal));
        let same = last.is_some_and(|last| last.passed() == passed);
        self.streak = if same { self.streak.saturating_add(1) } else { 1 };
        self.last = Some(probe);
        let was = self.up;
        if passed {
            self.up |= self.gone || self.streak >= rise;
        } else if refused_again || self.streak >= fall {
            self.gone |= was && refused_again;
            self.up = false;
        }
        self.gone &= !self.up;
        self.up != was
    }

    /// For people: a backend whose last probe was refused is not up, although it takes a second refusal to take it out.
    pub fn seems_up(&self) -> bool {
        self.up && !self.last.as_ref().is_some_and(|last| last.outcome.is_refusal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` passed, `-` failed, `x` refused, `?` refused after a request that found no connection.
    fn probe(kind: char) -> (Probe, bool) {
        let outcome = match kind {
            '+' => ProbeOutcome::Passed,
            '-' => ProbeOutcome::Failed("got 503".to_owned()),
            _ => ProbeOutcome::Refused("connection refused".to_owned()),
        };
        (Probe { at: SystemTime::UNIX_EPOCH, took: Duration::ZERO, outcome }, kind == '?')
    }

    /// `^` up, `.` down, after each probe.
    fn seen(probes: &str, rise: u32, fall: u32) -> String {
        let mut health = Health::default();
        let mut was = false;
        let after = |kind| {
            let (probe, was_refused) = probe(kind);
            let changed = health.take(probe, was_refused, rise, fall);
            assert_eq!(changed, health.up != was);
            was = health.up;
            if health.up { '^' } else { '.' }
        };
        probes.chars().map(after).collect()
    }

    #[test]
    fn the_table() {
        let rows = [
            // `rise` passes in a row, then `fall` failures in a row.
            ("+-++--+---", "...^^^^^^.", 2, 3),
            // A second refusal is enough, and one pass after it.
            ("++x+xx+", ".^^^^.^", 2, 3),
            ("++x-x+", ".^^^^^", 2, 9),
            ("++xxx--+", ".^^....^", 2, 9),
            // The request's own refusal is the first.
            ("++?+", ".^.^", 2, 3),
            // A backend that was never up needs all of `rise`, and so does one that went down by other failures.
            ("xx+x+++", "......^", 3, 3),
            ("+++---x++", "..^^^....", 3, 3),
        ];
        for (probes, expected, rise, fall) in rows {
            assert_eq!(seen(probes, rise, fall), expected, "{probes}");
        }
    }

    #[test]
    fn a_backend_whose_last_probe_was_refused_does_not_seem_up() {
        let mut health = Health::default();
        for (kind, seems_up) in [('+', true), ('-', true), ('x', false), ('+', true), ('x', false), ('x', false)] {
            let (probe, was_refused) = probe(kind);
            health.take(probe, was_refused, 1, 9);
            assert_eq!(health.seems_up(), seems_up, "{kind}");
        }
    }
}
