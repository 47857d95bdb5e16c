//! `edgectl pause`: holds new requests and returns when none is in flight any more.

use std::time::Duration;

use super::change::Change;
use super::context::Context;
use super::failure::Failure;
use super::operation;
use crate::admin::wire::Ask;
use crate::types::{parse_duration, show_duration};

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
    /// How long what is in flight may take before this gives up waiting [default: the service's switch.drain]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    change: Change,
}

impl Args {
    /// Exit 1 when something was still in flight after the timeout; the service stays paused then. Exit 5 when someone else
    /// has resumed it meanwhile.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let ask =
            Ask { max: self.max.map(show_duration), timeout: self.timeout.map(show_duration), ..self.change.ask() };
        operation::run(context, self.service.as_deref(), "pause", &ask)
    }
}
