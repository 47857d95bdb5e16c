//! What answers behind edgectl: services, their two pools, the backends in them, and which exchanges are in flight where.
//!
//! Owns the active colour of each service and the exact count of exchanges in each pool. Never opens a socket and never
//! decides a switch: that is done in `control`, and published here with one store. Backends are picked in `http`.

mod active;
mod backend;
mod balance;
mod detour;
mod guests;
mod held;
mod in_flight;
mod names;
mod pool;
mod queue;
mod stable_hash;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};

pub use active::{Active, Canary, Maintenance, Pause, Shut, TICKETS, Ticket, Visit, Way};
pub use backend::{Backend, Ejected, Endpoint, Health, Probe, ProbeOutcome};
pub use balance::{HashKey, Wanted};
pub use detour::Detour;
pub use guests::Era;
pub use held::HeldTurn;
pub use in_flight::InFlight;
pub use pool::Pool;
pub use queue::{Full, Place, Queue};
pub use target::{NameAnswer, NameChange, PoolTarget};

use detour::Detours;

use crate::config;
use crate::trust::{BackendTls, BackendTlsCell};
use crate::types::Color;

/// One `[service.NAME]`. Keeps its identity, and with it health and in-flight counts, over every reload.
#[derive(Debug)]
pub struct Service {
    name: Arc<str>,
    config: ArcSwap<config::ServiceConfig>,
    pools: [Arc<Pool>; 2],
    tls: BackendTlsCell,
    active: ArcSwap<Active>,
    /// The generation of `active`, which can be read again without loading `active` again.
    generation: AtomicU64,
    /// Whether `active` is anything but one colour, or requests are held.
    special: AtomicBool,
    /// Tickets drawn by canary clients so far.
    drawn: AtomicU32,
    detours: Detours,
    /// Requests that a pause holds back.
    held: Queue,
    /// Wakes what looks its names up.
    names_doubted: Notify,
}

impl Service {
    pub fn new(config: Arc<config::ServiceConfig>, active: Active) -> Self {
        let colored = matches!(config.pools, config::Pools::BlueGreen { .. });
        let tls = BackendTlsCell::default();
        let pool = |color| Arc::new(Pool::new(colored.then_some(color), tls.clone()));
        let service = Self {
            name: config.name.clone(),
            pools: [pool(Color::Blue), pool(Color::Green)],
            tls: tls.clone(),
            generation: AtomicU64::new(active.generation),
            special: AtomicBool::new(!active.is_plain(SystemTime::now())),
            drawn: AtomicU32::new(fastrand::u32(..)),
            detours: Detours::default(),
            held: Queue::default(),
            names_doubted: Notify::new(),
            active: ArcSwap::from_pointee(active),
            config: ArcSwap::new(config.clone()),
        };
        service.reconfigure(config);
        service
    }

    /// Takes up a new definition: backends that stay keep their health, new ones start as down.
    pub fn reconfigure(&self, config: Arc<config::ServiceConfig>) {
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
        self.look_at_detour();
    }

