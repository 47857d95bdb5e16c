//! What answers behind the front door: services, their two pools, the backends in them, and who is in flight where.
//!
//! Owns the active colour of each service and the exact count of exchanges in each pool. Never opens a socket and never
//! decides a switch: [`crate::control`] does, and publishes it here with one store. Who picks: [`crate::http`].

mod backend;
mod balance;
mod ejection;
mod in_flight;
mod pool;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::SystemTime;

use arc_swap::ArcSwap;

pub use backend::{Backend, Endpoint, Health, Probe, ProbeOutcome};
pub use balance::{HashKey, Wanted};
pub use ejection::Ejected;
pub use in_flight::InFlight;
pub use pool::{Pool, Target};
pub use queue::{Full, Queue, Ticket};

use crate::config;
use crate::types::Color;

/// One `[service.NAME]`. Keeps its identity, and with it health and in-flight counts, over every reload.
#[derive(Debug)]
pub struct Service {
    name: Arc<str>,
    config: ArcSwap<config::Service>,
    pools: [Arc<Pool>; 2],
    active: ArcSwap<Active>,
    /// That of `active`, to be looked at again without taking it again.
    generation: AtomicU64,
}

/// What serves, since when: replaced as a whole, by one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Active {
    pub color: Color,
    /// Counts the changes of this service's colour; starts at 1 and survives restarts.
    pub generation: u64,
    /// What served before: where `rollback` goes.
    pub previous: Option<Color>,
    pub since: SystemTime,
}

impl Service {
    pub fn new(config: Arc<config::Service>, active: Active) -> Self {
        let colored = matches!(config.pools, config::Pools::BlueGreen { .. });
        let pool = |color| Arc::new(Pool::new(colored.then_some(color)));
        let service = Self {
            name: config.name.clone(),
            pools: [pool(Color::Blue), pool(Color::Green)],
            generation: AtomicU64::new(active.generation),
            active: ArcSwap::from_pointee(active),
            config: ArcSwap::new(config.clone()),
        };
        service.reconfigure(config);
        service
    }

    /// Takes up a new definition: backends that stay keep their health, new ones start as down.
    pub fn reconfigure(&self, config: Arc<config::Service>) {
        match &config.pools {
            config::Pools::BlueGreen { blue, green } => {
                self.pools[0].retarget(blue);
                self.pools[1].retarget(green);
            }
            config::Pools::Single(backends) => {
                self.pools[0].retarget(backends);
                self.pools[1].retarget(&[]);
            }
        }
        self.config.store(config);
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn config(&self) -> Arc<config::Service> {
        self.config.load_full()
    }

    /// Whether there are two colours to switch between.
    pub fn is_colored(&self) -> bool {
        self.pools[0].color().is_some()
    }

    pub fn active(&self) -> Arc<Active> {
        self.active.load_full()
    }

    pub fn pool(&self, color: Color) -> &Arc<Pool> {
        &self.pools[color.index()]
    }

    /// Both pools of a coloured service, the one pool of another.
    pub fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let count = if self.is_colored() { 2 } else { 1 };
        self.pools[..count].iter()
    }

    /// The flip: one store, seen by every request that enters later. The caller has made it durable before.
    pub fn publish(&self, active: Active) {
        let generation = active.generation;
        self.active.store(Arc::new(active));
        self.generation.store(generation, Ordering::SeqCst);
        // Pairs with the fence in `enter`: either the request that counted itself in is seen by the drain, or the request
        // sees this generation and chooses again.
        fence(Ordering::SeqCst);
    }

    /// Counts a new exchange into the active pool.
    ///
    /// Once `publish` has returned, no call that starts later enters the old pool; a call that overlaps is either counted
    /// there before the drain looks, or it sees the new generation here and moves.
    pub fn enter(&self) -> InFlight {
        loop {
            let (color, generation) = {
                let active = self.active.load();
                (active.color, active.generation)
            };
            let guard = InFlight::enter(&self.pools[color.index()]);
            fence(Ordering::SeqCst);
            if self.generation.load(Ordering::SeqCst) == generation {
                return guard;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn active(color: Color, generation: u64) -> Active {
        Active { color, generation, previous: None, since: SystemTime::UNIX_EPOCH }
    }

    fn service() -> Service {
        let loaded = config::parse(
            "edge.toml",
            "[[site]]\nhosts = [\"app.test\"]\nservice = \"app\"\n[service.app]\nblue = [\"127.0.0.1:1\"]\ngreen = [\"127.0.0.1:2\"]",
            &|_| None,
        )
        .unwrap();
        Service::new(loaded.config.services["app"].clone(), active(Color::Blue, 1))
    }

    #[test]
    fn an_exchange_enters_the_active_pool_and_leaves_it_by_drop() {
        let service = service();
        let guard = service.enter();
        assert_eq!(service.pool(Color::Blue).in_flight(), 1);
        service.publish(active(Color::Green, 2));
        let _second = service.enter();
        assert_eq!(service.pool(Color::Green).in_flight(), 1);
        drop(guard);
        assert_eq!(service.pool(Color::Blue).in_flight(), 0);
    }

    #[test]
    fn after_a_publish_nothing_enters_the_old_pool_unseen() {
        // The drain reads zero only when no thread can still be on its way into the old pool.
        let service = Arc::new(service());
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let entering = {
            let (service, stop) = (service.clone(), stop.clone());
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let generation_before = service.active().generation;
                    let guard = service.enter();
                    let color = if generation_before % 2 == 1 { Color::Blue } else { Color::Green };
                    let generation_after = service.active().generation;
                    if generation_before == generation_after {
                        assert_eq!(guard.pool().color(), Some(color));
                    }
                }
            })
        };
        for generation in 2..2_000 {
            let color = if generation % 2 == 1 { Color::Blue } else { Color::Green };
            service.publish(active(color, generation));
        }
        stop.store(true, Ordering::Relaxed);
        entering.join().unwrap();
        assert_eq!(service.pool(Color::Blue).in_flight() + service.pool(Color::Green).in_flight(), 0);
    }
}
