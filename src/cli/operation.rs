//! What switch, rollback and wait share: ask, show the steps, say how it ended.

use std::time::Duration;

use super::context::Context;
use super::failure::Failure;
use super::progress::Progress;
use super::span::{took, took_ms};
use crate::admin::wire::{Ask, End, Line};
use crate::control::{DrainReport, Switched};

/// Runs `verb` on a service to its end.
pub fn run(context: &Context, service: Option<&str>, verb: &str, ask: &Ask) -> Result<(), Failure> {
    let switched = context.block_on(async {
        let service = context.service_name(service).await?;
        let mut progress = Progress::new(&context.output);
        Ok(context.client.operate(&service, verb, ask, &mut |event| progress.step(event)).await?)
    })?;
    if context.output.json {
        context.output.json(&Line::End(End::Result { result: switched }));
    } else {
        context.output.say(describe(&switched, ask.wait));
    }
    Ok(())
}

/// What serves now, and what it took to get there.
fn describe(done: &Switched, waited: bool) -> String {
    let Switched { service, result, from, to, generation, .. } = done;
    match result.as_str() {
        "unchanged" => format!("{service}: {to} serves already (generation {generation}); nothing was changed"),
        "ready" => {
            let gate = done.gate_ms.map(|ms| format!(", gate passed in {}", took_ms(ms))).unwrap_or_default();
            format!("{service}: {to} is ready{gate}; {from} still serves (generation {generation})")
        }
        _ => format!("{service}: {to} serves now (generation {generation}), {from} before\n{}", times(done, waited)),
    }
}

fn times(done: &Switched, waited: bool) -> String {
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
    let parts = [Some(gate), flip, Some(drain).filter(|text| !text.is_empty())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
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

    fn switched(result: &str, drain: Option<DrainReport>) -> Switched {
        Switched {
            service: "app".into(),
            result: result.into(),
            from: Color::Blue,
            to: Color::Green,
            generation: 8,
            gate_ms: (result != "forced").then_some(1_240),
            flip_us: Some(312),
            drain,
        }
    }

    fn drain(began_with: usize, cut: usize) -> Option<DrainReport> {
        Some(DrainReport { color: Color::Blue, took_ms: 30_000, began_with, cut, cancelled: false })
    }

    #[test]
    fn the_end_says_what_serves_and_what_was_cut() {
        let text = describe(&switched("switched", drain(12, 3)), true);
        assert_eq!(
            text,
            "app: green serves now (generation 8), blue before\n\
             gate 1.2s · flip 312µs · drain 30s: 3 of 12 in flight cut at the deadline"
        );
        assert!(describe(&switched("switched", drain(12, 0)), true).ends_with("all 12 in flight finished"));
    }

    #[test]
    fn what_was_skipped_is_said() {
        let text = describe(&switched("forced", None), false);
        assert!(text.contains("gate skipped (--force)") && text.ends_with("blue drains on in the daemon"), "{text}");
    }

    #[test]
    fn nothing_changed_is_said() {
        assert!(describe(&switched("unchanged", None), true).contains("nothing was changed"));
        assert!(describe(&switched("ready", None), true).contains("blue still serves"));
    }
}
