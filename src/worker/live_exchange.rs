//! An exchange's place in its worker's table.

use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::live::{Connection, ExchangeState};
use super::state::Worker;
use crate::site::Route;

/// Keeps an [`ExchangeState`] under its worker's sweep until dropped.
pub struct LiveExchange {
    worker: Rc<Worker>,
    key: usize,
    state: Rc<ExchangeState>,
}

impl LiveExchange {
    /// `patience`: how long the client may leave an answer untaken.
    pub fn new(
        worker: &Rc<Worker>,
        connection: Weak<dyn Connection>,
        route: &Arc<Route>,
        started: Instant,
        patience: Duration,
    ) -> Self {
        let state = Rc::new(ExchangeState::new(connection, route.clone(), started, patience));
        Self { key: worker.add_exchange(state.clone()), worker: worker.clone(), state }
    }

    pub fn handle(&self) -> Rc<ExchangeState> {
        self.state.clone()
    }
}

impl std::ops::Deref for LiveExchange {
    type Target = ExchangeState;

    fn deref(&self) -> &ExchangeState {
        &self.state
    }
}

impl Drop for LiveExchange {
    fn drop(&mut self) {
        self.worker.remove_exchange(self.key);
    }
}
