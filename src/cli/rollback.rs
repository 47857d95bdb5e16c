//! `edgectl rollback`: back to the colour that served before.

use super::context::CommandContext;
use super::operation::{self, ServiceChange};
use super::terminal::CommandFailure;
use crate::admin::wire::RollbackBody;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    what: ServiceChange,
    /// Go back even to a colour that was rolled back from
    #[arg(long)]
    anyway: bool,
}

impl Args {
    /// A switch to the previous colour, gate and drain included; while there is a canary, its end. Exit 5 when that colour was rolled
    /// back from.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let ServiceChange { service, change } = self.what;
        let body = RollbackBody {
            anyway: self.anyway,
            if_generation: change.if_generation,
            reason: change.reason,
            ..RollbackBody::default()
        };
        operation::run(context, service.as_deref(), &body)
    }
}
