//! Rate-limit zones: nginx's `limit_req` with a bounded memory and an exact count.
//!
//! Owns the state of one zone: when each client came, kept by a keyed hash in a `store` of fixed capacity, judged by
//! governor's GCRA. Time is an argument. Never reads a clock on the request path, never waits, never answers: a
//! [`LimitVerdict`] says what to do, `http` does it. The caller asks whether a zone only counts (`dry_run`).
//! What makes two requests the same client: `key`. What a refused client is told: `fields`.

mod clock;
mod fields;
mod key;
mod quota;
mod shard;
mod store;

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Zone;
use governor::RateLimiter;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;

pub use fields::rate_limit_fields;
pub use key::LimitedClient;
pub use quota::Quota;

use clock::SetClock;
use quota::ZonePace;
use store::{KeyProbe, Store};

/// What a zone says about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitVerdict {
    /// Goes on at once.
    Pass(Quota),
    /// Goes on after this long (`delay = true`, nginx without `nodelay`). Its place is already taken.
    Delay(Duration, Quota),
    /// Over the burst. Nothing was taken from the quota.
    Refuse(Quota),
    /// Not this zone's business: an exempt address, or no such header or cookie (nginx doesn't account an empty key).
    Exempt,
}

/// One zone with its state, shared by all workers.
#[derive(Debug)]
pub struct Limiter {
    zone: Arc<Zone>,
    pace: ZonePace,
    hasher: RandomState,
    /// The zero of the zone's time; a `now` before it counts as it.
    origin: Instant,
    store: Store,
    /// Works on a second handle of `store`.
    gcra: RateLimiter<KeyProbe, Store, SetClock, NoOpMiddleware<Nanos>>,
}

impl Limiter {
    /// An empty zone. Memory comes with the keys, at most `max_keys` of them (about 48 bytes each).
    pub fn new(zone: Arc<Zone>) -> Self {
        let pace = ZonePace::of(&zone);
        let store = Store::new(zone.max_keys);
        Self {
            pace,
            hasher: RandomState::new(),
            origin: Instant::now(),
            gcra: RateLimiter::new(pace.governor(), store.clone(), SetClock::at_origin()),
            store,
            zone,
        }
    }

    /// The definition this limiter was made from; equal definitions may keep their limiter over a reload.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Keys held now: at most `max_keys`.
    pub fn keys(&self) -> usize {
        self.store.len()
    }

    /// Judges one request and takes its place in the quota.
    ///
    /// Exactly `burst + 1` requests pass at once, then the rate: in any window `t` at most `burst + 1 + rate * t`.
    pub fn check(&self, client: &LimitedClient<'_>, now: Instant) -> LimitVerdict {
        let ip = client.ip.to_canonical();
        if self.is_exempt(ip) {
            return LimitVerdict::Exempt;
        }
        let Some(hash) = key::hash(&self.zone.key, &LimitedClient { ip, ..*client }, &self.hasher) else {
            return LimitVerdict::Exempt;
        };
        self.judge(hash, now.saturating_duration_since(self.origin))
    }

    fn is_exempt(&self, ip: IpAddr) -> bool {
        self.zone.exempt.iter().any(|net| net.contains(&ip))
    }

    fn judge(&self, hash: u64, now: Duration) -> LimitVerdict {
        let now = clock::tell(now);
        let probe = KeyProbe::new(hash);
        let refused = self.gcra.check_key(&probe).is_err();
        let full_at = probe.arrival();
        if refused {
            return LimitVerdict::Refuse(self.pace.refused(full_at, now));
        }
        let quota = self.pace.passed(full_at, now);
        match self.pace.turn(full_at, now) {
            wait if self.zone.delay && !wait.is_zero() => LimitVerdict::Delay(wait, quota),
            _ => LimitVerdict::Pass(quota),
        }
    }
}

#[cfg(test)]
mod tests;
