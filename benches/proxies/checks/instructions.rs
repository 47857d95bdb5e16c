//! Counting: callgrind's dumps, the counts that are kept, what has grown.

use crate::instructions::callgrind::totals;
use crate::instructions::kept::{Change, Counts, table};

#[test]
fn totals_are_the_last_of_a_dump() {
    assert_eq!(totals("events: Ir\nsummary: 7\n\nfn=(1) main\n1 7\n\ntotals: 12345\n"), Some(12345));
    assert_eq!(totals("events: Ir\n"), None);
}

fn counts(cells: &[(&str, u64)]) -> Counts {
    let cells = cells.iter().map(|(cell, count)| ((*cell).to_owned(), *count)).collect();
    Counts { valgrind: "3.19.0".into(), version: "0.1.0".into(), cells }
}

#[test]
fn growth_beyond_the_tolerance_is_growth() {
    let (before, now) =
        (counts(&[("a", 1000), ("b", 1000), ("c", 1000)]), counts(&[("a", 1009), ("b", 1012), ("c", 900)]));
    let grown: Vec<_> = now.changes(Some(&before)).iter().map(Change::has_grown).collect();
    assert_eq!(grown, [false, true, false]);
    assert!(table(&now.changes(Some(&before))).contains("+1.20%  GROWN"));
}

#[test]
fn a_new_cell_has_not_grown() {
    let now = counts(&[("a", 1000)]);
    assert!(!now.changes(Some(&counts(&[])))[0].has_grown());
    assert!(!now.changes(None)[0].has_grown());
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("instructions.json");
    assert_eq!(Counts::read(&path).unwrap(), None);
    counts(&[("a", 7)]).write(&path).unwrap();
    assert_eq!(Counts::read(&path).unwrap(), Some(counts(&[("a", 7)])));
}
