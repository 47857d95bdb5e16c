//! `edgectl reload`: the daemon rereads its config.

use super::context::CommandContext;
use super::terminal::CommandFailure;
use super::terminal::table::printable_lines;

#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Exit 2 with every mistake; then the running config stays.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let output = &context.output;
        let report = context.block_on(async { Ok(context.client.reload().await?) })?;
        if output.json {
            output.json(&report);
            return Ok(());
        }
        for warning in &report.warnings {
            output.note(format!("warning: {}", printable_lines(warning)));
        }
        match report.changes.as_slice() {
            [] => output.say("nothing changed"),
            changes => output.say(printable_lines(&changes.join("\n"))),
        }
        Ok(())
    }
}
