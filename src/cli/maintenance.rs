//! `edgectl maintenance`: 503 with a page, at once, until it is over.

use clap::ValueEnum;

use super::change::Change;
use super::context::Context;
use super::failure::Failure;
use super::operation;
use crate::admin::wire::Ask;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl maintenance on --message 'Back at ten' --allow 192.0.2.0/24
  edgectl maintenance off")]
pub struct Args {
    /// on or off
    state: State,
    /// The service, where there are several
    service: Option<String>,
    /// What the page says
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Who passes nevertheless: an address or a network; may be given more than once
    #[arg(long, value_name = "CIDR")]
    allow: Vec<String>,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    On,
    Off,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let off = self.state == State::Off;
        if off && (self.message.is_some() || !self.allow.is_empty()) {
            return Err(Failure::usage("--message and --allow are for `maintenance on`"));
        }
        let ask = Ask { off, message: self.message, allow: self.allow, ..self.change.ask() };
        operation::run(context, self.service.as_deref(), "maintenance", &ask)
    }
}
