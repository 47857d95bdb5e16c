//! `edgectl wait`: waits until a colour passes the gate. Changes nothing.

use std::time::Duration;

use super::context::CommandContext;
use super::operation::{self, ColorTarget, ColorWords, Preferred};
use super::terminal::CommandFailure;
use crate::admin::wire::{GateBody, Written};
use crate::types::parse_duration;

#[derive(Debug, clap::Args)]
#[command(override_usage = "edgectl wait [OPTIONS] [SERVICE] <COLOR>")]
pub struct Args {
    #[command(flatten)]
    target: ColorWords,
    /// How long to wait at most [default: the service's switch.timeout]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl Args {
    /// Exit 4 when it did not pass in time.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let target = ColorTarget::parse(&self.target, Preferred::Last)?;
        let body = GateBody { color: Some(target.color.into()), timeout: self.timeout.map(Written::from) };
        operation::run(context, target.service.as_deref(), &body)
    }
}
