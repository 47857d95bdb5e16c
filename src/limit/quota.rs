//! A zone's pace in nanoseconds, and what is left of a client's share.
//!
//! GCRA knows one number per client: the theoretical arrival time, here `full_at`, the moment at which the whole
//! burst is free again. Everything a client can be told follows from it. Owns that arithmetic, and no state.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::Zone;

/// What is left of a client's share after a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Requests that pass at once: `burst + 1`.
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// Until all of them are free again, if nothing else comes.
    pub reset: Duration,
    /// Until the next request passes; zero if this one did.
    pub retry_after: Duration,
}

/// Rate and burst as GCRA wants them.
#[derive(Debug, Clone, Copy)]
pub(super) struct ZonePace {
    /// Nanoseconds one request costs.
    cost: u64,
    limit: NonZeroU32,
}

impl ZonePace {
    /// The cost of a request is rounded up, so the rate is never exceeded. A burst that would take more than a
    /// century to refill is cut to one that doesn't: governor counts in 64 bits of nanoseconds.
    pub(super) fn of(zone: &Zone) -> Self {
        const CENTURY: u128 = 100 * 365 * 24 * 3600 * 1_000_000_000;
        let requests = u128::from(zone.rate.requests.max(1));
        let cost = zone.rate.per.as_nanos().div_ceil(requests).clamp(1, CENTURY);
        let limit = (u128::from(zone.burst) + 1).min(CENTURY / cost);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self { cost: u64::try_from(cost).unwrap_or(u64::MAX), limit: NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN) }
    }

    pub(super) fn governor(self) -> governor::Quota {
        let one = governor::Quota::with_period(Duration::from_nanos(self.cost));
        one.unwrap_or(governor::Quota::per_second(NonZeroU32::MIN)).allow_burst(self.limit)
    }

    /// The time in which an empty burst becomes full.
    pub(super) fn window(self) -> Duration {
        Duration::from_nanos(self.cost * u64::from(self.limit.get()))
    }

    /// After a request passed at `now` and made its client's burst full at `full_at`.
    pub(super) fn passed(self, full_at: u64, now: u64) -> Quota {
        let owed = full_at.saturating_sub(now);
        let free = u64::from(self.limit.get()).saturating_sub(owed.div_ceil(self.cost));
        Quota {
            limit: self.limit.get(),
            remaining: u32::try_from(free).unwrap_or(u32::MAX),
            reset: Duration::from_nanos(owed),
            retry_after: Duration::ZERO,
        }
    }

    /// After a request at `now` was refused, its client's burst being full again at `full_at`.
    pub(super) fn refused(self, full_at: u64, now: u64) -> Quota {
        let tolerance = self.cost * u64::from(self.limit.get() - 1);
        let passes_at = full_at.saturating_sub(tolerance);
        Quota {
            limit: self.limit.get(),
            remaining: 0,
            reset: Duration::from_nanos(full_at.saturating_sub(now)),
            retry_after: Duration::from_nanos(passes_at.saturating_sub(now)),
        }
    }

    /// How long a request that passed at `now` waits for its turn at the plain rate (nginx without `nodelay`).
    pub(super) fn turn(self, full_at: u64, now: u64) -> Duration {
        Duration::from_nanos(full_at.saturating_sub(self.cost).saturating_sub(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rate;

    fn zone() -> Zone {
        let text = "[zone.z]\nkey = \"ip\"\nrate = \"1r/s\"\n[[site]]\nhosts = [\"a.test\"]\nrespond = { status = 200 }\ntls = \"off\"\n";
        let config = crate::config::parse("edge.toml", text, &|_| None).unwrap_or_else(|e| panic!("{e}")).config;
        Zone::clone(&config.zones["z"])
    }

    fn pace(rate: &str, burst: u32) -> ZonePace {
        ZonePace::of(&Zone { rate: rate.parse().unwrap(), burst, ..zone() })
    }

    const MS: u64 = 1_000_000;
    const HUNDRED: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_one_more_than_is_written_and_refills_at_the_rate() {
        let pace = pace("10r/s", 20);
        assert_eq!((pace.cost, pace.limit.get(), pace.window()), (100 * MS, 21, HUNDRED * 21));
        let governor = pace.governor();
        assert_eq!((governor.replenish_interval(), governor.burst_size().get()), (HUNDRED, 21));
    }

    #[test]
    fn what_takes_more_than_a_century_is_cut_to_one() {
        let rate = Rate { requests: 1, per: Duration::from_hours(24) };
        let pace = ZonePace::of(&Zone { rate, burst: u32::MAX, ..zone() });
        assert_eq!((pace.limit.get(), pace.window()), (36_500, Duration::from_hours(24 * 36_500)));
    }

    #[test]
    fn a_cost_is_rounded_up_so_that_the_rate_is_never_exceeded() {
        assert_eq!(pace("3r/s", 0).cost, 333_333_334);
    }

    #[test]
    fn what_is_left_follows_from_when_the_burst_is_full_again() {
        let pace = pace("10r/s", 4);
        let now = 1_000 * MS;
        let left = |full_at: u64| {
            let quota = pace.passed(full_at, now);
            (quota.limit, quota.remaining, quota.reset, quota.retry_after)
        };
        assert_eq!(left(now), (5, 5, Duration::ZERO, Duration::ZERO));
        assert_eq!(left(now + 100 * MS), (5, 4, HUNDRED, Duration::ZERO));
        assert_eq!(
            left(now + 101 * MS),
            (5, 3, Duration::from_millis(101), Duration::ZERO),
            "a part of one is not free"
        );
        assert_eq!(left(now + 500 * MS), (5, 0, HUNDRED * 5, Duration::ZERO));
        assert_eq!(left(now - 1), (5, 5, Duration::ZERO, Duration::ZERO), "full for some time");
    }

    #[test]
    fn a_refused_client_is_told_when_the_next_request_passes() {
        let pace = pace("10r/s", 4);
        let now = 1_000 * MS;
        let quota = pace.refused(now + 450 * MS, now);
        assert_eq!((quota.limit, quota.remaining, quota.reset), (5, 0, Duration::from_millis(450)));
        assert_eq!(quota.retry_after, Duration::from_millis(50));
        assert_eq!(pace.refused(now, now).retry_after, Duration::ZERO);
    }

    #[test]
    fn a_delayed_request_waits_for_those_before_it() {
        let pace = pace("10r/s", 4);
        let now = 1_000 * MS;
        assert_eq!(pace.turn(now + 100 * MS, now), Duration::ZERO, "the first");
        assert_eq!(pace.turn(now + 300 * MS, now), HUNDRED * 2, "the third");
    }
}
