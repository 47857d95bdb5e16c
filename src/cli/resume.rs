//! `edgectl resume`: lets go what a pause has held.

use super::context::Context;
use super::failure::Failure;
use super::operation;
use crate::admin::wire::Ask;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, where there are several
    service: Option<String>,
    /// Refuse unless the service is at this generation
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Args {
    /// What was held goes on in the order in which it came.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let ask = Ask { if_generation: self.if_generation, reason: self.reason, ..Ask::default() };
        operation::run(context, self.service.as_deref(), "resume", &ask)
    }
}
