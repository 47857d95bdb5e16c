//! The demo from start to end.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use super::backend::DemoBackend;
use super::report::{self, Reporter, Step};
use super::script;
use super::stage::Stage;
use crate::types::Color;

/// How long the traffic runs unless the command says otherwise.
pub const DEFAULT_LENGTH: Duration = Duration::from_secs(20);

/// In less time no long exchange spans a switch.
const SHORTEST: Duration = Duration::from_secs(3);

/// What the command asks for.
#[derive(Debug, Clone, Copy)]
pub struct DemoOptions {
    /// How long traffic runs, with both switches in it; at least 3 s.
    pub run_for: Duration,
    /// Stay up after the traffic, until Ctrl-C.
    pub stay: bool,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Escape sequences in the text.
    pub color: bool,
}

/// Plays the demo to its end.
///
/// # Errors
/// When the demo could not be set up or was interrupted, when a switch was refused, or when an exchange was lost.
pub fn run(options: &DemoOptions) -> Result<(), String> {
    if options.run_for < SHORTEST {
        return Err(format!("--for is at least {} s: shorter, nothing spans a switch", SHORTEST.as_secs()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    LocalSet::new().block_on(&runtime, play(options))
}

async fn play(options: &DemoOptions) -> Result<(), String> {
    let reporter = Reporter::new(options.json, options.color);
    let blue = DemoBackend::start(Color::Blue).await?;
    let green = DemoBackend::start(Color::Green).await?;
    let stage = Stage::set(blue.addr, green.addr)?;
    let played = show(options, &stage, &reporter).await;
    // If the daemon has failed, its error says more than what its clients have seen.
    stage.strike().await.and(played)
}

async fn show(options: &DemoOptions, stage: &Stage, reporter: &Reporter) -> Result<(), String> {
    let listener = stage.open().await?;
    reporter.step(&Step::Started { url: listener.url(), run_for_ms: report::millis(options.run_for) });
    let performance = script::perform(options.run_for, &listener, stage.admin(), reporter);
    let tally = tokio::select! {
        tally = performance => tally?,
        () = interrupted() => return Err("interrupted".to_owned()),
    };
    reporter.result(&tally);
    if options.stay {
        reporter.step(&stage.invitation(&listener));
        interrupted().await;
    }
    match tally.lost() {
        0 => reporter.arrived(),
        lost => Err(format!("{lost} of {} exchanges were lost", tally.all())),
    }
}

/// SIGINT or SIGTERM; the daemon gets them too, and ends.
async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => {}
        _ = wait(SignalKind::terminate()) => {}
    }
}
