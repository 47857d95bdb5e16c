//! `edgectl preview`: a link that lets its holder see a colour.

use std::time::Duration;

use super::context::CommandContext;
use super::operation::{ColorTarget, ColorWords, Preferred};
use super::terminal::CommandFailure;
use crate::admin::wire::PreviewBody;
use crate::types::parse_duration;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "edgectl preview [OPTIONS] <COLOR> [SERVICE]",
    after_long_help = "Examples:
  edgectl preview green
  edgectl preview $(edgectl idle) shop --ttl 2d"
)]
pub struct Args {
    #[command(flatten)]
    target: ColorWords,
    /// How long the link is valid, 1s to 30d
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1h")]
    ttl: Duration,
}

impl Args {
    /// Prints the link on stdout, and its end on stderr.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let target = ColorTarget::parse(&self.target, Preferred::First)?;
        let body = PreviewBody { color: Some(target.color.into()), ttl: Some(self.ttl.into()), reason: None };
        let link = context.block_on(async {
            let service = context.service_name(target.service.as_deref()).await?;
            Ok(context.client.preview(&service, &body).await?)
        })?;
        if context.output.json {
            context.output.json(&link);
            return Ok(());
        }
        context.output.show(&link.url);
        let others = link.others.iter().map(|url| format!("\n{url}")).collect::<String>();
        context.output.note(format!("{} of {} until {}{others}", link.color, link.service, link.expires));
        Ok(())
    }
}
