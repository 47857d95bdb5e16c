//! `edgectl demo`: a real front door with two backends behind it, in one process, and traffic that counts what it loses.
//!
//! Owns the demo alone: its backends, its traffic, its stage in a temp folder. What it shows is the product's own path:
//! the daemon runs as [`crate::daemon::serve_until`] does for everyone, and is switched through its admin socket.
//! Who plays what: `stage` (folder, config, daemon), `backend`, `traffic` (one file a kind), `turns` (which colour may
//! answer), `script` (what happens when), `report` (what is told). Touches nothing outside its folder.

mod backend;
mod report;
mod script;
mod stage;
mod tally;
mod traffic;
mod turns;

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use backend::Backend;
use report::{Reporter, Step};
use stage::Stage;

use crate::types::Color;

/// How long the traffic runs when nobody says.
pub const DEFAULT_LENGTH: Duration = Duration::from_secs(20);

/// Below it nothing long can span a switch.
const SHORTEST: Duration = Duration::from_secs(3);

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long traffic runs, both switches within it; at least 3 s.
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
/// When the demo could not be set up, was interrupted, a switch was refused, or an exchange was lost; a sentence each.
pub fn run(options: &Options) -> Result<(), String> {
    if options.run_for < SHORTEST {
        return Err(format!("--for is at least {} s: shorter, nothing spans a switch", SHORTEST.as_secs()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start a runtime: {e}"))?;
    LocalSet::new().block_on(&runtime, play(options))
}

async fn play(options: &Options) -> Result<(), String> {
    let reporter = Reporter::new(options.json, options.color);
    let blue = Backend::start(Color::Blue).await?;
    let green = Backend::start(Color::Green).await?;
    let stage = Stage::set(blue.addr, green.addr)?;
    let played = show(options, &stage, &reporter).await;
    // How the daemon ended says more than what was seen of it.
    stage.strike().await.and(played)
}

async fn show(options: &Options, stage: &Stage, reporter: &Reporter) -> Result<(), String> {
    let door = stage.open().await?;
    reporter.step(&Step::Started { url: door.url(), run_for_ms: report::millis(options.run_for) });
    let performance = script::perform(options.run_for, &door, stage.admin(), reporter);
    let tally = tokio::select! {
        tally = performance => tally?,
        () = interrupted() => return Err("interrupted".to_owned()),
    };
    reporter.result(&tally);
    if options.stay {
        reporter.step(&stage.invitation(&door));
        interrupted().await;
    }
    match tally.lost() {
        0 => Ok(()),
        lost => Err(format!("{lost} of {} exchanges were lost", tally.all())),
    }
}

/// SIGINT or SIGTERM; the daemon takes them too, and ends.
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
