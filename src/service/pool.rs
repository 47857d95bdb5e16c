//! One colour's backends: what is configured, what the names resolved to, and how many exchanges are inside.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::backend::{Backend, Endpoint, Health};
use super::guests::{Era, Guests};
use super::queue::Queue;
use super::target::{NameAnswer, NameChange, PoolTarget};
use crate::config;
use crate::trust::BackendTlsCell;
use crate::types::{BackendAddr, Color};

/// The backends of one colour, or of a service with a single pool.
#[derive(Debug)]
pub struct Pool {
    color: Option<Color>,
    targets: Mutex<Vec<PoolTarget>>,
    backends: ArcSwap<Vec<Arc<Backend>>>,
    /// Exchanges that are here because the colour serves, has served, or is a canary: a drain waits for these.
    residents: AtomicUsize,
    guests: Guests,
    tunnels: AtomicUsize,
    turn: AtomicUsize,
    queue: Queue,
    changed: watch::Sender<u64>,
    cut: AtomicBool,
    cuts: AtomicUsize,
    tls: BackendTlsCell,
}

impl Pool {
    pub(super) fn new(color: Option<Color>, tls: BackendTlsCell) -> Self {
        Self {
            color,
            targets: Mutex::default(),
            backends: ArcSwap::default(),
            residents: AtomicUsize::new(0),
            guests: Guests::default(),
            tunnels: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
            queue: Queue::default(),
            changed: watch::Sender::new(0),
            cut: AtomicBool::new(false),
            cuts: AtomicUsize::new(0),
            tls,
        }
    }

    /// `None` for a service with a single pool.
    pub fn color(&self) -> Option<Color> {
        self.color
    }

