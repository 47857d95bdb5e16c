//! The steps of an operation while it runs: one live line on a terminal, one line a step elsewhere, NDJSON with `--json`.

use std::collections::HashMap;

use super::describe::cuts;
use crate::admin::wire::StreamLine;
use crate::cli::terminal::TerminalOutput;
use crate::cli::terminal::span::took_ms;
use crate::cli::terminal::table::printable;
use crate::control::OperationEvent;

/// Shows steps; clears its live line when dropped.
pub struct ProgressView<'a> {
    output: &'a TerminalOutput,
    /// The last line about each backend's probes: the same text is not printed again.
    shown: HashMap<String, String>,
}

impl<'a> ProgressView<'a> {
    pub fn new(output: &'a TerminalOutput) -> Self {
        Self { output, shown: HashMap::new() }
    }

    pub fn step(&mut self, event: &OperationEvent) {
        if self.output.json {
            return self.output.json(&StreamLine::Step(event.clone()));
        }
        let text = printable(&step_text(event));
        if self.output.is_live {
            return self.output.live(&text);
        }
        if let OperationEvent::Probed { backend, .. } = event {
            if self.shown.get(backend) == Some(&text) {
                return;
            }
            self.shown.insert(backend.clone(), text.clone());
        }
        self.output.note(text);
    }
}

impl Drop for ProgressView<'_> {
    fn drop(&mut self) {
        if self.output.is_live && !self.output.json {
            self.output.live("");
        }
    }
}

/// One line about a step.
pub fn step_text(event: &OperationEvent) -> String {
    match event {
        OperationEvent::GateStarted { service, color, timeout_ms } => {
            format!("{service}: probing {color}, for at most {}", took_ms(*timeout_ms))
        }
        OperationEvent::Probed { backend, passes, of, outcome } => {
            format!("{backend}: {outcome} ({passes} of {of} in a row)")
        }
        OperationEvent::GatePassed { took_ms: ms } => format!("gate passed in {}", took_ms(*ms)),
        OperationEvent::WarmedUp { requests, took_ms: ms } => {
            let s = if *requests == 1 { "" } else { "s" };
            format!("warmed up with {requests} request{s} in {}", took_ms(*ms))
        }
        OperationEvent::Flipped { from, to, generation, .. } => {
            format!("{to} serves, {from} no longer (generation {generation})")
        }
        OperationEvent::Canary { color, percent, generation } => {
            format!("{percent} % of the clients go to {color} (generation {generation})")
        }
        OperationEvent::Watching { color, for_ms } => format!("watching {color} for {}", took_ms(*for_ms)),
        OperationEvent::Watched(verdict) => format!("{}: {}", verdict.color, verdict.why),
        OperationEvent::Pausing { in_flight } => format!("new requests are held; {in_flight} still in flight"),
        OperationEvent::Draining { color, in_flight, deadline_ms } => {
            format!(
                "draining {color}: {in_flight} in flight; what is left after {} is cut, over 2s",
                took_ms(*deadline_ms)
            )
        }
        OperationEvent::Drained(report) => {
            let cuts = if report.cut > 0 { format!(": {}", cuts(report)) } else { String::new() };
            format!("{} drained in {}{cuts}", report.color, took_ms(report.took_ms))
        }
    }
}
