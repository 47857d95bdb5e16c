//! The clients of the demo: lanes, each of which makes one exchange after another until the time is up.
//!
//! Every lane judges its answers byte by byte. What fails is counted with its cause, and the lane goes on with a new
//! connection; nothing here tries an exchange a second time, so nothing that was lost can hide.

mod connection;
mod download;
mod h1;
mod h2;
mod post;
mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::stage::Door;
use super::tally::{Kind, Tally};
use super::turns::{Ticket, Turns};
use crate::types::Color;
use connection::Trust;

/// Between two exchanges of a lane: steady traffic, not a benchmark.
const PAUSE: Duration = Duration::from_millis(5);

/// An answer that takes longer is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all lanes share.
pub(super) struct Traffic {
    door: SocketAddr,
    trust: Trust,
    turns: Turns,
    tally: Rc<Tally>,
    run_for: Duration,
    until: Instant,
}

impl Traffic {
    pub fn new(door: &Door, run_for: Duration, serves: Color) -> Result<Self, String> {
        Ok(Self {
            door: door.addr,
            trust: Trust::in_root(&door.ca)?,
            turns: Turns::new(serves),
            tally: Rc::default(),
            run_for,
            until: Instant::now() + run_for,
        })
    }

    /// Starts every lane. They end by themselves when the time is up and their last exchange is.
    pub fn start(self: &Rc<Self>) -> JoinSet<()> {
        let mut lanes = JoinSet::new();
        for _ in 0..4 {
            lanes.spawn_local(h1::lane(self.clone()));
        }
        for _ in 0..2 {
            lanes.spawn_local(post::lane(self.clone()));
            lanes.spawn_local(download::lane(self.clone()));
        }
        lanes.spawn_local(h2::lanes(self.clone(), 4));
        lanes.spawn_local(websocket::lane(self.clone(), self.run_for));
        lanes.spawn_local(websocket::lane(self.clone(), self.run_for / 20));
        lanes
    }

    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    pub fn tally(&self) -> Rc<Tally> {
        self.tally.clone()
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Exchanges with a pause between them until the time is up.
    async fn repeat(&self, kind: Kind, mut exchange: impl AsyncFnMut(&Judge<'_>) -> Result<(), String>) {
        while self.goes_on() {
            self.count(kind, PATIENCE, exchange(&self.judge())).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// For an exchange that starts now.
    fn judge(&self) -> Judge<'_> {
        Judge { turns: &self.turns, ticket: self.turns.ticket() }
    }

    /// Times one exchange and counts what came of it. Answers whether it went well.
    async fn count(&self, kind: Kind, patience: Duration, exchange: impl Future<Output = Result<(), String>>) -> bool {
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

/// Says whether the right colour answers an exchange, by when it started.
struct Judge<'a> {
    turns: &'a Turns,
    ticket: Ticket,
}

impl Judge<'_> {
    fn check(&self, answered: Color) -> Result<(), String> {
        self.turns.check(self.ticket, answered)
    }
}
