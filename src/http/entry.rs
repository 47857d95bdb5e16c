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
    let max = match service.enter(visit, target.settings.failover) {
        Ok(in_flight) if !service.is_special() || service.held().is_empty() => {
            settle(exchange, in_flight);
            return Ok(());
        }
        // Who finds others held goes behind them.
        Ok(_) => BEHIND,
        Err(Shut::Paused(max)) => max,
        Err(Shut::Maintenance(maintenance)) => return Err(Turned::ForMaintenance(maintenance)),
    };
    let (in_flight, held) = Box::pin(hold(target, visit, max)).await?;
    settle(exchange, in_flight);
    exchange.has_waited = true;
    exchange.held = Some(Box::new(held));
    Ok(())
}

fn settle(exchange: &mut Exchange, in_flight: InFlight) {
    exchange.live.enter(&in_flight);
    exchange.in_flight = Some(in_flight);
}

/// Waits for the service to be resumed, and for its turn then; in order with all cores.
async fn hold(target: &Target, visit: &mut Visit, max: Duration) -> Result<(InFlight, Held), Turned> {
    let service = &target.service;
    let until = Instant::now() + max;
    let place = service.held().join(MOST_HELD).map_err(|_| Turned::Away(Failure::Paused))?;
    let mut held = Held { place: Some(place), service: service.clone() };
    service.look_whether_special();
    if service.active().paused.is_none() {
        // Resumed while this one was on its way into the line.
        service.let_go();
    }
    while let Some(place) = &mut held.place {
        tokio::time::timeout_at(until, &mut *place).await.map_err(|_| Turned::Away(Failure::Paused))?;
        match service.enter(visit, target.settings.failover) {
            Ok(in_flight) => return Ok((in_flight, held)),
            Err(Shut::Paused(_)) => place.pass(),
            Err(Shut::Maintenance(maintenance)) => return Err(Turned::ForMaintenance(maintenance)),
        }
    }
    Err(Turned::Away(Failure::Internal))
}

/// A place in the line of those who are held. By drop it is given up, and the turn goes to the next: an exchange that was
/// let go keeps it until it has a backend, so that the next can't overtake it there.
pub struct Held {
    /// `None` only while it is dropped.
    place: Option<Place>,
    service: Arc<Service>,
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.place.take());
        self.service.look_whether_special();
    }
}
