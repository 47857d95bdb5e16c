//! The door of a service: which colour takes this request, or why it has to stay outside.

use super::exchange::Exchange;
use crate::error::Failure;
use crate::service::{InFlight, Maintenance, Shut, Visit};
use crate::site::Target;
use std::sync::Arc;

/// Why a request was turned away.
pub(super) enum Turned {
    Away(Failure),
    ForMaintenance(Arc<Maintenance>),
}

/// Counts the exchange into the pool that takes it; while the service is paused, once it is resumed.
pub(super) async fn enter(exchange: &mut Exchange, target: &Target, visit: &mut Visit) -> Result<(), Turned> {
    let in_flight = match target.service.enter(visit, target.settings.failover) {
        Ok(in_flight) => in_flight,
        Err(Shut::Maintenance(maintenance)) => return Err(Turned::ForMaintenance(maintenance)),
        Err(Shut::Paused(_)) => return Err(Turned::Away(Failure::Paused)),
    };
    settle(exchange, in_flight);
    Ok(())
}

fn settle(exchange: &mut Exchange, in_flight: InFlight) {
    exchange.live.enter(in_flight.pool(), in_flight.way().is_guest());
    exchange.in_flight = Some(in_flight);
}
