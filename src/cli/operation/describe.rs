//! How an operation ended, in a sentence.

use std::time::Duration;

use crate::admin::wire::ServiceVerb;
use crate::cli::terminal::CommandFailure;
use crate::cli::terminal::span::{took, took_ms};
use crate::control::{DrainReport, OperationDone, OperationResult, VerdictKind, WatchVerdict};
use crate::types::{Color, show_duration};

/// An operation that was done, but whose end is a failure for its caller.
pub fn failure(done: &OperationDone, verb: ServiceVerb) -> Option<CommandFailure> {
    let OperationDone { service, generation, .. } = done;
    let (from, to) = (name(done.from), name(done.to));
    let verdict = done.verdict.as_ref();
    match (verdict.map(|verdict| verdict.kind), verdict) {
        (Some(VerdictKind::RolledBack), Some(verdict)) => {
            let why =
                format!("{service}: rolled back, {from} serves (generation {generation}): of {to}, {}", verdict.why);
            return Some(CommandFailure::rolled_back(why));
        }
        (Some(VerdictKind::Failed), Some(verdict)) => {
            let why =
                format!("{service}: {to} serves (generation {generation}) but its watch has failed: {}", verdict.why);
            return Some(CommandFailure::failed(why));
        }
        _ => {}
    }
    if verb == ServiceVerb::Pause && done.result == OperationResult::Resumed {
        return Some(CommandFailure::conflict(format!("{service}: not paused: someone has resumed it meanwhile")));
    }
    let left = done.in_flight.filter(|left| *left > 0)?;
    Some(CommandFailure::failed(format!(
        "{service}: paused, but {left} still in flight; `edgectl status` says which, `edgectl resume {service}` lets go"
    )))
}

/// What serves now, and the times it took.
pub fn describe(done: &OperationDone, verb: ServiceVerb, waited: bool) -> String {
    let OperationDone { service, result, generation, .. } = done;
    let (from, to) = (name(done.from), name(done.to));
    match result {
        OperationResult::Unchanged => {
            let is_so = match verb {
                ServiceVerb::Resume => "not paused".to_owned(),
                ServiceVerb::Maintenance => "not in maintenance".to_owned(),
                ServiceVerb::Canary => format!("no canary, all clients go to {to}"),
                _ => format!("{to} serves already"),
            };
            let canary = done.percent.map(|percent| {
                let other = name(done.to.map(Color::other));
                format!(", and {percent} % of the clients go to {other}: `edgectl canary off {service}` ends that")
            });
            let canary = canary.unwrap_or_default();
            format!("{service}: {is_so} (generation {generation}); nothing was changed{canary}")
        }
        OperationResult::Canary => {
            let percent = done.percent.unwrap_or_default();
            format!("{service}: {percent} % of the clients go to {to}, the others to {from} (generation {generation})")
        }
        OperationResult::CanaryOff => {
            let drain = done.drain.as_ref().map(|report| format!("\n{}", drained(report))).unwrap_or_default();
            format!("{service}: all clients go to {to} (generation {generation}){drain}")
        }
        OperationResult::Paused => {
            format!(
                "{service}: paused, nothing is in flight (generation {generation}); `edgectl resume {service}` lets go"
            )
        }
        OperationResult::Resumed => format!("{service}: requests go on (generation {generation})"),
        OperationResult::MaintenanceOn => format!("{service}: in maintenance (generation {generation})"),
        OperationResult::MaintenanceOff => format!("{service}: out of maintenance (generation {generation})"),
        OperationResult::Ready => {
            let gate = done.gate_ms.map(|ms| format!(", gate passed in {}", took_ms(ms))).unwrap_or_default();
            format!("{service}: {to} is ready{gate}; {from} still serves (generation {generation})")
        }
        _ if is_overtaken(done) => format!(
            "{service}: {to} served (generation {generation}), and someone has moved the traffic since; see `edgectl \
             status`\n{}",
            times(done, waited)
        ),
        _ => format!("{service}: {to} serves now (generation {generation}), {from} before\n{}", times(done, waited)),
    }
}

/// Whether another operation moved the traffic while this one waited for a watch or a drain.
fn is_overtaken(done: &OperationDone) -> bool {
    let is_ended = done.verdict.as_ref().is_some_and(|verdict| verdict.kind == VerdictKind::Ended);
    is_ended || done.drain.as_ref().is_some_and(|report| report.cancelled)
}

