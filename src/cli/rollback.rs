//! `edgectl rollback`: back to the colour that served before.

use std::time::Duration;

use super::context::CommandContext;
use super::operation::{self, GateAndDrain};
use super::terminal::CommandFailure;
use crate::admin::wire::{RollbackBody, Written};
use crate::types::parse_duration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl rollback
  edgectl rollback shop --drain 5s --reason 'checkout is slow'
  edgectl rollback --force              when the previous colour serves but its probes fail")]
pub struct Args {
    /// The service, where several have colours
    service: Option<String>,
    /// How long the colour that serves again is watched; if it fails, the traffic goes forward again [default: not at all]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    watch: Option<Duration>,
    /// Skip the gate: traffic moves back to backends whose probes may fail
    #[arg(long)]
    force: bool,
    /// Go back even to a colour that was rolled back from
    #[arg(long)]
    anyway: bool,
    #[command(flatten)]
    how: GateAndDrain,
}

impl Args {
    /// A switch to the previous colour, gate and drain included; while there is a canary, its end. Exit 5 when that colour was rolled
    /// back from.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let GateAndDrain { timeout, drain, change } = self.how;
        let body = RollbackBody {
            timeout: timeout.map(Written::from),
            drain: drain.map(Written::from),
            watch: self.watch.map(Written::from),
            force: self.force,
            anyway: self.anyway,
            wait: true,
            if_generation: change.if_generation,
            reason: change.reason,
        };
        operation::run(context, self.service.as_deref(), &body)
    }
}
