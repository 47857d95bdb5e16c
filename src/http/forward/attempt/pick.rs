//! Which backend gets the next try at a request: by the service's way to balance, below its bound, or after a wait for room.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use http::HeaderValue;
use http::request::Parts;
use smallvec::SmallVec;

use crate::config::{self, Balance};
use crate::error::Failure;
use crate::headers;
use crate::http::exchange::Exchange;
use crate::service::{Backend, Full, HashKey, InFlight, Place, Pool, Wanted};
use crate::worker::ExchangeState;

/// Requests that may wait for room in one pool; the next is refused.
const QUEUE: usize = 1000;

/// By what a backend is picked, and which backends have been tried.
pub(super) struct Picker<'a> {
    settings: &'a config::ServiceConfig,
    hash: Option<HashKey>,
    /// The backend that the client is to stay with.
    kept: Option<u64>,
    tried: SmallVec<[u64; 4]>,
}

impl<'a> Picker<'a> {
    pub fn new(exchange: &Exchange, head: &Parts, settings: &'a config::ServiceConfig) -> Self {
        let kept = exchange.progress.visitor.as_ref().and_then(|visitor| visitor.backend());
        Self { settings, hash: hash_key(exchange, head, settings), kept, tried: SmallVec::new() }
    }

    pub fn has_tried_any(&self) -> bool {
        !self.tried.is_empty()
    }

    pub fn has_tried(&self, backend: &Backend) -> bool {
        self.tried.contains(&backend.id())
    }

    /// Never again for this request.
    pub fn strike(&mut self, backend: &Backend) {
        self.tried.push(backend.id());
    }

    /// Moves the exchange to a backend with room. `None`: there is none, or others have waited longer.
    pub fn pick(&self, in_flight: &mut InFlight) -> Option<Arc<Backend>> {
        if self.settings.max_in_flight > 0 && !in_flight.pool().queue().is_empty() {
            return None;
        }
        self.take(in_flight)
    }

    /// Whether there is something to wait for: a backend that serves and is only full.
    pub fn may_wait(&self, pool: &Pool) -> bool {
        self.settings.max_in_flight > 0 && pool.has(Wanted { tried: &self.tried, max_in_flight: 0 })
    }

    /// Waits in the pool's queue, at most for `queue_timeout`, and moves the exchange to the backend that has room then. Returns
    /// false, without moving it, when there is nothing left to wait for and another colour may stand in.
    pub async fn wait(&self, in_flight: &mut InFlight, live: &ExchangeState) -> Result<bool, Failure> {
        // Frees its place at the backend that was given up, for a request that waits there.
        in_flight.unassign();
        let pool = in_flight.pool().clone();
        let ticket = pool.queue().join(QUEUE).map_err(|Full| Failure::QueueFull)?;
        let turn = tokio::time::timeout(self.settings.queue_timeout, self.turn(in_flight, &pool, ticket));
        match live.unless_broken(turn).await {
            Ok(Ok(has_room)) => Ok(has_room),
            Ok(Err(_)) => Err(Failure::QueueTimeout),
            Err(_) => Err(Failure::DrainCut),
        }
    }

    async fn turn(&self, in_flight: &mut InFlight, pool: &Pool, mut ticket: Place) -> bool {
        // A request that left before we queued has woken no one.
        self.wake_if_room(pool);
        let may_turn = in_flight.way().may_turn(self.settings.failover);
        let is_over = || may_turn && !self.may_wait(pool);
        if is_over() {
            return false;
        }
        loop {
            (&mut ticket).await;
            if self.take(in_flight).is_some() {
                break;
            }
            if is_over() {
                // The turn goes to the next waiter, which finds the same.
                return false;
            }
            // There is room, but not at a backend that this request may still try.
            ticket.pass();
            if self.take(in_flight).is_some() {
                break;
            }
        }
        ticket.done();
        // There may be room for more than one: a backend has come up, or the bound was raised.
        self.wake_if_room(pool);
        true
    }

    fn wake_if_room(&self, pool: &Pool) {
        // Queue first, then look. The fence keeps that order, because health is read without ordering everywhere else.
        fence(Ordering::SeqCst);
        if !pool.queue().is_empty() && pool.has(Wanted { tried: &[], max_in_flight: self.settings.max_in_flight }) {
            pool.queue().wake_one();
        }
    }

    fn take(&self, in_flight: &mut InFlight) -> Option<Arc<Backend>> {
        loop {
            let backend = self.choose(in_flight.pool())?;
            // Another worker may have taken the last place a moment ago.
            if in_flight.assign(&backend, self.settings.max_in_flight) {
                return Some(backend);
            }
        }
    }

    fn choose(&self, pool: &Pool) -> Option<Arc<Backend>> {
        let wanted = Wanted { tried: &self.tried, max_in_flight: self.settings.max_in_flight };
        if let Some(kept) = self.kept.and_then(|id| pool.one(id, wanted)) {
            return Some(kept);
        }
        match (&self.settings.balance, self.hash) {
            (Balance::RoundRobin, _) => pool.round_robin(wanted),
            (_, Some(key)) => pool.by_hash(key, wanted),
            _ => pool.least_conn(wanted),
        }
    }
}

fn hash_key(exchange: &Exchange, head: &Parts, settings: &config::ServiceConfig) -> Option<HashKey> {
    match &settings.balance {
        Balance::LeastConn | Balance::RoundRobin => None,
        Balance::HashIp => Some(HashKey::of(exchange.request.client.ip)),
        Balance::HashHeader(name) => Some(HashKey::of(head.headers.get(name).map(HeaderValue::as_bytes))),
        Balance::HashCookie(name) => Some(HashKey::of(headers::cookie(&head.headers, name))),
    }
}
