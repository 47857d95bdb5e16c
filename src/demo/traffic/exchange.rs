//! One exchange of a lane: timed, judged, counted.

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::trust::Trust;
use crate::demo::stage::DemoListener;
use crate::demo::tally::{ExchangeTally, TrafficKind};
use crate::demo::turns::{TurnTicket, Turns};
use crate::types::Color;

/// Time between two exchanges of a lane: this is steady traffic, not a benchmark.
const PAUSE: Duration = Duration::from_millis(5);

/// An answer that takes longer counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What all lanes share.
pub struct DemoTraffic {
    pub listener: SocketAddr,
    pub trust: Trust,
    pub turns: Turns,
    pub tally: Rc<ExchangeTally>,
    pub run_for: Duration,
    pub until: Instant,
}

impl DemoTraffic {
    pub fn new(listener: &DemoListener, run_for: Duration, serves: Color) -> Result<Self, String> {
        Ok(Self {
            listener: listener.addr,
            trust: Trust::in_root(&listener.ca)?,
            turns: Turns::new(serves),
            tally: Rc::default(),
            run_for,
            until: Instant::now() + run_for,
        })
    }

    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Exchanges with a pause between them until the time is up.
    pub async fn repeat(&self, kind: TrafficKind, mut exchange: impl AsyncFnMut(&Judge<'_>) -> Result<(), String>) {
        while self.goes_on() {
            self.count(kind, PATIENCE, exchange(&self.judge())).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// For an exchange that starts now.
    pub fn judge(&self) -> Judge<'_> {
        Judge { turns: &self.turns, ticket: self.turns.ticket() }
    }

    /// Times one exchange and counts its result. Returns whether it went well.
    pub async fn count(
        &self,
        kind: TrafficKind,
        patience: Duration,
        exchange: impl Future<Output = Result<(), String>>,
    ) -> bool {
        let started = Instant::now();
        let late = || format!("no end within {} s", patience.as_secs());
        match tokio::time::timeout(patience, exchange).await.unwrap_or_else(|_| Err(late())) {
            Ok(()) => self.tally.done(kind, started.elapsed()),
            Err(why) => {
                self.tally.failed(kind, why);
                return false;
            }
        }
        true
    }
}

/// Judges the colour that answers one exchange, by the time when that exchange started.
pub struct Judge<'a> {
    turns: &'a Turns,
    ticket: TurnTicket,
}

impl Judge<'_> {
    pub fn check(&self, answered: Color) -> Result<(), String> {
        self.turns.check(self.ticket, answered)
    }
}