fn times(done: &OperationDone, waited: bool) -> String {
    let gate = match done.gate_ms {
        Some(ms) => format!("gate {}", took_ms(ms)),
        None => "gate skipped (--force): nothing has probed it".to_owned(),
    };
    let flip = done.flip_us.map(|us| format!("flip {}", took(Duration::from_micros(us))));
    let drain = match &done.drain {
        Some(report) => drained(report),
        None if waited => String::new(),
        None => format!("{} drains on in the daemon", name(done.from)),
    };
    let watch = done.verdict.as_ref().map(watched);
    let parts = [Some(gate), flip, watch, Some(drain).filter(|text| !text.is_empty())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Only a service with colours has anything to say about them.
fn name(color: Option<Color>) -> &'static str {
    color.map_or("-", Color::as_str)
}

fn watched(verdict: &WatchVerdict) -> String {
    let spent = took_ms(verdict.watched_ms);
    match verdict.kind {
        VerdictKind::Inconclusive => format!("watch {spent}: INCONCLUSIVE, {}", verdict.why),
        _ => format!("watch {spent}: {}", verdict.why),
    }
}

/// A drain, with what its time was spent on: the cuts after the deadline are spread over two seconds, and a WebSocket has
/// some time to say farewell.
pub fn drained(report: &DrainReport) -> String {
    let DrainReport { color, took_ms: ms, began_with, cut, cancelled, deadline_ms, cut_after_ms } = report;
    let spent = took_ms(*ms);
    match (cancelled, began_with, cut) {
        (true, _, 0) => format!("drain of {color} cancelled after {spent} by a switch back, nothing cut"),
        (true, ..) => {
            format!("drain of {color} cancelled after {spent} by a switch back, {cut} of {began_with} cut before")
        }
        (false, 0, 0) => format!("drain {spent}: nothing was in flight"),
        (false, _, 0) if let Some(deadline) = deadline_ms.filter(|_| cut_after_ms.is_some()) => {
            let deadline = show_duration(Duration::from_millis(deadline));
            format!(
                "drain {spent}: {deadline} deadline, then the last of {began_with} in flight finished; none was cut"
            )
        }
        (false, _, 0) => format!("drain {spent}: all {began_with} in flight finished"),
        (false, ..) => format!("drain {spent}: {}", cuts(report)),
    }
}

/// How many exchanges were cut, and how long that took after the deadline.
pub fn cuts(report: &DrainReport) -> String {
    let DrainReport { took_ms: ms, began_with, cut, deadline_ms, cut_after_ms, .. } = report;
    match (deadline_ms, cut_after_ms) {
        (Some(deadline), Some(after)) => format!(
            "{} deadline, then {cut} of {began_with} in flight cut over {}",
            show_duration(Duration::from_millis(*deadline)),
            took_ms(ms.saturating_sub(*after))
        ),
        _ => format!("{cut} of {began_with} in flight cut at the deadline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switched(result: OperationResult, drain: Option<DrainReport>) -> OperationDone {
        OperationDone {
            service: "app".into(),
            result: result.clone(),
            from: Some(Color::Blue),
            to: Some(Color::Green),
            generation: 8,
            gate_ms: (result != OperationResult::Forced).then_some(1_240),
            flip_us: Some(312),
            drain,
            verdict: None,
            percent: None,
            in_flight: None,
        }
    }

    fn drain(began_with: usize, cut: usize) -> Option<DrainReport> {
        Some(DrainReport {
            color: Color::Blue,
            took_ms: 32_010,
            began_with,
            cut,
            deadline_ms: Some(30_000),
            cut_after_ms: (cut > 0).then_some(30_002),
            cancelled: false,
        })
    }

    #[test]
    fn the_end_says_what_serves_and_what_was_cut() {
        let text = describe(&switched(OperationResult::Switched, drain(12, 3)), ServiceVerb::Switch, true);
        assert_eq!(
            text,
            "app: green serves now (generation 8), blue before\n\
             gate 1.2s · flip 312µs · drain 32s: 30s deadline, then 3 of 12 in flight cut over 2.0s"
        );
        let of_older = drain(12, 3).map(|report| DrainReport { deadline_ms: None, cut_after_ms: None, ..report });
        assert!(
            describe(&switched(OperationResult::Switched, of_older), ServiceVerb::Switch, true)
                .ends_with("drain 32s: 3 of 12 in flight cut at the deadline")
        );
        assert!(
            describe(&switched(OperationResult::Switched, drain(12, 0)), ServiceVerb::Switch, true)
                .ends_with("all 12 in flight finished")
        );
        let late = drain(12, 0).map(|report| DrainReport { cut_after_ms: Some(30_002), ..report });
        assert!(
            describe(&switched(OperationResult::Switched, late), ServiceVerb::Switch, true)
                .ends_with("drain 32s: 30s deadline, then the last of 12 in flight finished; none was cut")
        );
    }

    #[test]
    fn a_colour_that_serves_no_more_is_not_said_to_serve() {
        let cancelled = drain(2, 0).map(|report| DrainReport { cancelled: true, ..report });
        let text = describe(&switched(OperationResult::Switched, cancelled), ServiceVerb::Switch, true);
        assert!(
            text.starts_with("app: green served (generation 8), and someone has moved the traffic since"),
            "{text}"
        );
        assert!(text.ends_with("drain of blue cancelled after 32s by a switch back, nothing cut"), "{text}");
    }

    #[test]
    fn a_skipped_gate_is_mentioned() {
        let text = describe(&switched(OperationResult::Forced, None), ServiceVerb::Switch, false);
        assert!(text.contains("gate skipped (--force)") && text.ends_with("blue drains on in the daemon"), "{text}");
    }

    #[test]
    fn an_unchanged_service_is_described() {
        let unchanged = |verb| describe(&switched(OperationResult::Unchanged, None), verb, true);
        assert_eq!(unchanged(ServiceVerb::Switch), "app: green serves already (generation 8); nothing was changed");
        assert_eq!(
            unchanged(ServiceVerb::Canary),
            "app: no canary, all clients go to green (generation 8); nothing was changed"
        );
        assert_eq!(unchanged(ServiceVerb::Resume), "app: not paused (generation 8); nothing was changed");
        assert!(
            describe(&switched(OperationResult::Ready, None), ServiceVerb::Gate, true).contains("blue still serves")
        );
    }
}
