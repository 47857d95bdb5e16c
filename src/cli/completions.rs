//! `edgectl completions`: the completion script of a shell.

use clap_complete::Shell;

use super::context::CommandContext;
use super::terminal::CommandFailure;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:
  edgectl completions bash > /etc/bash_completion.d/edgectl
  edgectl completions fish > ~/.config/fish/completions/edgectl.fish")]
pub struct Args {
    shell: Shell,
}

impl Args {
    pub fn run(self, context: &CommandContext, edgectl: &mut clap::Command) -> Result<(), CommandFailure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, edgectl, "edgectl", &mut script);
        context.output.show(String::from_utf8_lossy(&script).trim_end());
        Ok(())
    }
}
