//! `edgectl top`: the colours of each service side by side, live; switches and rolls back at a key.
//!
//! Pure inside: `model` is what is known and what a key means, `view` draws it, `trail` is what the sparklines show. Here is
//! the rest: the terminal, the keyboard, the daemon, and the one loop that brings them together.

mod chart;
mod keys;
mod model;
mod screen;
mod trail;
mod view;

#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::context::Context;
use super::failure::Failure;
use super::{operation, progress};
use crate::admin::{Client, ClientError};
use model::{Effect, Input, Model, Notice, Order};
use screen::Screen;

#[derive(Debug, clap::Args)]
#[command(after_help = "Keys:
  ↑ ↓ or k j   choose a service
  s            switch it to its idle colour, after a y
  b            roll it back, after a y
  q or Esc     leave")]
pub struct Args {}

/// How often the daemon is asked.
const REFRESH: Duration = Duration::from_secs(1);

impl Args {
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        if context.output.json {
            return Err(Failure::usage("`top` is for people; a program reads `edgectl status --watch --json`"));
        }
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let text = "`top` needs a terminal; without one use `edgectl status`, or `edgectl status --watch --json`";
            return Err(Failure::usage(text));
        }
        context.block_on(LocalSet::new().run_until(live(context)))
    }
}

/// Until someone leaves. What was asked for goes on in the daemon.
async fn live(context: &Context) -> Result<(), Failure> {
    if let Err(error @ ClientError::NotAllowed { .. }) = context.client.status().await {
        return Err(error.into());
    }
    let (inputs, mut incoming) = unbounded_channel();
    watch_signals(&inputs).map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let looks_now = look_on(&context.client, &inputs);
    let in_terminal = |error: io::Error| Failure::failed(format!("the terminal does not do what `top` needs: {error}"));
    let mut screen = Screen::open().map_err(in_terminal)?;
    keys::read(inputs.clone());
    let mut model = Model::default();
    loop {
        screen.draw(|frame| view::render(&model, context.output.color, frame)).map_err(in_terminal)?;
        for effect in inputs_so_far(&mut model, &mut incoming).await {
            match effect {
                Effect::Nothing => {}
                Effect::Leave => return Ok(()),
                Effect::Run(order) => carry_out(context.client.clone(), order, inputs.clone(), looks_now.clone()),
            }
        }
    }
}

/// Waits for one input, then takes all there are: many at once are drawn once.
async fn inputs_so_far(model: &mut Model, incoming: &mut UnboundedReceiver<Input>) -> Vec<Effect> {
    let Some(first) = incoming.recv().await else { return vec![Effect::Leave] };
    let mut effects = vec![model.take(first)];
    while let Ok(input) = incoming.try_recv() {
        effects.push(model.take(input));
    }
    effects
}

/// Asks the daemon once a second, and at once when the answer is notified.
fn look_on(client: &Client, inputs: &UnboundedSender<Input>) -> Rc<Notify> {
    let now = Rc::new(Notify::new());
    let (client, inputs, asked) = (client.clone(), inputs.clone(), now.clone());
    // Ends with the loop that draws: nobody takes what it sends.
    spawn_local(async move {
        loop {
            let status = client.status().await.map_err(|error| error.to_string());
            if inputs.send(Input::Status(Box::new(status), Instant::now())).is_err() {
                return;
            }
            let _ = tokio::time::timeout(REFRESH, asked.notified()).await;
        }
    });
    now
}

fn carry_out(client: Client, order: Order, inputs: UnboundedSender<Input>, looks_now: Rc<Notify>) {
    // Ends with its operation, or with the loop that draws.
    spawn_local(async move {
        let mut step = |event: &_| {
            let _ = inputs.send(Input::Step(format!("{}: {}", order.service, progress::describe(event))));
        };
        let ended = client.operate(&order.service, order.verb(), &order.ask(), &mut step).await;
        let notice = match ended {
            Ok(done) => Notice::good(operation::describe(&done, order.verb(), false).replace('\n', " · ")),
            Err(error) => Notice::bad(error.to_string()),
        };
        let _ = inputs.send(Input::Ended { service: order.service, notice });
        looks_now.notify_one();
    });
}

/// Told to go is a way out too: the terminal is put back.
fn watch_signals(inputs: &UnboundedSender<Input>) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()] {
        let (mut told, inputs): (Signal, _) = (signal(kind)?, inputs.clone());
        // Ends with the loop that draws, at the latest.
        spawn_local(async move {
            told.recv().await;
            let _ = inputs.send(Input::Leave);
        });
    }
    Ok(())
}
