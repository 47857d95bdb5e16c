//! What `top` knows and how it changes: inputs come in, orders go out. Opens nothing, draws nothing, reads no clock.

use std::collections::BTreeMap;
use std::time::Instant;

use super::trail::{Look, Trail};
use crate::admin::wire::{Ask, ServiceStatus, Status};
use crate::types::Color;

/// For the history: where a switch was asked for.
const REASON: &str = "edgectl top";

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct Model {
    /// The last one that was got.
    pub status: Option<Status>,
    /// Why there is none newer.
    pub gone: Option<String>,
    /// Asked, and not answered yet.
    pub question: Option<Order>,
    pub notice: Option<Notice>,
    /// By name: services come and go with a reload.
    chosen: Option<String>,
    /// Services that are being switched from here.
    running: Vec<String>,
    trails: BTreeMap<String, Trail>,
}

/// What happens to it.
#[derive(Debug)]
pub enum Input {
    Key(Key),
    Status(Box<Result<Status, String>>, Instant),
    /// A step of an order that runs.
    Step(String),
    /// An order has ended, well or not.
    Ended {
        service: String,
        notice: Notice,
    },
    /// Draw anew: the terminal has another size.
    Redraw,
    Leave,
}

/// What a person pressed, as far as it means anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Up,
    Down,
    Switch,
    Rollback,
    Yes,
    No,
    /// `q`; answers no while something is asked.
    Quit,
    /// Ctrl-C: leaves in any case.
    Break,
}

/// What is to be done outside.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    Leave,
    Run(Order),
}

/// A switch or a rollback, with the generation that was seen when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub verb: Verb,
    pub service: String,
    pub to: Color,
    pub generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Switch,
    Rollback,
    /// What a rollback is while there is a canary.
    EndCanary,
}

/// One line about what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub is_bad: bool,
}

impl Notice {
    pub fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_bad: false }
    }

    pub fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_bad: true }
    }
}

impl Order {
    /// The line that asks for a yes.
    pub fn question(&self) -> String {
        let Self { verb, service, to, generation } = self;
        match verb {
            Verb::Switch => format!("switch {service} to {to} (generation {generation} now)? y/n"),
            Verb::Rollback => format!("roll {service} back to {to} (generation {generation} now)? y/n"),
            Verb::EndCanary => {
                format!("end the canary of {service}: all clients to {to} (generation {generation} now)? y/n")
            }
        }
    }

    /// As in the path of the API.
    pub fn verb(&self) -> &'static str {
        match self.verb {
            Verb::Switch => "switch",
            Verb::Rollback | Verb::EndCanary => "rollback",
        }
    }

    /// Does not wait for the drain: the screen shows it.
    pub fn ask(&self) -> Ask {
        Ask {
            color: (self.verb == Verb::Switch).then(|| self.to.to_string()),
            wait: false,
            if_generation: Some(self.generation),
            reason: Some(REASON.to_owned()),
            ..Ask::default()
        }
    }
}

impl Model {
    pub fn take(&mut self, input: Input) -> Effect {
        match input {
            Input::Leave | Input::Key(Key::Break) => return Effect::Leave,
            Input::Key(key) => return self.key(key),
            Input::Status(status, at) => self.look(*status, at),
            Input::Step(text) => self.notice = Some(Notice::good(text)),
            Input::Ended { service, notice } => {
                self.running.retain(|running| *running != service);
                self.notice = Some(notice);
            }
            Input::Redraw => {}
        }
        Effect::Nothing
    }

    pub fn services(&self) -> &[ServiceStatus] {
        self.status.as_ref().map_or(&[], |status| &status.services)
    }

    /// Which of them is looked at; 0 when there is none.
    pub fn place(&self) -> usize {
        let named = |service: &ServiceStatus| self.chosen.as_deref() == Some(&service.name);
        self.services().iter().position(named).unwrap_or(0)
    }

    pub fn service(&self) -> Option<&ServiceStatus> {
        self.services().get(self.place())
    }

    pub fn trail(&self, service: &str) -> Option<&Trail> {
        self.trails.get(service)
    }

    fn key(&mut self, key: Key) -> Effect {
        if let Some(order) = self.question.take() {
            return self.answer(key, order);
        }
        match key {
            Key::Quit => return Effect::Leave,
            Key::Up => self.choose(self.place().saturating_sub(1)),
            Key::Down => self.choose(self.place() + 1),
            Key::Switch => self.ask(Verb::Switch),
            Key::Rollback => self.ask(Verb::Rollback),
            Key::Yes | Key::No | Key::Break => {}
        }
        Effect::Nothing
    }

    /// Whatever is not a yes is a no.
    fn answer(&mut self, key: Key, order: Order) -> Effect {
        if key != Key::Yes {
            self.notice = Some(Notice::good("nothing was changed"));
            return Effect::Nothing;
        }
        self.running.push(order.service.clone());
        self.notice = Some(Notice::good(format!("{}: asked for {}", order.service, order.to)));
        Effect::Run(order)
    }

    fn choose(&mut self, place: usize) {
        let place = place.min(self.services().len().saturating_sub(1));
        self.chosen = self.services().get(place).map(|service| service.name.clone());
    }

    fn ask(&mut self, verb: Verb) {
        match self.order(verb) {
            Ok(order) => {
                self.notice = None;
                self.question = Some(order);
            }
            Err(why) => self.notice = Some(Notice::bad(why)),
        }
    }

    fn order(&self, verb: Verb) -> Result<Order, String> {
        if let Some(why) = &self.gone {
            return Err(why.clone());
        }
        let service = self.service().ok_or("there is no service")?;
        let ServiceStatus { name, idle, previous, generation, .. } = service;
        if self.running.contains(name) {
            return Err(format!("{name} is being switched from here already"));
        }
        let (Some(idle), Some(generation)) = (*idle, *generation) else {
            return Err(format!("{name} has one pool: there is nothing to switch"));
        };
        let (verb, to) = match (verb, &service.canary) {
            (Verb::Switch, _) => (verb, idle),
            (_, Some(canary)) => (Verb::EndCanary, canary.color.other()),
            (_, None) => {
                let none = || format!("{name} has not been switched yet: there is no colour to go back to");
                (verb, previous.ok_or_else(none)?)
            }
        };
        Ok(Order { verb, service: name.clone(), to, generation })
    }

    fn look(&mut self, status: Result<Status, String>, at: Instant) {
        match status {
            Ok(status) => {
                self.trails.retain(|name, _| status.services.iter().any(|service| service.name == *name));
                for service in &status.services {
                    let requests = |index: usize| service.pools.get(index).map_or(0, |pool| pool.traffic.requests);
                    let look = Look { at, requests: [requests(0), requests(1)], generation: service.generation };
                    self.trails.entry(service.name.clone()).or_default().push(look);
                }
                self.status = Some(status);
                self.gone = None;
            }
            Err(why) => {
                self.trails.values_mut().for_each(Trail::skip);
                self.gone = Some(why);
                // What it was asked of is not what comes back.
                self.question = None;
            }
        }
    }
}
