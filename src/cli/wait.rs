//! `edgectl wait`: until a colour passes the gate. Changes nothing.

use std::time::Duration;

use super::context::Context;
use super::failure::Failure;
use super::operation;
use super::target::{Preferred, Target, Words};
use crate::admin::wire::Ask;
use crate::types::{parse_duration, show_duration};

#[derive(Debug, clap::Args)]
#[command(override_usage = "edgectl wait [OPTIONS] [SERVICE] <COLOR>")]
pub struct Args {
    #[command(flatten)]
    target: Words,
    /// How long at most [default: the service's switch.timeout]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl Args {
    /// Exit 4 when it did not pass in time.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let target = Target::parse(&self.target, Preferred::Last)?;
        let color = Some(target.color.to_string());
        let ask = Ask { color, timeout: self.timeout.map(show_duration), ..Ask::default() };
        operation::run(context, target.service.as_deref(), "gate", &ask)
    }
}
