//! `edgectl rollback`: back to what served before.

use super::change::Change;
use super::context::Context;
use super::failure::Failure;
use super::operation;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, where several have colours
    service: Option<String>,
    #[command(flatten)]
    change: Change,
}

impl Args {
    /// A switch to the previous colour, gate and drain included; while there is a canary, its end.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let ask = self.change.ask();
        operation::run(context, self.service.as_deref(), "rollback", &ask)
    }
}
