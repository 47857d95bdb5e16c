//! `edgectl serve`: the daemon, in the foreground.

use std::path::PathBuf;

use super::context::Context;
use super::failure::Failure;
use crate::config;
use crate::daemon::{self, ServeError};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config file [env: EDGE_CONFIG] [default: /etc/edgectl/edge.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    /// Returns when the daemon has been told to leave and everything in flight has ended.
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        daemon::serve(&config::find(self.config.as_deref())).map_err(|error| match error {
            ServeError::Config(diagnostics) => Failure::invalid_config(&diagnostics, context.output.color_err),
            ServeError::Failed(text) => Failure::failed(text),
        })
    }
}
