//! `edgectl switch`: lets a colour serve, once it has passed the gate.

use std::time::Duration;

use super::context::CommandContext;
use super::operation::{self, ColorTarget, ColorWords, GateAndDrain, Preferred};
use super::terminal::CommandFailure;
use crate::admin::wire::{SwitchBody, Written};
use crate::types::parse_duration;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "edgectl switch [OPTIONS] <COLOR> [SERVICE]",
    after_long_help = "Examples:
  edgectl switch green
  edgectl switch green shop --timeout 2m --drain 5m --reason 'release 4.2'
  edgectl switch green --watch 5m
  edgectl switch green --steps 5,25,50 --step-time 30s
  edgectl switch $(edgectl idle) --no-wait --json"
)]
pub struct Args {
    #[command(flatten)]
    target: ColorWords,
    /// How long the new colour is watched after the flip, and rolled back if it fails [default: the service's switch.watch]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    watch: Option<Duration>,
    /// Shares of the clients, in per cent, that go there first; each share is watched
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',')]
    steps: Vec<u8>,
    /// How long each step is watched [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "steps")]
    step_time: Option<Duration>,
    /// Skip the gate: traffic moves to backends that nothing has probed
    #[arg(long)]
    force: bool,
    /// Return without waiting for the drain, which goes on in the daemon
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    how: GateAndDrain,
}

impl Args {
    /// Exit 4 when the gate was not passed, 5 when another switch runs or the generation differs: nothing has changed then.
    /// Exit 6 when the watch has rolled back.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let target = ColorTarget::parse(&self.target, Preferred::First)?;
        let GateAndDrain { timeout, drain, change } = self.how;
        let body = SwitchBody {
            color: Some(target.color.into()),
            timeout: timeout.map(Written::from),
            drain: drain.map(Written::from),
            watch: self.watch.map(Written::from),
            steps: self.steps,
            step_time: self.step_time.map(Written::from),
            force: self.force,
            wait: !self.no_wait,
            if_generation: change.if_generation,
            reason: change.reason,
        };
        operation::run(context, target.service.as_deref(), &body)
    }
}
