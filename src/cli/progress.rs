//! The steps of an operation while it runs: one live line on a terminal, one line a step elsewhere, NDJSON with `--json`.

use std::collections::HashMap;

use super::output::Output;
use super::span::took_ms;
use super::table::printable;
use crate::admin::wire::Line;
use crate::control::Event;

/// Shows steps; takes its live line away when dropped.
pub struct Progress<'a> {
    output: &'a Output,
    /// What each backend's last probe said: the same again is not a new line.
    told: HashMap<String, String>,
}

impl<'a> Progress<'a> {
    pub fn new(output: &'a Output) -> Self {
        Self { output, told: HashMap::new() }
    }

    pub fn step(&mut self, event: &Event) {
        if self.output.json {
            return self.output.json(&Line::Step(event.clone()));
        }
        let text = printable(&describe(event));
        if self.output.is_live {
            return self.output.live(&text);
        }
        if let Event::Probed { backend, .. } = event {
            if self.told.get(backend) == Some(&text) {
                return;
            }
            self.told.insert(backend.clone(), text.clone());
        }
        self.output.note(text);
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.output.is_live && !self.output.json {
            self.output.live("");
        }
    }
}

/// One line about a step.
pub fn describe(event: &Event) -> String {
    match event {
        Event::GateStarted { service, color, timeout_ms } => {
            format!("{service}: probing {color}, for at most {}", took_ms(*timeout_ms))
        }
        Event::Probed { backend, passes, of, outcome } => format!("{backend}: {outcome} ({passes} of {of} in a row)"),
        Event::GatePassed { took_ms: ms } => format!("gate passed in {}", took_ms(*ms)),
        Event::WarmedUp { requests, took_ms: ms } => {
            let s = if *requests == 1 { "" } else { "s" };
            format!("warmed up with {requests} request{s} in {}", took_ms(*ms))
        }
        Event::Flipped { from, to, generation, .. } => {
            format!("{to} serves, {from} no longer (generation {generation})")
        }
        Event::Canary { color, percent, generation } => {
            format!("{percent} % of the clients go to {color} (generation {generation})")
        }
        Event::Watching { color, for_ms } => format!("watching {color} for {}", took_ms(*for_ms)),
        Event::Watched(verdict) => format!("{}: {}", verdict.color, verdict.why),
        Event::Pausing { in_flight } => format!("new requests are held; {in_flight} still in flight"),
        Event::Draining { color, in_flight, deadline_ms } => {
            format!("draining {color}: {in_flight} in flight, cut after {}", took_ms(*deadline_ms))
        }
        Event::Drained(report) => format!("{} drained in {}", report.color, took_ms(report.took_ms)),
    }
}
