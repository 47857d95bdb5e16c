//! Asks the daemon for an operation, shows its steps, says how it ended.

use super::describe::{describe, failure};
use super::progress::ProgressView;
use crate::admin::wire::{OperationEnd, StreamLine, VerbBody};
use crate::cli::context::CommandContext;
use crate::cli::terminal::CommandFailure;
use crate::cli::terminal::table::printable_lines;

/// Runs an operation on a service to its end. Without a service, the one that can be meant.
pub fn run<B: VerbBody>(context: &CommandContext, service: Option<&str>, body: &B) -> Result<(), CommandFailure> {
    let done = context.block_on(async {
        let service = match B::VERB.needs_colors() {
            true => context.service_name(service).await?,
            false => context.any_service(service).await?,
        };
        let mut progress = ProgressView::new(&context.output);
        Ok(context.client.operate(&service, body, &mut |event| progress.step(event)).await?)
    })?;
    let failure = failure(&done, B::VERB);
    if context.output.json {
        context.output.json(&StreamLine::End(OperationEnd::Result { result: done }));
        return failure.map_or(Ok(()), |failure| Err(failure.told()));
    }
    match failure {
        Some(failure) => Err(failure),
        None => {
            context.output.say(printable_lines(&describe(&done, B::VERB, body.waits())));
            Ok(())
        }
    }
}
