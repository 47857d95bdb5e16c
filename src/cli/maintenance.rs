//! `edgectl maintenance`: 503 with a page, at once, until it ends.

use clap::ValueEnum;

use super::context::CommandContext;
use super::operation::{self, ChangeOptions};
use super::terminal::CommandFailure;
use crate::admin::wire::MaintenanceBody;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl maintenance on --message 'Back at ten' --allow 192.0.2.0/24
  edgectl maintenance off")]
pub struct Args {
    /// on or off
    state: OnOff,
    /// The service, where there are several
    service: Option<String>,
    /// What the page says
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// An address or a network that is served all the same; may be given more than once
    #[arg(long, value_name = "CIDR")]
    allow: Vec<String>,
    #[command(flatten)]
    change: ChangeOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOff {
    On,
    Off,
}

impl Args {
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let off = self.state == OnOff::Off;
        if off && (self.message.is_some() || !self.allow.is_empty()) {
            return Err(CommandFailure::usage("--message and --allow are for `maintenance on`"));
        }
        let ChangeOptions { if_generation, reason } = self.change;
        let body = MaintenanceBody { off, message: self.message, allow: self.allow, if_generation, reason };
        operation::run(context, self.service.as_deref(), &body)
    }
}
