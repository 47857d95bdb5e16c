//! `edgectl health`: for HEALTHCHECK.

use super::context::CommandContext;
use super::terminal::CommandFailure;

#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Exit 0 when ready, 1 when not, 3 when no daemon answers.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let output = &context.output;
        let health = context.block_on(async { Ok(context.client.health().await?) })?;
        if !health.ready {
            return Err(CommandFailure::failed("not ready; `edgectl status` says what is missing"));
        }
        if output.json {
            output.json(&health);
        }
        output.say("ready");
        Ok(())
    }
}
