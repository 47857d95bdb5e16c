//! The door of a service: which colour takes this request, or why it has to stay outside.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::exchange::Exchange;
use crate::error::Failure;
use crate::service::{InFlight, Maintenance, Place, Service, Shut, Visit};
use crate::site::Target;

/// Requests that a pause of one service holds; more are refused.
const MOST_HELD: usize = 4096;

/// How long one that has come after the pause waits behind those who were held.
const BEHIND: Duration = Duration::from_secs(30);

/// Why a request was turned away.
pub(super) enum Turned {
    Away(Failure),
    ForMaintenance(Arc<Maintenance>),
}

/// Counts the exchange into the pool that takes it; while the service is paused, once it is resumed.
pub(super) async fn enter(exchange: &mut Exchange, target: &Target, visit: &mut Visit) -> Result<(), Turned> {
    let service = &target.service;
    let in_flight = match service.enter(visit, target.settings.failover) {
        // Who finds others held goes behind them.
        Ok(in_flight) if !service.is_special() || service.held().is_empty() => in_flight,
        Ok(_) => Box::pin(hold(target, visit, BEHIND)).await?,
        Err(Shut::Paused(max)) => Box::pin(hold(target, visit, max)).await?,
        Err(Shut::Maintenance(maintenance)) => return Err(Turned::ForMaintenance(maintenance)),
    };
    settle(exchange, in_flight);
    Ok(())
}

/// Waits for the service to be resumed, and for its turn then; in order with all cores.
async fn hold(target: &Target, visit: &mut Visit, max: Duration) -> Result<InFlight, Turned> {
    let service = &target.service;
    let until = Instant::now() + max;
    let ticket = service.held().join(MOST_HELD).map_err(|_| Turned::Away(Failure::Paused))?;
    let mut place = Held { service, ticket: Some(ticket) };
    service.look_whether_special();
    if service.active().paused.is_none() {
        // Resumed while this one was on its way into the line.
        service.let_go();
    }
    loop {
        let Some(ticket) = &mut place.ticket else { return Err(Turned::Away(Failure::Internal)) };
        tokio::time::timeout_at(until, &mut *ticket).await.map_err(|_| Turned::Away(Failure::Paused))?;
        match service.enter(visit, target.settings.failover) {
            Ok(in_flight) => {
                place.take_turn();
                return Ok(in_flight);
            }
            Err(Shut::Paused(_)) => ticket.pass(),
            Err(Shut::Maintenance(maintenance)) => return Err(Turned::ForMaintenance(maintenance)),
        }
    }
}

/// A place in the line of those who are held; given up by drop.
struct Held<'a> {
    service: &'a Service,
    ticket: Option<Place>,
}

impl Held<'_> {
    /// In: the next may follow.
    fn take_turn(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            ticket.done();
            self.service.let_go();
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        drop(self.ticket.take());
        self.service.look_whether_special();
    }
}

fn settle(exchange: &mut Exchange, in_flight: InFlight) {
    exchange.live.enter(in_flight.pool(), in_flight.way().is_guest());
    exchange.in_flight = Some(in_flight);
}