    pub fn color_label(&self) -> &'static str {
        self.color.map_or("", Color::as_str)
    }

    /// All exchanges inside, tunnels included.
    pub fn in_flight(&self) -> usize {
        self.residents() + self.guests.count()
    }

    /// Those that a drain waits for, and cuts.
    pub fn residents(&self) -> usize {
        self.residents.load(Ordering::SeqCst)
    }

    /// Those that a pause waits for: all but tunnels.
    pub fn requests(&self) -> usize {
        self.in_flight().saturating_sub(self.tunnels.load(Ordering::SeqCst))
    }

    pub fn backends(&self) -> Guard<Arc<Vec<Arc<Backend>>>> {
        self.backends.load()
    }

    /// Requests for which every backend that serves is full.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    pub fn targets(&self) -> Vec<PoolTarget> {
        self.targets.lock().clone()
    }

    pub fn has_healthy(&self) -> bool {
        self.backends().iter().any(|b| b.is_up())
    }

    /// Whether it has a healthy backend to which connections can be made, as far as is known: a pool without one is passed over
    /// where the other colour may stand in.
    pub fn is_sound(&self) -> bool {
        self.backends().iter().any(|b| b.is_up() && !b.is_doubted())
    }

    /// Whether it has no healthy backend yet, but one that has not failed its last probe.
    pub fn may_come_up(&self) -> bool {
        let untold = |health: Health| health.last.is_none_or(|probe| probe.outcome.passed());
        !self.has_healthy() && self.backends().iter().any(|backend| untold(backend.health()))
    }

    /// Takes a backend out that has failed too many requests in a row; answers for how long.
    ///
    /// `None`, and nothing has changed: it is out already, half of the pool is, or no other would be left to serve. The
    /// task that follows [`Pool::watch_backends`] lets it in again with [`Pool::readmit`].
    pub fn eject(
        &self,
        backend: &Backend,
        health: &config::HealthConfig,
        why: String,
        now: Instant,
    ) -> Option<Duration> {
        // Held so that two workers can't eject the two halves at once.
        let _targets = self.targets.lock();
        let backends = self.backends();
        let out = backends.iter().filter(|b| b.ejected().is_some()).count();
        let another_serves = backends.iter().any(|b| b.id() != backend.id() && b.serves());
        let too_many = (out + 1) * 2 > backends.len();
        if too_many || !another_serves || !backend.serves() {
            return None;
        }
        let lasts = backend.eject(now, health.fail_timeout, health.max_fails, why);
        self.changed.send_modify(|n| *n += 1);
        Some(lasts)
    }

    /// Lets backends in again whose time out is over; returns which.
    pub fn readmit(&self, now: Instant) -> Vec<Arc<Backend>> {
        let back: Vec<_> = self.backends().iter().filter(|b| b.readmit(now)).cloned().collect();
        if !back.is_empty() {
            self.room_made();
        }
        back
    }

    /// When the next one is to be let in.
    pub fn next_readmission(&self) -> Option<Instant> {
        self.backends().iter().filter_map(|b| b.ejected()).map(|ejected| ejected.until).min()
    }

    /// Wakes when the set of backends changed or one was ejected: the prober starts and ends its tasks by it.
    pub fn watch_backends(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Takes up the config's list; what stays keeps its addresses and health.
    pub(super) fn retarget(&self, addrs: &[BackendAddr]) {
        let mut targets = self.targets.lock();
        let next = addrs.iter().map(|addr| {
            let before = targets.iter().find(|t| t.addr == *addr);
            before.cloned().unwrap_or_else(|| PoolTarget::new(addr.clone()))
        });
        *targets = next.collect();
        self.rebuild(&targets);
    }

    /// Takes in what look-ups have said of its names; [`Pool::follow_names`] is to be called next. Returns what has changed.
    pub(super) fn take_names(&self, answers: &[(String, NameAnswer)], now: Instant) -> Vec<(PoolTarget, NameChange)> {
        let mut targets = self.targets.lock();
        let mut changes = Vec::new();
        for target in targets.iter_mut().filter(|target| target.addr.is_named()) {
            let Some((_, answer)) = answers.iter().find(|(host, _)| *host == target.addr.host) else { continue };
            let change = target.take(answer.clone(), now);
            if change != NameChange::Same {
                changes.push((target.clone(), change));
            }
        }
        changes
    }

    /// Every address that one of its names has.
    pub(super) fn addresses(&self) -> Vec<(BackendAddr, IpAddr)> {
        let targets = self.targets.lock();
        let ips = |target: &PoolTarget| target.endpoints.iter().flat_map(Endpoint::ips).collect::<Vec<_>>();
        targets.iter().flat_map(|target| ips(target).into_iter().map(|ip| (target.addr.clone(), ip))).collect()
    }

    /// Takes up the addresses that its names have now. `taken`: those of all names of the service.
    pub(super) fn follow_names(&self, taken: &[(BackendAddr, IpAddr)]) {
        let mut targets = self.targets.lock();
        targets.iter_mut().for_each(|target| target.yield_to(taken));
        self.rebuild(&targets);
    }

    /// Whether everything is as it should be, so that nothing is about to change: every name resolves, every backend is up.
    pub(super) fn is_settled(&self) -> bool {
        let is_well = |backend: &Arc<Backend>| backend.is_up() && !backend.is_doubted();
        self.backends().iter().all(is_well) && !self.targets.lock().iter().any(PoolTarget::is_changing)
    }

    /// Whether DNS says now that the backend's name has no address.
    pub fn is_nameless(&self, backend: &Backend) -> bool {
        self.targets.lock().iter().any(|target| target.addr == *backend.addr() && target.is_gone())
    }

    /// A backend has come up or gone down: drops backends that were only kept until one of their successors is healthy, and wakes a
    /// request that waits for room.
    pub fn settle(&self) {
        let targets = self.targets.lock();
        self.rebuild(&targets);
    }

    /// The backends of `targets`. While none of them is healthy, or their names are not known yet, healthy ones of before serve on
    /// beside them: those that the config has dropped, and for a moment those whose name has moved to another address. When no
    /// other is left to serve, the ejected ones are let in.
    fn rebuild(&self, targets: &[PoolTarget]) {
        let before = self.backends.load_full();
        // A name that is gone and a connection that has failed are two signs that the address is another's by now.
        let is_lost = |target: &PoolTarget, endpoint: &Endpoint| {
            let mut of_target = before.iter().filter(|b| *b.addr() == target.addr && b.endpoint() == endpoint);
            target.is_gone() && !of_target.any(|b| b.is_up() && !b.is_doubted())
        };
        let wanted: Vec<(&BackendAddr, &Endpoint)> = targets
            .iter()
            .flat_map(|t| t.endpoints.iter().map(move |e| (t, e)))
            .filter(|(target, endpoint)| !is_lost(target, endpoint))
            .map(|(target, endpoint)| (&target.addr, endpoint))
            .collect();
        let is_wanted = |b: &Backend| wanted.iter().any(|(a, e)| *a == b.addr() && *e == b.endpoint());
        let may_stay = |b: &Backend| match targets.iter().find(|target| target.addr == *b.addr()) {
            Some(target) => target.is_leaving(b.endpoint()) && !b.is_doubted(),
            None => true,
        };
        let new = |addr: &BackendAddr, endpoint: &Endpoint| {
            Arc::new(Backend::with_tls(addr.clone(), endpoint.clone(), self.tls.clone()))
        };
        let mut next: Vec<Arc<Backend>> = wanted
            .iter()
            .map(|(addr, endpoint)| {
                let kept = before.iter().find(|b| b.addr() == *addr && b.endpoint() == *endpoint);
                kept.cloned().unwrap_or_else(|| new(addr, endpoint))
            })
            .collect();
        if !targets.is_empty() && !next.iter().any(|b| b.is_up()) {
            next.extend(before.iter().filter(|b| b.is_up() && !is_wanted(b) && may_stay(b)).cloned());
        }
        if !next.iter().any(|b| b.serves()) {
            let now = Instant::now();
            for backend in next.iter().filter(|b| b.is_up() && b.readmit_early(now)) {
                tracing::warn!(backend = %backend.name(), "backend no longer ejected: no other is left");
            }
        }
        let same = next.len() == before.len() && next.iter().zip(before.iter()).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same {
            before.iter().filter(|b| !next.iter().any(|kept| kept.id() == b.id())).for_each(|b| b.retire());
            self.backends.store(Arc::new(next));
            self.changed.send_modify(|n| *n += 1);
        }
        self.room_made();
    }

    /// An exchange has left a backend, or a backend has come: the request that has waited longest looks whether there is room
    /// for it, and wakes the next if there is room for more.
    pub(super) fn room_made(&self) {
        if !self.queue.is_empty() {
            self.queue.wake_one();
        }
    }

    /// The drain's deadline has passed: every exchange still inside is to end. Each sees it within the sweep's interval
    /// and ends after a random delay; undone by [`Pool::uncut`].
    pub fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Traffic may enter again, after a switch back to a pool that was cut.
    pub fn uncut(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }

    /// How many exchanges cuts have ended so far; for one drain, the difference of two readings.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::SeqCst)
    }

    /// A cut has ended an exchange.
    pub fn count_cut(&self) {
        self.cuts.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// A guest is counted in the era that it arrives in.
    pub(super) fn count_in(&self, is_guest: bool) -> Option<Era> {
        if is_guest {
            return Some(self.guests.enter());
        }
        self.residents.fetch_add(1, Ordering::SeqCst);
        None
    }

    pub(super) fn count_out(&self, guest: Option<Era>) {
        if !guest.is_some_and(|era| self.guests.leave(era)) {
            self.residents.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Whether a guest of that era still is one.
    pub fn is_guest(&self, era: Era) -> bool {
        self.guests.are_of(era)
    }

    /// The colour has come to serve: no exchange is here as a guest any more.
    pub(super) fn adopt_guests(&self) {
        self.guests.become_residents(&self.residents);
    }

    pub(super) fn count_tunnel_in(&self) {
        self.tunnels.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn count_tunnel_out(&self) {
        self.tunnels.fetch_sub(1, Ordering::SeqCst);
    }
}
