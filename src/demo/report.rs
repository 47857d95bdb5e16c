//! What the demo prints: text for people, or one JSON object a line.
//!
//! A closed pipe is no error of the demo: what can't be written is dropped. Anything else, such as a full disk, is told at its end.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};
use std::time::Duration;

use serde::Serialize;

use super::tally::{Counts, ExchangeTally, TrafficKind};
use crate::types::Color;

/// Prints steps as they happen, and the result at the end, on stdout.
pub(super) struct Reporter {
    json: bool,
    color: bool,
    /// Why some of it was not printed.
    unwritten: OnceCell<io::Error>,
}

/// What has happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Step {
    Started { url: String, run_for_ms: u64 },
    Switched { at_ms: u64, verb: Turn, to: Color, gate_ms: Option<u64>, flip_us: Option<u64> },
    Stays { lines: Vec<String> },
}

/// Which way the traffic moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Turn {
    Switch,
    Rollback,
}

#[derive(Debug, Serialize)]
struct DemoResult {
    event: &'static str,
    exchanges: u64,
    lost: u64,
    kinds: Vec<KindRow>,
}

#[derive(Debug, Serialize)]
struct KindRow {
    kind: &'static str,
    exchanges: u64,
    lost: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    /// Each cause, and how often.
    causes: Vec<(String, u64)>,
}

impl Reporter {
    pub fn new(json: bool, color: bool) -> Self {
        Self { json, color, unwritten: OnceCell::new() }
    }

    pub fn step(&self, step: &Step) {
        self.say(if self.json { json_line(step) } else { self.sentence(step) });
    }

    pub fn result(&self, tally: &ExchangeTally) {
        let kinds: Vec<KindRow> = TrafficKind::ALL.iter().map(|kind| row(*kind, &tally.of(*kind))).collect();
        let outcome = DemoResult { event: "result", exchanges: tally.all(), lost: tally.lost(), kinds };
        self.say(if self.json { json_line(&outcome) } else { self.table(&outcome) });
    }

    /// # Errors
    /// When stdout has not taken something, and has not just been closed.
    pub fn arrived(&self) -> Result<(), String> {
        let error = |error| format!("the output could not be written: {error}; is what stdout leads to full?");
        self.unwritten.get().map_or(Ok(()), |why| Err(error(why)))
    }

    fn say(&self, text: String) {
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => drop(self.unwritten.set(error)),
            _ => {}
        }
    }

    fn sentence(&self, step: &Step) -> String {
        match step {
            Step::Started { url, run_for_ms } => {
                let seconds = run_for_ms / 1000;
                format!("{url} is open, two backends behind it; {seconds} s of mixed traffic\n\n  0.0 s  blue serves\n")
            }
            Step::Switched { at_ms, verb, to, gate_ms, flip_us } => {
                let done = match verb {
                    Turn::Switch => "switched to",
                    Turn::Rollback => "rolled back to",
                };
                let gate = show(gate_ms.map(|ms| ms * 1000));
                let flip = show(*flip_us);
                let to = self.paint(*to);
                format!("{:5} s  {done} {to}: gate {}, flip {}\n", tenths(*at_ms), gate.trim(), flip.trim())
            }
            Step::Stays { lines } => {
                let lines = lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
                format!("\nIt stays up until Ctrl-C. To try, from another terminal:\n\n{lines}\n")
            }
        }
    }

    fn table(&self, outcome: &DemoResult) -> String {
        let mut text = format!("\n  {:14}{:>10}{:>7}{:>11}{:>11}\n", "", "exchanges", "lost", "p50", "p99");
        for row in &outcome.kinds {
            let (p50, p99) = (show(row.p50_us), show(row.p99_us));
            let _ = writeln!(text, "  {:14}{:>10}{:>7}{p50:>11}{p99:>11}", row.kind, row.exchanges, row.lost);
        }
        for row in &outcome.kinds {
            for (cause, times) in &row.causes {
                let _ = writeln!(text, "  {}: {times} x {cause}", row.kind);
            }
        }
        let verdict = format!("{} of {} exchanges lost", outcome.lost, outcome.exchanges);
        let _ = writeln!(text, "\n  {}", self.styled(if outcome.lost == 0 { "1;32" } else { "1;31" }, &verdict));
        text
    }

    fn paint(&self, color: Color) -> String {
        self.styled(if color == Color::Blue { "34" } else { "32" }, color.as_str())
    }

    /// ECMA-48, 8.3.117 (SGR).
    fn styled(&self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn row(kind: TrafficKind, counts: &Counts) -> KindRow {
    let micros = |p| counts.percentile(p).map(|took| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    KindRow {
        kind: kind.label(),
        exchanges: counts.all(),
        lost: counts.lost(),
        p50_us: micros(50),
        p99_us: micros(99),
        causes: counts.causes().iter().map(|(why, times)| (why.clone(), *times)).collect(),
    }
}

/// Microseconds in a unit that people read; `-` if nothing was measured.
fn show(micros: Option<u64>) -> String {
    match micros {
        None => "-".to_owned(),
        Some(us) if us < 1000 => format!("{us} µs"),
        Some(us) if us < 1_000_000 => format!("{} ms", tenths(us)),
        Some(us) => format!("{} s", tenths(us / 1000)),
    }
}

/// A thousandth of it, with one decimal.
fn tenths(thousandths: u64) -> String {
    format!("{:>3}.{}", thousandths / 1000, thousandths % 1000 / 100)
}

fn json_line(value: &impl Serialize) -> String {
    serde_json::to_string(value).map_or_else(|_| String::new(), |line| line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let told = [Some(412), Some(1_250), Some(9_020_000), None].map(show);
        assert_eq!(told.map(|text| text.trim().to_owned()), ["412 µs", "1.2 ms", "9.0 s", "-"]);
    }

    #[test]
    fn a_lost_exchange_is_shown_with_its_cause() {
        let tally = ExchangeTally::default();
        tally.failed(TrafficKind::Post, "got 502".to_owned());
        let kinds = vec![row(TrafficKind::Post, &tally.of(TrafficKind::Post))];
        let outcome = DemoResult { event: "result", exchanges: 1, lost: 1, kinds };
        let text = Reporter::new(false, false).table(&outcome);
        assert!(text.contains("POST: 1 x got 502") && text.contains("1 of 1 exchanges lost"), "{text}");
    }
}
