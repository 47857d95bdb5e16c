//! `edgectl rollback`: back to what served before.

use super::context::Context;
use super::failure::Failure;
use super::operation;
use crate::admin::wire::Ask;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, where several have colours
    service: Option<String>,
    /// Refuse unless the service is at this generation
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Args {
    /// A switch to the previous colour, gate and drain included; while there is a canary, its end.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let ask = Ask { if_generation: self.if_generation, reason: self.reason, ..Ask::default() };
        operation::run(context, self.service.as_deref(), "rollback", &ask)
    }
}
