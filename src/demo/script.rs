//! What happens when: traffic from the start, a switch after a third of the time, a rollback after two thirds.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::report::{Reporter, Step, Turn, millis};
use super::stage::DemoListener;
use super::tally::ExchangeTally;
use super::traffic::{self, DemoTraffic};
use crate::admin::AdminClient;
use crate::admin::wire::{RollbackBody, SwitchBody};
use crate::control::OperationDone;
use crate::types::Color;

const SERVICE: &str = "app";

/// Plays it. The tally counts what every kind of traffic has seen.
pub(super) async fn perform(
    run_for: Duration,
    listener: &DemoListener,
    admin: AdminClient,
    reporter: &Reporter,
) -> Result<Rc<ExchangeTally>, String> {
    let started = Instant::now();
    let traffic = Rc::new(DemoTraffic::new(listener, run_for, Color::Blue)?);
    let lanes = traffic::start(&traffic);
    let play = Play { traffic, admin, reporter, started };
    sleep_until((started + run_for / 3).into()).await;
    play.turn(Turn::Switch, Color::Green).await?;
    sleep_until((started + run_for * 2 / 3).into()).await;
    play.turn(Turn::Rollback, Color::Blue).await?;
    lanes.join_all().await;
    Ok(play.traffic.tally.clone())
}

struct Play<'a> {
    traffic: Rc<DemoTraffic>,
    admin: AdminClient,
    reporter: &'a Reporter,
    started: Instant,
}

impl Play<'_> {
    /// A switch as `edgectl switch --no-wait` makes it: it returns after the flip, while the old colour drains.
    async fn turn(&self, turn: Turn, to: Color) -> Result<(), String> {
        let reason = Some("edgectl demo".to_owned());
        self.traffic.turns.begin();
        let switched = match turn {
            Turn::Switch => {
                let body = SwitchBody { color: Some(to.into()), wait: false, reason, ..SwitchBody::default() };
                self.admin.operate(SERVICE, &body, &mut |_| ()).await.map_err(|e| format!("switch failed: {e}"))?
            }
            Turn::Rollback => {
                let body = RollbackBody { wait: false, reason, ..RollbackBody::default() };
                self.admin.operate(SERVICE, &body, &mut |_| ()).await.map_err(|e| format!("rollback failed: {e}"))?
            }
        };
        let went = switched.to.unwrap_or(to);
        self.traffic.turns.settle(went);
        self.tell(turn, went, &switched);
        if went == to { Ok(()) } else { Err(format!("the traffic went to {went}, not to {to}")) }
    }

    fn tell(&self, verb: Turn, to: Color, switched: &OperationDone) {
        self.reporter.step(&Step::Switched {
            at_ms: millis(self.started.elapsed()),
            verb,
            to,
            gate_ms: switched.gate_ms,
            flip_us: switched.flip_us,
        });
    }
}
