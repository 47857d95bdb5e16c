//! The entry into a service: which colour takes this request, or why none does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::error::Failure;
use crate::http::exchange::Exchange;
use crate::service::{HeldTurn, InFlight, Maintenance, Shut, Visit};
use crate::site::ServiceTarget;

/// Requests that a pause of one service holds; more are refused.
const MOST_HELD: usize = 4096;

/// How long a request that comes after a pause waits behind those that were held.
const BEHIND: Duration = Duration::from_secs(30);

/// Why a request was not let in.
pub(super) enum Refused {
    For(Failure),
    ForMaintenance(Arc<Maintenance>),
}

/// Counts the exchange into the pool that takes it; while the service is paused, once it is resumed.
pub(super) async fn enter(exchange: &mut Exchange, target: &ServiceTarget, visit: &mut Visit) -> Result<(), Refused> {
    let service = &target.service;
    let max = match service.enter(visit, target.settings.failover) {
        Ok(in_flight) if !service.is_special() || service.held().is_empty() => {
            settle(exchange, in_flight);
            return Ok(());
        }
        // Other requests are held: this one queues behind them.
        Ok(_) => BEHIND,
        Err(Shut::Paused(max)) => max,
        Err(Shut::Maintenance(maintenance)) => return Err(Refused::ForMaintenance(maintenance)),
    };
    let (in_flight, held) = Box::pin(hold(target, visit, max)).await?;
    settle(exchange, in_flight);
    exchange.progress.has_waited = true;
    exchange.progress.held = Some(Box::new(held));
    Ok(())
}

fn settle(exchange: &mut Exchange, in_flight: InFlight) {
    exchange.live.enter(&in_flight);
    exchange.progress.in_flight = Some(in_flight);
}

/// Waits for the service to be resumed, and for its turn then; in order with all workers.
async fn hold(target: &ServiceTarget, visit: &mut Visit, max: Duration) -> Result<(InFlight, HeldTurn), Refused> {
    let service = &target.service;
    let until = Instant::now() + max;
    let mut held = HeldTurn::join(service, MOST_HELD).map_err(|_| Refused::For(Failure::Paused))?;
    loop {
        timeout_at(until, held.come()).await.map_err(|_| Refused::For(Failure::Paused))?;
        match service.enter(visit, target.settings.failover) {
            Ok(in_flight) => return Ok((in_flight, held)),
            Err(Shut::Paused(_)) => held.pass(),
            Err(Shut::Maintenance(maintenance)) => return Err(Refused::ForMaintenance(maintenance)),
        }
    }
}
