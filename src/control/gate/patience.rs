//! How long a gate waits for names that do not resolve. Pure.

use std::time::Duration;

/// A container that was started a moment ago gets its name within this time.
const STARTING: Duration = Duration::from_secs(5);

/// What the caller of the gate wants of a colour whose names do not resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamePatience {
    /// A rollback: the colour was there, so a name that is gone is gone.
    None,
    /// A switch or a canary, right after a deploy.
    Starting,
    /// Somebody waits for the colour, however long it takes.
    WholeGate,
}

/// How the names of a pool stand in this gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    /// Backends whose address is known now, and how many have to pass.
    pub resolved: usize,
    pub needed: usize,
    /// DNS says of all the others that there is no such name; not merely that it can't say.
    pub all_gone: bool,
    /// For how long too few have been known.
    pub lasting: Duration,
}

/// Whether it is no use to wait on.
pub(super) fn is_hopeless(patience: NamePatience, names: Names) -> bool {
    if names.resolved >= names.needed {
        return false;
    }
    match patience {
        NamePatience::None if names.all_gone => true,
        NamePatience::None | NamePatience::Starting => names.lasting >= STARTING,
        NamePatience::WholeGate => false,
    }
}

#[cfg(test)]
mod tests {
    use NamePatience::{None, Starting, WholeGate};

    use super::*;

    #[test]
    fn the_table() {
        let rows = [
            (None, 0, true, 0, true),
            (None, 0, false, 4, false),
            (None, 0, false, 5, true),
            (None, 1, true, 60, false),
            (Starting, 0, true, 0, false),
            (Starting, 0, true, 4, false),
            (Starting, 0, true, 5, true),
            (Starting, 0, false, 5, true),
            (Starting, 1, true, 60, false),
            (WholeGate, 0, true, 60, false),
        ];
        for (patience, resolved, all_gone, seconds, expected) in rows {
            let names = Names { resolved, needed: 1, all_gone, lasting: Duration::from_secs(seconds) };
            assert_eq!(is_hopeless(patience, names), expected, "{patience:?} with {names:?}");
        }
    }
}
