//! How many lines of one kind are written in a while, and how many were left out. Pure: it takes the time, and reads no clock.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tracing::Level;

/// The while. It is a second shorter than [`SAID`], because what was left out is looked for once a second.
const WHILE: Duration = Duration::from_secs(9);

/// Nothing is older that is counted when it is told.
pub(super) const SAID: Duration = Duration::from_secs(10);

/// Lines of one kind in it that are written: enough to see what is wrong, too few to hide anything else.
const MOST: u64 = 10;

/// Kinds that are told apart at a time. What comes beyond is one kind.
const KINDS: usize = 1000;

/// The kinds of lines there were lately.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    by_key: HashMap<u64, Kind>,
}

#[derive(Debug)]
struct Kind {
    since: Instant,
    lines: u64,
    left_out: LeftOut,
}

/// Lines that were not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub level: Level,
    /// One of them.
    pub like: String,
    pub count: u64,
}

impl Kinds {
    /// Whether a line is to be written. `like` is asked once it is the first one that is not.
    pub fn admit(&mut self, key: u64, level: Level, now: Instant, like: impl FnOnce() -> String) -> bool {
        // The others are one kind, which no key has but by chance.
        let is_known = self.by_key.contains_key(&key) || self.by_key.len() < KINDS;
        let new = || Kind { since: now, lines: 0, left_out: LeftOut { level, like: String::new(), count: 0 } };
        let kind = self.by_key.entry(if is_known { key } else { u64::MAX }).or_insert_with(new);
        kind.lines += 1;
        if kind.lines <= MOST {
            return true;
        }
        if kind.left_out.count == 0 {
            kind.left_out.like = like();
        }
        kind.left_out.count += 1;
        false
    }

    /// What was left out of each kind whose while is over. It is forgotten.
    pub fn due(&mut self, now: Instant) -> Vec<LeftOut> {
        let over = self.by_key.extract_if(|_, kind| now.saturating_duration_since(kind.since) >= WHILE);
        over.map(|(_, kind)| kind.left_out).filter(|left_out| left_out.count > 0).collect()
    }

    /// The same of every kind.
    pub fn all(&mut self) -> Vec<LeftOut> {
        self.by_key.drain().map(|(_, kind)| kind.left_out).filter(|left_out| left_out.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_of_a_kind_are_written_and_the_others_counted() {
        let (mut kinds, start) = (Kinds::default(), Instant::now());
        let mut admitted = |key, after| {
            let now = start + Duration::from_millis(after);
            kinds.admit(key, Level::WARN, now, || format!("line {after}"))
        };
        let written = (0..2000).filter(|after| admitted(1, *after)).count();
        assert_eq!(written as u64, MOST);
        assert!(admitted(2, 2000), "another kind");
        assert_eq!(kinds.due(start + Duration::from_secs(8)), []);
        let like = format!("line {MOST}");
        let left_out = LeftOut { level: Level::WARN, like, count: 2000 - MOST };
        assert_eq!(kinds.due(start + WHILE), [left_out]);
        assert!(kinds.admit(1, Level::WARN, start + WHILE, String::new), "a new while");
    }

    #[test]
    fn kinds_without_end_take_no_memory_without_end() {
        let (mut kinds, now) = (Kinds::default(), Instant::now());
        let written = (0..100_000).filter(|key| kinds.admit(*key, Level::INFO, now, String::new)).count();
        assert_eq!(written, KINDS + MOST as usize);
        let left_out: u64 = kinds.all().iter().map(|kind| kind.count).sum();
        assert_eq!(left_out, 100_000 - written as u64);
    }
}
