//! The one loop that brings the terminal, the keyboard and the daemon together.

use std::io::{self, IsTerminal};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{LocalSet, spawn_local};

use super::model::{Notice, OrderKind, SwitchOrder, TopEffect, TopInput, TopModel};
use super::screen::Screen;
use super::{keys, view};
use crate::admin::{AdminClient, ClientError};
use crate::cli::context::CommandContext;
use crate::cli::operation;
use crate::cli::terminal::CommandFailure;

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
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        if context.output.json {
            return Err(CommandFailure::usage("`top` is for people; a program reads `edgectl status --watch --json`"));
        }
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            let text = "`top` needs a terminal; without one use `edgectl status`, or `edgectl status --watch --json`";
            return Err(CommandFailure::usage(text));
        }
        context.block_on(LocalSet::new().run_until(live(context)))
    }
}

/// Runs until the user leaves. Operations that were asked for go on in the daemon.
async fn live(context: &CommandContext) -> Result<(), CommandFailure> {
    if let Err(error @ ClientError::NotAllowed { .. }) = context.client.status().await {
        return Err(error.into());
    }
    let (inputs, mut incoming) = unbounded_channel();
    watch_signals(&inputs).map_err(|error| CommandFailure::failed(format!("cannot listen for signals: {error}")))?;
    let looks_now = look_on(&context.client, &inputs);
    let in_terminal =
        |error: io::Error| CommandFailure::failed(format!("the terminal does not do what `top` needs: {error}"));
    let mut screen = Screen::open().map_err(in_terminal)?;
    keys::read(inputs.clone());
    let mut model = TopModel::default();
    loop {
        screen.draw(|frame| view::render(&model, context.output.color, frame)).map_err(in_terminal)?;
        for effect in inputs_so_far(&mut model, &mut incoming).await {
            match effect {
                TopEffect::Nothing => {}
                TopEffect::Leave => return Ok(()),
                TopEffect::Run(order) => carry_out(context.client.clone(), order, inputs.clone(), looks_now.clone()),
            }
        }
    }
}

/// Waits for one input, then takes all that have come: many inputs are drawn once.
async fn inputs_so_far(model: &mut TopModel, incoming: &mut UnboundedReceiver<TopInput>) -> Vec<TopEffect> {
    let Some(first) = incoming.recv().await else { return vec![TopEffect::Leave] };
    let mut effects = vec![model.take(first)];
    while let Ok(input) = incoming.try_recv() {
        effects.push(model.take(input));
    }
    effects
}

/// Asks the daemon once a second, and at once when the returned handle is notified.
fn look_on(client: &AdminClient, inputs: &UnboundedSender<TopInput>) -> Rc<Notify> {
    let now = Rc::new(Notify::new());
    let (client, inputs, asked) = (client.clone(), inputs.clone(), now.clone());
    // Ends with the loop that draws: its channel is closed then.
    spawn_local(async move {
        loop {
            let status = client.status().await.map_err(|error| error.to_string());
            if inputs.send(TopInput::Status(Box::new(status), Instant::now())).is_err() {
                return;
            }
            let _ = tokio::time::timeout(REFRESH, asked.notified()).await;
        }
    });
    now
}

fn carry_out(client: AdminClient, order: SwitchOrder, inputs: UnboundedSender<TopInput>, looks_now: Rc<Notify>) {
    // Ends with its operation, or with the loop that draws.
    spawn_local(async move {
        let mut step = |event: &_| {
            let _ = inputs.send(TopInput::Step(format!("{}: {}", order.service, operation::step_text(event))));
        };
        let ended = match order.kind {
            OrderKind::Switch => client.operate(&order.service, &order.switch_body(), &mut step).await,
            OrderKind::Rollback | OrderKind::EndCanary => {
                client.operate(&order.service, &order.rollback_body(), &mut step).await
            }
        };
        let notice = match ended {
            Ok(done) => Notice::good(operation::describe(&done, order.verb(), false).replace('\n', " · ")),
            Err(error) => Notice::bad(error.to_string()),
        };
        let _ = inputs.send(TopInput::Ended { service: order.service, notice });
        looks_now.notify_one();
    });
}

/// A signal ends it too, so that the terminal is restored.
fn watch_signals(inputs: &UnboundedSender<TopInput>) -> io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()] {
        let (mut signalled, inputs): (Signal, _) = (signal(kind)?, inputs.clone());
        // Ends with the loop that draws, at the latest.
        spawn_local(async move {
            signalled.recv().await;
            let _ = inputs.send(TopInput::Leave);
        });
    }
    Ok(())
}
