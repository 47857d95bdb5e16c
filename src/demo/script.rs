//! What happens when: traffic from the start, a switch after a third of the time, a rollback after two thirds.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use super::report::{Reporter, Step, millis};
use super::stage::Door;
use super::tally::Tally;
use super::traffic::Traffic;
use crate::admin::Client;
use crate::admin::wire::Ask;
use crate::control::Done;
use crate::types::Color;

const SERVICE: &str = "app";

/// Plays it. The tally counts what every kind of traffic saw.
pub(super) async fn perform(
    run_for: Duration,
    door: &Door,
    admin: Client,
    reporter: &Reporter,
) -> Result<Rc<Tally>, String> {
    let started = Instant::now();
    let traffic = Rc::new(Traffic::new(door, run_for, Color::Blue)?);
    let lanes = traffic.start();
    let play = Play { traffic, admin, reporter, started };
    sleep_until((started + run_for / 3).into()).await;
    play.turn("switch", Color::Green).await?;
    sleep_until((started + run_for * 2 / 3).into()).await;
    play.turn("rollback", Color::Blue).await?;
    lanes.join_all().await;
    Ok(play.traffic.tally())
}

struct Play<'a> {
    traffic: Rc<Traffic>,
    admin: Client,
    reporter: &'a Reporter,
    started: Instant,
}

impl Play<'_> {
    /// A switch as `edgectl switch --no-wait` makes it: back once the flip is done, while the old colour drains.
    async fn turn(&self, verb: &'static str, to: Color) -> Result<(), String> {
        let color = (verb == "switch").then(|| to.to_string());
        let ask = Ask { color, wait: false, reason: Some("edgectl demo".to_owned()), ..Ask::default() };
        self.traffic.turns().begin();
        let switched = self.admin.operate(SERVICE, verb, &ask, &mut |_| ()).await;
        let switched = switched.map_err(|e| format!("{verb} failed: {e}"))?;
        self.traffic.turns().settle(switched.to);
        self.tell(verb, &switched);
        if switched.to == to { Ok(()) } else { Err(format!("{verb} went to {}, not to {to}", switched.to)) }
    }

    fn tell(&self, verb: &'static str, switched: &Done) {
        self.reporter.step(&Step::Switched {
            at_ms: millis(self.started.elapsed()),
            verb,
            to: switched.to,
            gate_ms: switched.gate_ms,
            flip_us: switched.flip_us,
        });
    }
}
