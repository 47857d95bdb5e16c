//! `edgectl resume`: lets the requests go that a pause holds.

use super::context::CommandContext;
use super::operation::{self, ServiceChange};
use super::terminal::CommandFailure;
use crate::admin::wire::ResumeBody;

/// Held requests go on in the order in which they came.
pub fn run(ServiceChange { service, change }: ServiceChange, context: &CommandContext) -> Result<(), CommandFailure> {
    let body = ResumeBody { if_generation: change.if_generation, reason: change.reason };
    operation::run(context, service.as_deref(), &body)
}
