//! `edgectl rollback`: back to the colour that served before.

use super::context::CommandContext;
use super::operation::{self, ServiceChange};
use super::terminal::CommandFailure;
use crate::admin::wire::RollbackBody;

/// A switch to the previous colour, gate and drain included; while there is a canary, its end.
pub fn run(ServiceChange { service, change }: ServiceChange, context: &CommandContext) -> Result<(), CommandFailure> {
    let body = RollbackBody { if_generation: change.if_generation, reason: change.reason, ..RollbackBody::default() };
    operation::run(context, service.as_deref(), &body)
}
