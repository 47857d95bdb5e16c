//! `edgectl switch`: lets a colour serve, once it has passed the gate.

use std::time::Duration;

use super::change::Change;
use super::context::Context;
use super::failure::Failure;
use super::operation;
use super::target::{Preferred, Target, Words};
use crate::admin::wire::Ask;
use crate::types::{parse_duration, show_duration};

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
    target: Words,
    /// How long the gate may take [default: the service's switch.timeout]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long the old colour may finish what runs [default: the service's switch.drain]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    drain: Option<Duration>,
    /// How long the new colour is watched after the flip, and rolled back if it fails [default: the service's switch.watch]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    watch: Option<Duration>,
    /// Shares of the clients, in per cent, that go there first, each under the watch's eyes
    #[arg(long, value_name = "PERCENT,...", value_delimiter = ',')]
    steps: Vec<u8>,
    /// How long each step is watched [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, requires = "steps")]
    step_time: Option<Duration>,
    /// Skip the gate: traffic moves to backends that nothing has probed
    #[arg(long)]
    force: bool,
    /// Return once the colour serves; the drain goes on in the daemon
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    change: Change,
}

impl Args {
    /// Exit 4 when the gate was not passed, 5 when another switch runs or the generation differs: nothing has changed then.
    /// Exit 6 when the watch has rolled back.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let target = Target::parse(&self.target, Preferred::First)?;
        let ask = Ask {
            color: Some(target.color.to_string()),
            timeout: self.timeout.map(show_duration),
            drain: self.drain.map(show_duration),
            watch: self.watch.map(show_duration),
            steps: self.steps,
            step_time: self.step_time.map(show_duration),
            force: self.force,
            wait: !self.no_wait,
            ..self.change.ask()
        };
        operation::run(context, target.service.as_deref(), "switch", &ask)
    }
}