    /// How its `https` backends are verified from now on; `None`: it has none.
    pub fn verify_backends(&self, tls: Option<&Arc<BackendTls>>) {
        self.tls.replace(tls);
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub fn config(&self) -> Arc<config::ServiceConfig> {
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

    /// Moves an exchange that its colour could not serve to the other one; false when that can't either, or may not.
    pub fn stand_in(&self, in_flight: &mut InFlight, failover: bool) -> bool {
        let Some(color) = in_flight.pool().color().filter(|_| in_flight.way().may_turn(failover)) else { return false };
        let other = self.pool(color.other());
        if !other.has_healthy() {
            return false;
        }
        let from = in_flight.way();
        loop {
            let (serves, generation) = {
                let active = self.active.load();
                (active.color == color.other(), active.generation)
            };
            let way = match (from, serves) {
                (Way::Canary, true) => Way::Fallback,
                // The canary's colour serves meanwhile, and no colour may take its place.
                (Way::Canary, false) if !failover => return false,
                // A switch came first: the exchange is no guest there.
                (_, true) => Way::Active,
                (_, false) => Way::Failover,
            };
            in_flight.move_to(other, way);
            // As in `enter`.
            fence(Ordering::SeqCst);
            if self.generation.load(Ordering::SeqCst) == generation {
                return true;
            }
        }
    }

    /// Whether [`Service::enter`] may answer anything but the active colour: only then the client's cookies have to be read.
    pub fn is_special(&self) -> bool {
        self.special.load(Ordering::Relaxed)
    }

    /// The flip, or any other change of what serves: one store, seen by every request that enters later. The caller has made
    /// it durable before.
    pub fn publish(&self, active: Active) {
        let (color, generation) = (active.color, active.generation);
        self.active.store(Arc::new(active));
        self.look_whether_special();
        self.generation.store(generation, Ordering::SeqCst);
        // Pairs with the fence in `enter`: either the request that counted itself in is seen by the drain, or the request
        // sees this generation and chooses again.
        fence(Ordering::SeqCst);
        self.pools[color.index()].adopt_guests();
    }

    /// Counts a new exchange into the pool of the colour that is chosen for it.
    ///
    /// Once `publish` has returned, no call that starts later enters the old pool; a call that overlaps is either counted
    /// there before the drain looks, or it sees the new generation here and moves.
    pub fn enter(&self, visit: &mut Visit, failover: bool) -> Result<InFlight, Shut> {
        loop {
            let (color, way, serves, generation) = {
                let active = self.active.load();
                let healthy = |color: Color| self.pools[color.index()].is_sound();
                let (color, way) = active.choose(visit, || self.draw(), healthy, failover)?;
                (color, way, active.color == color, active.generation)
            };
            let guard = InFlight::enter(&self.pools[color.index()], way, way.is_guest() && !serves);
            fence(Ordering::SeqCst);
            if self.generation.load(Ordering::SeqCst) == generation {
                if failover || way != Way::Active {
                    self.note_way(way);
                }
                return Ok(guard);
            }
        }
    }

    /// The maintenance that a visit would meet now: to be asked before a body is read that would be refused then.
    pub fn maintenance_for(&self, visit: &Visit) -> Option<Arc<Maintenance>> {
        if self.is_special() { self.active.load().maintenance_for(visit).cloned() } else { None }
    }

    /// The requests that a pause holds back; they go on in its order.
    pub fn held(&self) -> &Queue {
        &self.held
    }

    /// The pause has ended: the first that was held goes on, and wakes the next.
    pub fn let_go(&self) {
        self.held.wake_one();
    }

    /// Call it when what makes a service special may have changed: what is published, which requests are held; and now and then,
    /// for previews that have expired.
    pub fn look_whether_special(&self) {
        let look = || !self.active.load().is_plain(SystemTime::now()) || !self.held.is_empty();
        loop {
            let special = look();
            self.special.store(special, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            // Another thread may have changed it between the look and the store.
            if look() == special {
                return;
            }
        }
    }

    /// The next ticket number: every run of them is spread evenly, so that a share is exact after few clients.
    fn draw(&self) -> u16 {
        // Fibonacci hashing: multiples of the golden ratio leave the largest gaps in turn.
        let turn = self.drawn.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9);
        ((u64::from(turn) * u64::from(TICKETS)) >> 32) as u16
    }

    /// Wakes when exchanges begin or cease to take a detour.
    pub fn watch_detours(&self) -> watch::Receiver<Option<Detour>> {
        self.detours.watch()
    }

    /// The detour that exchanges take now.
    pub fn detour(&self) -> Option<Detour> {
        self.detours.present()
    }

    /// Checks whether a detour has begun or ended, without an exchange that reports it: called when health has changed.
    pub fn look_at_detour(&self) {
        let active = self.active();
        let healthy = |color: Color| self.pools[color.index()].is_sound();
        let stands_in = self.config.load().failover && !healthy(active.color) && healthy(active.color.other());
        // A colour that is about to come up, as at the start, has not failed.
        let comes_up = self.detour().is_none() && self.pools[active.color.index()].may_come_up();
        let failover = stands_in && !comes_up;
        let falls_back = active.canary.is_some_and(|canary| canary.percent > 0 && !healthy(canary.color));
        let fallback =
            falls_back && (self.detour().is_some() || !self.pools[active.color.other().index()].may_come_up());
        self.detours.take(match (failover, fallback) {
            (true, _) => Some(Detour::Failover),
            (_, true) => Some(Detour::Fallback),
            _ => None,
        });
    }

    fn note_way(&self, way: Way) {
        match way {
            Way::Failover => self.detours.take(Some(Detour::Failover)),
            Way::Fallback => self.detours.take(Some(Detour::Fallback)),
            // An exchange without a detour does not end the detour of another; only a check of health does.
            Way::Active | Way::Canary if self.detours.any() => self.look_at_detour(),
            Way::Active | Way::Canary | Way::Preview => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn active(color: Color, generation: u64) -> Active {
        Active::new(color, generation, std::time::SystemTime::UNIX_EPOCH)
    }

    fn visit() -> Visit {
        Visit::of("192.0.2.1".parse().unwrap())
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
        let guard = service.enter(&mut visit(), false).unwrap();
        assert_eq!(service.pool(Color::Blue).in_flight(), 1);
        service.publish(active(Color::Green, 2));
        let _second = service.enter(&mut visit(), false).unwrap();
        assert_eq!(service.pool(Color::Green).in_flight(), 1);
        drop(guard);
        assert_eq!(service.pool(Color::Blue).in_flight(), 0);
    }

    #[test]
    fn few_clients_are_enough_for_an_exact_share() {
        let service = service();
        let canary = Some(Canary { color: Color::Green, percent: 10, id: 2 });
        service.publish(Active { canary, ..active(Color::Blue, 2) });
        let mut guards = Vec::new();
        for _ in 0..200 {
            let visit = &mut visit();
            guards.push(service.enter(visit, false).unwrap());
        }
        // No backend is healthy: the canary's requests have fallen back, and it is known.
        assert_eq!(service.detour(), Some(Detour::Fallback));
        let fallen = guards.iter().filter(|guard| guard.way() == Way::Fallback).count();
        assert!((18..=22).contains(&fallen), "{fallen} of 200 at 10 per cent");
        service.publish(active(Color::Blue, 3));
        service.look_at_detour();
        assert_eq!(service.detour(), None);
    }

    #[test]
    fn a_guest_belongs_to_a_colour_once_it_serves() {
        let service = service();
        let green = service.pool(Color::Green);
        let shown = || service.enter(&mut Visit { preview: Some(Color::Green), ..visit() }, false).unwrap();
        let before = shown();
        assert_eq!((green.in_flight(), green.residents()), (1, 0));
        service.publish(active(Color::Green, 2));
        let after = shown();
        assert_eq!((green.in_flight(), green.residents()), (2, 2), "its drain is to wait for both");
        service.publish(active(Color::Blue, 3));
        let again = shown();
        assert_eq!((green.in_flight(), green.residents()), (3, 2));
        drop((before, after, again));
        assert_eq!((green.in_flight(), green.residents()), (0, 0));
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
                    let guard = service.enter(&mut visit(), false).unwrap();
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
