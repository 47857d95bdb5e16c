//! `edgectl demo`: edgectl with two backends in one process, switched under load.

use std::io::IsTerminal;
use std::time::Duration;

use super::context::CommandContext;
use super::terminal::CommandFailure;
use crate::demo::{self, DemoOptions};
use crate::types::parse_duration;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long to send traffic
    #[arg(long = "for", value_name = "DURATION", default_value = "20s", value_parser = parse_duration)]
    run_for: Duration,
}

impl Args {
    /// Fails if a single exchange is lost. On a terminal the demo stays up afterwards, until Ctrl-C.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let output = &context.output;
        let stay = std::io::stdout().is_terminal() && !output.json;
        let options = DemoOptions { run_for: self.run_for, stay, json: output.json, color: output.color };
        demo::run(&options).map_err(CommandFailure::failed)
    }
}
