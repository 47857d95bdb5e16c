//! What switch, rollback and wait share: ask, show the steps, say how it ended.

use std::time::Duration;

use super::context::Context;
use super::failure::Failure;
use super::progress::Progress;
use super::span::{took, took_ms};
use crate::admin::wire::{Ask, End, Line};
use crate::control::{Done, DrainReport, Verdict, Word};

/// Runs `verb` on a service to its end.
pub fn run(context: &Context, service: Option<&str>, verb: &str, ask: &Ask) -> Result<(), Failure> {
    let switched = context.block_on(async {
        let service = match verb {
            "pause" | "resume" | "maintenance" => context.any_service(service).await?,
            _ => context.service_name(service).await?,
        };
        let mut progress = Progress::new(&context.output);
        Ok(context.client.operate(&service, verb, ask, &mut |event| progress.step(event)).await?)
    })?;
    let failure = failure(&switched, verb);
    if context.output.json {
        context.output.json(&Line::End(End::Result { result: switched }));
        return failure.map_or(Ok(()), |failure| Err(failure.told()));
    }
    match failure {
        Some(failure) => Err(failure),
        None => {
            context.output.say(describe(&switched, verb, ask.wait));
            Ok(())
        }
    }
}

/// What was done, but not what was hoped for.
fn failure(done: &Done, verb: &str) -> Option<Failure> {
    let Done { service, from, to, generation, .. } = done;
    let verdict = done.verdict.as_ref();
    match (verdict.map(|verdict| verdict.verdict), verdict) {
        (Some(Word::RolledBack), Some(verdict)) => {
            let why =
                format!("{service}: rolled back, {from} serves (generation {generation}): of {to}, {}", verdict.why);
            return Some(Failure::rolled_back(why));
        }
        (Some(Word::Failed), Some(verdict)) => {
            let why =
                format!("{service}: {to} serves (generation {generation}) but its watch has failed: {}", verdict.why);
            return Some(Failure::failed(why));
        }
        _ => {}
    }
    if verb == "pause" && done.result == "resumed" {
        return Some(Failure::conflict(format!("{service}: not paused: someone has resumed it meanwhile")));
    }
    let left = done.in_flight.filter(|left| *left > 0)?;
    Some(Failure::failed(format!(
        "{service}: paused, but {left} still in flight; `edgectl status` says which, `edgectl resume` lets go"
    )))
}

