//! `edgectl serve`: the daemon, in the foreground.

use std::path::PathBuf;

use super::context::CommandContext;
use super::terminal::CommandFailure;
use crate::config;
use crate::daemon::{self, ServeError};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config file [env: EDGE_CONFIG] [default: /etc/edgectl/edge.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    /// Returns when the daemon has stopped and everything in flight has ended.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        daemon::serve(&config::find(self.config.as_deref())).map_err(|error| match error {
            ServeError::Config(diagnostics) => CommandFailure::invalid_config(&diagnostics, context.output.color_err),
            ServeError::Failed(text) => CommandFailure::failed(text),
        })
    }
}
