//! What every change of a service takes: compare and set, and a word for the history.

use crate::admin::wire::Ask;

#[derive(Debug, clap::Args)]
pub struct Change {
    /// Refuse unless the service is at this generation
    #[arg(long, value_name = "N")]
    if_generation: Option<u64>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Change {
    /// What is asked, but for what the command itself adds.
    pub fn ask(self) -> Ask {
        Ask { if_generation: self.if_generation, reason: self.reason, ..Ask::default() }
    }
}
