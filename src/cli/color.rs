//! `edgectl active` and `edgectl idle`: the colour that serves, or the colour to deploy to, as one word.

use serde_json::json;

use super::context::CommandContext;
use super::terminal::CommandFailure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, where several have colours
    service: Option<String>,
}

/// Which colour of a service is printed.
#[derive(Debug, Clone, Copy)]
pub enum ColorOf {
    Active,
    Idle,
}

impl Args {
    pub fn run(self, context: &CommandContext, which: ColorOf) -> Result<(), CommandFailure> {
        let service = context.block_on(context.colored(self.service.as_deref()))?;
        let (key, color) = match which {
            ColorOf::Active => ("active", service.active),
            ColorOf::Idle => ("idle", service.idle),
        };
        if context.output.json {
            let generation = service.generation;
            context.output.json(&json!({ "service": service.name, key: color, "generation": generation }));
        } else if let Some(color) = color {
            context.output.show(color);
        }
        Ok(())
    }
}
