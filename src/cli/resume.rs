//! `edgectl resume`: lets go what a pause has held.

use super::change::Change;
use super::context::Context;
use super::failure::Failure;
use super::operation;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, where there are several
    service: Option<String>,
    #[command(flatten)]
    change: Change,
}

impl Args {
    /// What was held goes on in the order in which it came.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let ask = self.change.ask();
        operation::run(context, self.service.as_deref(), "resume", &ask)
    }
}
