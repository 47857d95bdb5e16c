//! `edgectl pause`: holds new requests and returns when none is in flight any more.

use std::time::Duration;

use super::context::CommandContext;
use super::operation::{self, ChangeOptions};
use super::terminal::CommandFailure;
use crate::admin::wire::{PauseBody, Written};
use crate::types::parse_duration;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl pause && ./manage.py migrate; edgectl resume
                                a database migration that no request sees")]
pub struct Args {
    /// The service, where there are several
    service: Option<String>,
    /// How long one request is held before it gets 503 [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max: Option<Duration>,
    /// How long to wait until nothing is in flight [default: the service's switch.drain]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    change: ChangeOptions,
}

impl Args {
    /// Exit 1 when something is still in flight after the timeout; the service stays paused. Exit 5 when another caller has
    /// resumed it meanwhile.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let body = PauseBody {
            max: self.max.map(Written::from),
            timeout: self.timeout.map(Written::from),
            if_generation: self.change.if_generation,
            reason: self.change.reason,
        };
        operation::run(context, self.service.as_deref(), &body)
    }
}
