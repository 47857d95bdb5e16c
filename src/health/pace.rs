//! When the next probe of a backend is due. Pure: what the last one has seen comes in, how soon to look again comes out.

use std::time::Duration;

/// The pause between probes that are not to wait for the interval.
pub(super) const SOON: Duration = Duration::from_millis(200);

/// For how long a backend to which there is no connection is probed that often: long enough for a container that restarts.
const PATIENCE: Duration = Duration::from_mins(1);

/// How a backend stands after a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub passed: bool,
    /// Nothing listened there.
    pub refused: bool,
    pub up: bool,
    /// It was up at some time.
    pub has_been_up: bool,
    /// A request has found no connection to it, and none was made since.
    pub doubted: bool,
    /// For how long there has been no connection to it.
    pub unreachable_for: Duration,
}

/// How soon the next probe is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    AtOnce,
    /// After [`SOON`].
    Soon,
    ByInterval,
}

pub(super) fn due(standing: Standing) -> Due {
    let Standing { passed, refused, up, has_been_up, doubted, unreachable_for } = standing;
    if passed {
        // The first passes are counted without waiting `rise` intervals.
        return if has_been_up { Due::ByInterval } else { Due::Soon };
    }
    if refused && up {
        // A second refusal takes it down; until then it gets requests, and says that it is up.
        return Due::AtOnce;
    }
    if (refused || doubted) && unreachable_for < PATIENCE { Due::Soon } else { Due::ByInterval }
}

#[cfg(test)]
mod tests {
    use Due::{AtOnce, ByInterval, Soon};

    use super::*;

    /// What stands: `passed`, `refused`, `up`, `was` up at some time, `doubted`, and for how long there was no connection.
    fn after(words: &str, seconds: u64) -> Due {
        let is = |word| words.split(' ').any(|said| said == word);
        due(Standing {
            passed: is("passed"),
            refused: is("refused"),
            up: is("up"),
            has_been_up: is("was") || is("up"),
            doubted: is("doubted"),
            unreachable_for: Duration::from_secs(seconds),
        })
    }

    #[test]
    fn the_table() {
        let rows = [
            ("passed", 0, Soon),
            ("passed up", 0, ByInterval),
            ("passed was", 0, ByInterval),
            ("failed up", 0, ByInterval),
            ("failed", 0, ByInterval),
            // The first refusal, the second, and those that follow.
            ("refused up", 0, AtOnce),
            ("refused was", 0, Soon),
            ("refused was", 59, Soon),
            ("refused was", 60, ByInterval),
            // A container that is being started refuses too.
            ("refused", 1, Soon),
            ("refused", 3600, ByInterval),
            // A dead address swallows what is sent to it: `fall` counts, soon.
            ("failed up doubted", 2, Soon),
            ("failed was doubted", 59, Soon),
            ("failed was doubted", 61, ByInterval),
        ];
        for (words, seconds, expected) in rows {
            assert_eq!(after(words, seconds), expected, "{words}, {seconds} s");
        }
    }
}