/// What serves now, and what it took to get there.
pub fn describe(done: &Done, verb: &str, waited: bool) -> String {
    let Done { service, result, from, to, generation, .. } = done;
    match result.as_str() {
        "unchanged" => {
            let is_so = match verb {
                "resume" => "not paused".to_owned(),
                "maintenance" => "not in maintenance".to_owned(),
                "canary" => format!("no canary, all clients go to {to}"),
                _ => format!("{to} serves already"),
            };
            let canary = done.percent.map(|percent| {
                format!(", and {percent} % of the clients go to {}: `edgectl canary off` ends that", to.other())
            });
            let canary = canary.unwrap_or_default();
            format!("{service}: {is_so} (generation {generation}); nothing was changed{canary}")
        }
        "canary" => {
            let percent = done.percent.unwrap_or_default();
            format!("{service}: {percent} % of the clients go to {to}, the others to {from} (generation {generation})")
        }
        "canary-off" => {
            let drain = done.drain.as_ref().map(|report| format!("\n{}", drained(report))).unwrap_or_default();
            format!("{service}: all clients go to {to} (generation {generation}){drain}")
        }
        "paused" => {
            format!("{service}: paused, nothing is in flight (generation {generation}); `edgectl resume` lets go")
        }
        "resumed" => format!("{service}: requests go on (generation {generation})"),
        "maintenance-on" => format!("{service}: in maintenance (generation {generation})"),
        "maintenance-off" => format!("{service}: out of maintenance (generation {generation})"),
        "ready" => {
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

/// Whether the traffic was moved while it was waited for a watch or a drain.
fn is_overtaken(done: &Done) -> bool {
    let is_ended = done.verdict.as_ref().is_some_and(|verdict| verdict.verdict == Word::Ended);
    is_ended || done.drain.as_ref().is_some_and(|report| report.cancelled)
}

fn times(done: &Done, waited: bool) -> String {
    let gate = match done.gate_ms {
        Some(ms) => format!("gate {}", took_ms(ms)),
        None => "gate skipped (--force): nothing has probed it".to_owned(),
    };
    let flip = done.flip_us.map(|us| format!("flip {}", took(Duration::from_micros(us))));
    let drain = match &done.drain {
        Some(report) => drained(report),
        None if waited => String::new(),
        None => format!("{} drains on in the daemon", done.from),
    };
    let watch = done.verdict.as_ref().map(watched);
    let parts = [Some(gate), flip, watch, Some(drain).filter(|text| !text.is_empty())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn watched(verdict: &Verdict) -> String {
    let spent = took_ms(verdict.watched_ms);
    match verdict.verdict {
        Word::Inconclusive => format!("watch {spent}: INCONCLUSIVE, {}", verdict.why),
        _ => format!("watch {spent}: {}", verdict.why),
    }
}

fn drained(report: &DrainReport) -> String {
    let DrainReport { color, took_ms: ms, began_with, cut, cancelled } = report;
    let spent = took_ms(*ms);
    match (cancelled, began_with, cut) {
        (true, _, 0) => format!("drain of {color} cancelled after {spent} by a switch back, nothing cut"),
        (true, ..) => {
            format!("drain of {color} cancelled after {spent} by a switch back, {cut} of {began_with} cut before")
        }
        (false, 0, 0) => format!("drain {spent}: nothing was in flight"),
        (false, _, 0) => format!("drain {spent}: all {began_with} in flight finished"),
        (false, ..) => format!("drain {spent}: {cut} of {began_with} in flight cut at the deadline"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Color;

    fn switched(result: &str, drain: Option<DrainReport>) -> Done {
        Done {
            service: "app".into(),
            result: result.into(),
            from: Color::Blue,
            to: Color::Green,
            generation: 8,
            gate_ms: (result != "forced").then_some(1_240),
            flip_us: Some(312),
            drain,
            verdict: None,
            percent: None,
            in_flight: None,
        }
    }

    fn drain(began_with: usize, cut: usize) -> Option<DrainReport> {
        Some(DrainReport { color: Color::Blue, took_ms: 30_000, began_with, cut, cancelled: false })
    }

    #[test]
    fn the_end_says_what_serves_and_what_was_cut() {
        let text = describe(&switched("switched", drain(12, 3)), "switch", true);
        assert_eq!(
            text,
            "app: green serves now (generation 8), blue before\n\
             gate 1.2s · flip 312µs · drain 30s: 3 of 12 in flight cut at the deadline"
        );
        assert!(describe(&switched("switched", drain(12, 0)), "switch", true).ends_with("all 12 in flight finished"));
    }

    #[test]
    fn what_does_not_serve_any_more_is_not_said_to() {
        let cancelled = drain(2, 0).map(|report| DrainReport { cancelled: true, ..report });
        let text = describe(&switched("switched", cancelled), "switch", true);
        assert!(
            text.starts_with("app: green served (generation 8), and someone has moved the traffic since"),
            "{text}"
        );
        assert!(text.ends_with("drain of blue cancelled after 30s by a switch back, nothing cut"), "{text}");
    }

    #[test]
    fn what_was_skipped_is_said() {
        let text = describe(&switched("forced", None), "switch", false);
        assert!(text.contains("gate skipped (--force)") && text.ends_with("blue drains on in the daemon"), "{text}");
    }

    #[test]
    fn nothing_changed_is_said() {
        let unchanged = |verb| describe(&switched("unchanged", None), verb, true);
        assert_eq!(unchanged("switch"), "app: green serves already (generation 8); nothing was changed");
        assert_eq!(unchanged("canary"), "app: no canary, all clients go to green (generation 8); nothing was changed");
        assert_eq!(unchanged("resume"), "app: not paused (generation 8); nothing was changed");
        assert!(describe(&switched("ready", None), "gate", true).contains("blue still serves"));
    }
}
