//! A pause holds new requests, and waits until none is in flight; a resume lets the held ones go.

use std::time::{Duration, Instant, SystemTime};

use crate::control::messages::{OperationDone, OperationEvent, OperationRefused, OperationResult};
use crate::control::plane::Operation;
use crate::service::{Active, Pause, Service};

/// How often the number of requests in flight is checked.
const CHECK_EVERY: Duration = Duration::from_millis(20);

impl Operation {
    /// Holds new requests from here on, and returns when none is in flight any more; tunnels don't count. After the request's
    /// `timeout` (else the service's `switch.drain`) it returns all the same: then `in_flight` says how many are left, and the
    /// pause stays.
    pub async fn pause(&self, max: Duration) -> Result<OperationDone, OperationRefused> {
        let service = &self.service;
        let pause = Pause { max, since: SystemTime::now() };
        let on = |now: &Active| {
            let since = now.paused.map_or(pause.since, |already| already.since);
            Active { paused: Some(Pause { since, ..pause }), ..now.clone() }
        };
        let mut done = self.set(None, OperationResult::Paused, on).await?;
        self.tell(OperationEvent::Pausing { in_flight: in_flight(service) });
        let limit = self.request.options.timeout.unwrap_or(service.config().switch.drain);
        let until = Instant::now() + limit;
        let mut zeros = 0;
        while zeros < 2 && Instant::now() < until && service.active().paused.is_some() {
            zeros = if in_flight(service) == 0 { zeros + 1 } else { 0 };
            tokio::time::sleep(CHECK_EVERY).await;
        }
        done.in_flight = Some(in_flight(service));
        if service.active().paused.is_none() {
            done.result = OperationResult::Resumed;
        }
        Ok(done)
    }

    /// Held requests go on in the order in which they came.
    pub async fn resume(&self) -> Result<OperationDone, OperationRefused> {
        if self.service.active().paused.is_none() {
            return self.unchanged();
        }
        let off = |now: &Active| Active { paused: None, ..now.clone() };
        let done = self.set(None, OperationResult::Resumed, off).await?;
        self.service.let_go();
        Ok(done)
    }
}

fn in_flight(service: &Service) -> usize {
    service.pools().map(|pool| pool.requests()).sum()
}
