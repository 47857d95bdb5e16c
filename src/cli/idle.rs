//! `edgectl idle`: the colour to deploy to, as one word.

use serde_json::json;

use super::context::Context;
use super::failure::Failure;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The service, where several have colours
    service: Option<String>,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        let service = context.block_on(context.colored(self.service.as_deref()))?;
        if context.output.json {
            context.output.json(&json!({ "service": service.name, "idle": service.idle }));
        } else if let Some(color) = service.idle {
            context.output.show(color);
        }
        Ok(())
    }
}
