//! `edgectl serve`: the daemon, in the foreground.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::context::CommandContext;
use super::terminal::{CommandFailure, TerminalOutput};
use crate::config;
use crate::daemon::{self, ServeError};

/// How long the reader of the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config file [env: EDGE_CONFIG] [default: /etc/edgectl/edge.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Args {
    /// Returns when the daemon has stopped and everything in flight has ended.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        daemon::serve(&config::find(self.config.as_deref())).map_err(|error| {
            let failure = match error {
                ServeError::Config(diagnostics) => {
                    CommandFailure::invalid_config(&diagnostics, context.output.color_err)
                }
                ServeError::Failed(text) => CommandFailure::failed(text),
            };
            tell(&context.output, &failure);
            failure.told()
        })
    }
}

/// Prints why. If nothing reads there, the process ends all the same: what restarts it waits for that.
fn tell(output: &TerminalOutput, failure: &CommandFailure) {
    let (output, failure) = (output.clone(), failure.clone());
    let (done, printed) = mpsc::channel::<()>();
    // Ends with the process, at the latest.
    let printing = thread::Builder::new().spawn(move || {
        output.fail(&failure);
        drop(done);
    });
    if printing.is_ok() {
        let _ = printed.recv_timeout(LAST_WORDS);
    }
}
