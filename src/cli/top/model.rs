//! What `top` knows, and how that changes: inputs come in, orders go out. Opens nothing, draws nothing, reads no clock.

use std::collections::BTreeMap;
use std::time::Instant;

use super::trail::{Look, Trail};
use crate::admin::wire::{RollbackBody, ServiceStatus, ServiceVerb, Status, SwitchBody};
use crate::cli::terminal::table::printable;
use crate::types::Color;

/// The reason in the history.
const REASON: &str = "edgectl top";

/// Everything that is shown.
#[derive(Debug, Default)]
pub struct TopModel {
    /// The last one that came.
    pub status: Option<Status>,
    /// Why no newer one came.
    pub gone: Option<String>,
    /// The question that is not answered yet.
    pub question: Option<SwitchOrder>,
    pub notice: Option<Notice>,
    /// By name, because a reload adds and removes services.
    chosen: Option<String>,
    /// Services that this screen is switching.
    running: Vec<String>,
    trails: BTreeMap<String, Trail>,
}

/// What happens to it.
#[derive(Debug)]
pub enum TopInput {
    Key(PressedKey),
    Status(Box<Result<Status, String>>, Instant),
    /// A step of an order that runs.
    Step(String),
    /// An order has ended, well or not.
    Ended {
        service: String,
        notice: Notice,
    },
    /// Draw again: the terminal has another size.
    Redraw,
    Leave,
}

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PressedKey {
    Up,
    Down,
    Switch,
    Rollback,
    Yes,
    No,
    /// `q`; while there is a question, it means no.
    Quit,
    /// Ctrl-C: always leaves.
    Break,
}

/// What the loop is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum TopEffect {
    Nothing,
    Leave,
    Run(SwitchOrder),
}

/// A switch or a rollback, with the generation that was on the screen when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchOrder {
    pub kind: OrderKind,
    pub service: String,
    pub to: Color,
    pub generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    Switch,
    Rollback,
    /// A rollback while there is a canary.
    EndCanary,
}

/// One line about what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub is_bad: bool,
}

impl Notice {
    pub fn good(text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), is_bad: false }
    }

    pub fn bad(text: impl AsRef<str>) -> Self {
        Self { text: printable(text.as_ref()), is_bad: true }
    }
}

impl SwitchOrder {
    /// The line that asks for a yes.
    pub fn question(&self) -> String {
        let Self { kind, service, to, generation } = self;
        match kind {
            OrderKind::Switch => format!("switch {service} to {to} (generation {generation} now)? y/n"),
            OrderKind::Rollback => format!("roll {service} back to {to} (generation {generation} now)? y/n"),
            OrderKind::EndCanary => {
                format!("end the canary of {service}: all clients to {to} (generation {generation} now)? y/n")
            }
        }
    }

    /// Does not wait for the drain, because the screen shows it.
    pub fn switch_body(&self) -> SwitchBody {
        SwitchBody {
            color: Some(self.to.into()),
            wait: false,
            if_generation: Some(self.generation),
            reason: Some(REASON.to_owned()),
            ..SwitchBody::default()
        }
    }

    /// A rollback also ends a canary.
    pub fn rollback_body(&self) -> RollbackBody {
        RollbackBody {
            wait: false,
            if_generation: Some(self.generation),
            reason: Some(REASON.to_owned()),
            ..RollbackBody::default()
        }
    }

    pub fn verb(&self) -> ServiceVerb {
        match self.kind {
            OrderKind::Switch => ServiceVerb::Switch,
            OrderKind::Rollback | OrderKind::EndCanary => ServiceVerb::Rollback,
        }
    }
}

impl TopModel {
    pub fn take(&mut self, input: TopInput) -> TopEffect {
        match input {
            TopInput::Leave | TopInput::Key(PressedKey::Break) => return TopEffect::Leave,
            TopInput::Key(key) => return self.key(key),
            TopInput::Status(status, at) => self.look(*status, at),
            TopInput::Step(text) => self.notice = Some(Notice::good(text)),
            TopInput::Ended { service, notice } => {
                self.running.retain(|running| *running != service);
                self.notice = Some(notice);
            }
            TopInput::Redraw => {}
        }
        TopEffect::Nothing
    }

    pub fn services(&self) -> &[ServiceStatus] {
        self.status.as_ref().map_or(&[], |status| &status.services)
    }

    /// The index of the chosen service; 0 without services.
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

    fn key(&mut self, key: PressedKey) -> TopEffect {
        if let Some(order) = self.question.take() {
            return self.answer(key, order);
        }
        match key {
            PressedKey::Quit => return TopEffect::Leave,
            PressedKey::Up => self.choose(self.place().saturating_sub(1)),
            PressedKey::Down => self.choose(self.place() + 1),
            PressedKey::Switch => self.ask(OrderKind::Switch),
            PressedKey::Rollback => self.ask(OrderKind::Rollback),
            PressedKey::Yes | PressedKey::No | PressedKey::Break => {}
        }
        TopEffect::Nothing
    }

    /// Any other key than yes means no.
    fn answer(&mut self, key: PressedKey, order: SwitchOrder) -> TopEffect {
        if key != PressedKey::Yes {
            self.notice = Some(Notice::good("nothing was changed"));
            return TopEffect::Nothing;
        }
        self.running.push(order.service.clone());
        self.notice = Some(Notice::good(format!("{}: asked for {}", order.service, order.to)));
        TopEffect::Run(order)
    }

    fn choose(&mut self, place: usize) {
        let place = place.min(self.services().len().saturating_sub(1));
        self.chosen = self.services().get(place).map(|service| service.name.clone());
    }

    fn ask(&mut self, kind: OrderKind) {
        match self.order(kind) {
            Ok(order) => {
                self.notice = None;
                self.question = Some(order);
            }
            Err(why) => self.notice = Some(Notice::bad(why)),
        }
    }

    fn order(&self, kind: OrderKind) -> Result<SwitchOrder, String> {
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
        let (kind, to) = match (kind, &service.canary) {
            (OrderKind::Switch, _) => (kind, idle),
            (_, Some(canary)) => (OrderKind::EndCanary, canary.color.other()),
            (_, None) => {
                let none = || format!("{name} has not been switched yet: there is no colour to go back to");
                (kind, previous.ok_or_else(none)?)
            }
        };
        Ok(SwitchOrder { kind, service: name.clone(), to, generation })
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
                self.gone = Some(printable(&why));
                // The question was about a state that may have changed by the time the daemon is back.
                self.question = None;
            }
        }
    }
}
