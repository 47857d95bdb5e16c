//! When a certificate is renewed and when a failed attempt is tried again: pure, given the time and a random number.
//!
//! Random numbers are from 0 to 1, so that many machines started together don't ask together.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::authority::FailureKind;
use super::stamp;

/// Failed validations of one name within [`HOUR`] before it is left alone: what Let's Encrypt allows.
pub const VALIDATIONS: usize = 5;

pub const HOUR: Duration = Duration::from_hours(1);

const DAY: Duration = Duration::from_hours(24);

/// However long an authority wants us to wait, it is asked again after this.
const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);

/// So many attempts may end with the process; after that one waits as if it had failed.
pub const INTERRUPTIONS: u32 = 3;

/// When an authority would like a certificate to be renewed (RFC 9773, 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalWindow {
    #[serde(with = "stamp")]
    pub start: SystemTime,
    #[serde(with = "stamp")]
    pub end: SystemTime,
}

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    pub from: SystemTime,
    pub until: SystemTime,
}

impl RenewalWindow {
    /// What of it lies within the certificate's validity: an authority may say the year 1. `None`: it ends before it begins.
    pub fn within(self, validity: Validity) -> Option<Self> {
        let inside = |at: SystemTime| at.min(validity.until).max(validity.from);
        (self.start <= self.end).then(|| Self { start: inside(self.start), end: inside(self.end) })
    }
}

/// What [`due`] looks at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Situation {
    /// When the certificate that serves is to be renewed; `None`: there is none that fits.
    pub renew_at: Option<SystemTime>,
    /// When the next attempt was promised, after a failure or at the start of one that never ended.
    pub next_try: Option<SystemTime>,
    /// Attempts that ended with the process.
    pub interrupted: u32,
    /// An order is on its way: it is carried out, whenever the renewal would have been.
    pub is_begun: bool,
    /// Until when failed validations forbid another.
    pub held: Option<SystemTime>,
    /// A user asked for it.
    pub asked: bool,
}

/// When the next attempt is to begin; `now` or earlier: at once.
pub fn due(situation: &Situation, now: SystemTime) -> SystemTime {
    let wanted = situation.renew_at.filter(|_| !situation.asked && !situation.is_begun).unwrap_or(now);
    // An attempt that was cut off goes on at once, because its order is still there; but not for ever.
    let resumes = (1..=INTERRUPTIONS).contains(&situation.interrupted);
    // A promised time further away than any wait was written under a wrong clock.
    let is_sane = |at: &SystemTime| *at <= now + LONGEST_WAIT + DAY;
    let promised = situation.next_try.filter(|at| !situation.asked && !resumes && is_sane(at));
    [promised, situation.held].into_iter().flatten().fold(wanted, SystemTime::max)
}

/// Where the authority has a window, a random moment within it; else at two thirds of the lifetime, or a little earlier. Never
/// so late that nothing is left for a second attempt.
pub fn renew_at(validity: Validity, window: Option<RenewalWindow>, random: f64) -> SystemTime {
    let lifetime = validity.until.duration_since(validity.from).unwrap_or_default();
    let latest = validity.from + lifetime.mul_f64(0.95);
    match window {
        Some(window) => {
            let span = window.end.duration_since(window.start).unwrap_or_default();
            (window.start + span.mul_f64(share(random))).min(latest)
        }
        None => validity.from + lifetime.mul_f64(2.0 / 3.0 - share(random) / 24.0),
    }
}

/// A certificate that came soon after another is not renewed before this. An authority whose window is always in the past, as
/// after a mass revocation, is asked once at once and then once a day.
pub fn not_before(issued: SystemTime, previous: Option<SystemTime>, validity: Validity) -> SystemTime {
    let lifetime = validity.until.duration_since(validity.from).unwrap_or_default();
    let pause = DAY.min(lifetime / 10);
    match previous.map(|previous| issued.duration_since(previous).unwrap_or_default()) {
        Some(apart) if apart < pause => issued + pause,
        _ => issued,
    }
}

/// When an authority is asked for its window again: as it says, within reason (RFC 9773, 4.3.2).
pub fn ask_again(said: Duration) -> Duration {
    said.clamp(Duration::from_mins(1), DAY)
}

/// The time that an authority wants us to wait, but at most half of what is left of the certificate that serves: told to come back
/// in a week, a site with a six-day certificate has to try again before that.
pub fn heeded(said: SystemTime, expires: Option<SystemTime>, now: SystemTime) -> SystemTime {
    let left = expires.and_then(|at| at.duration_since(now).ok());
    left.map_or(said, |left| said.min(now + left / 2))
}

/// When to try again after the `failures`-th failure in a row. `retry_after` is the authority's own word.
pub fn next_try(
    now: SystemTime,
    kind: FailureKind,
    failures: u32,
    retry_after: Option<SystemTime>,
    random: f64,
) -> SystemTime {
    let own = now + backoff(kind, failures, random);
    retry_after.map_or(own, |at| at.clamp(own, (now + LONGEST_WAIT).max(own)))
}

/// Twice as long each time, up to a bound; from half of it to all of it, at random.
pub fn backoff(kind: FailureKind, failures: u32, random: f64) -> Duration {
    let (first, longest) = match kind {
        // This attempt costs the authority nothing.
        FailureKind::Unreachable => (Duration::from_secs(5), HOUR),
        FailureKind::Local => (Duration::from_secs(30), HOUR),
        FailureKind::Validation => (Duration::from_mins(1), HOUR * 6),
        FailureKind::RateLimited | FailureKind::Refused => (Duration::from_mins(10), DAY),
        FailureKind::Unresolved => (HOUR * 6, DAY),
    };
    let doublings = failures.saturating_sub(1).min(16);
    let full = first.saturating_mul(1 << doublings).min(longest);
    full.mul_f64(0.5 + share(random) / 2.0)
}

/// Until when a name is left alone, after too many failed validations. A time in the future, from a wrong clock, does not count.
pub fn held(failed: &[SystemTime], now: SystemTime) -> Option<SystemTime> {
    let mut recent: Vec<SystemTime> = failed.iter().copied().filter(|at| *at + HOUR > now && *at <= now).collect();
    recent.sort_unstable();
    let oldest_of_five = recent.len().checked_sub(VALIDATIONS)?;
    recent.get(oldest_of_five).map(|at| *at + HOUR)
}

fn share(random: f64) -> f64 {
    if random.is_nan() { 0.5 } else { random.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    const KINDS: [FailureKind; 6] = [
        FailureKind::Unreachable,
        FailureKind::Local,
        FailureKind::Validation,
        FailureKind::RateLimited,
        FailureKind::Refused,
        FailureKind::Unresolved,
    ];

    proptest! {
        #[test]
        fn a_renewal_leaves_time_for_more_attempts(from in 0..4_000_000_000_u64, life in 3600..40_000_000_u64, random in 0.0..1.0) {
            let validity = Validity { from: at(from), until: at(from + life) };
            let when = renew_at(validity, None, random).duration_since(validity.from).unwrap().as_secs_f64();
            prop_assert!(when <= life as f64 * 0.667 && when >= life as f64 * 0.62, "{when} of {life}");
        }

        #[test]
        fn the_authoritys_window_is_kept_to(start in 0..2_000_000_u64, span in 0..2_000_000_u64, random in 0.0..1.0) {
            let validity = Validity { from: at(0), until: at(3_000_000) };
            let window = RenewalWindow { start: at(start), end: at(start + span) };
            let when = renew_at(validity, Some(window), random);
            prop_assert!(when <= window.end && when <= at(2_850_000));
            prop_assert!(when >= window.start || when == at(2_850_000));
        }

        #[test]
        fn waits_grow_stay_bounded_and_heed_the_authority(kind in 0..6_usize, failures in 0..100_u32, random in 0.0..1.0, said in 0..10_000_000_u64) {
            let (kind, now) = (KINDS[kind], at(1_000_000));
            let wait = backoff(kind, failures, random);
            prop_assert!(wait >= Duration::from_millis(2500) && wait <= DAY);
            prop_assert!(backoff(kind, failures + 2, random) >= wait);
            let next = next_try(now, kind, failures, Some(now + Duration::from_secs(said)), random);
            prop_assert!(next >= now + wait && next <= now + LONGEST_WAIT);
            prop_assert!(said > 7 * 86_400 || next >= now + Duration::from_secs(said));
        }

        /// An hour never sees a sixth failure, whatever came before.
        #[test]
        fn an_hour_sees_five_failed_validations_at_most(gaps in prop::collection::vec(0..2000_u64, 1..60)) {
            let (mut failed, mut now) = (Vec::new(), at(1_000_000));
            for gap in gaps {
                now += Duration::from_secs(gap);
                if held(&failed, now).is_none_or(|until| until <= now) {
                    failed.push(now);
                }
                let recent = failed.iter().filter(|time| **time + HOUR > now).count();
                prop_assert!(recent <= VALIDATIONS, "{recent}");
            }
        }
    }

    #[test]
    fn a_window_that_is_always_over_is_followed_once_a_day() {
        let validity = Validity { from: at(0), until: at(90 * 86_400) };
        assert_eq!(not_before(at(100), None, validity), at(100), "the first is replaced at once");
        assert_eq!(not_before(at(200), Some(at(100)), validity), at(200 + 86_400), "and the next one not");
        assert_eq!(not_before(at(200_000), Some(at(100)), validity), at(200_000));
        let short = Validity { from: at(0), until: at(600) };
        assert_eq!(not_before(at(401), Some(at(1)), short), at(401));
    }

    #[test]
    fn a_window_counts_where_the_certificate_is_valid() {
        let validity = Validity { from: at(1000), until: at(2000) };
        let within =
            |start, end| RenewalWindow { start, end }.within(validity).map(|window| (window.start, window.end));
        assert_eq!(within(at(1200), at(1300)), Some((at(1200), at(1300))));
        let year_one = SystemTime::UNIX_EPOCH - Duration::from_hours(1969 * 8766);
        assert_eq!(within(year_one, at(9000)), Some((at(1000), at(2000))));
        assert_eq!(within(year_one, year_one), Some((at(1000), at(1000))), "over");
        assert_eq!(within(at(1300), at(1200)), None);
    }

    #[test]
    fn an_authoritys_wait_leaves_time_before_the_end() {
        let (now, week) = (at(0), at(7 * 86_400));
        assert_eq!(heeded(week, Some(at(2 * 86_400)), now), at(86_400));
        assert_eq!(heeded(week, Some(at(30 * 86_400)), now), week);
        assert_eq!(heeded(week, None, now), week);
        assert_eq!(heeded(week, Some(now - Duration::from_secs(1)), now), week, "nothing is left to be saved");
    }

    #[test]
    fn a_clock_that_was_wrong_holds_nothing_up() {
        let now = at(10_000_000);
        let far = Situation { next_try: Some(at(90_000_000)), ..Situation::default() };
        assert_eq!(due(&far, now), now);
        assert_eq!(held(&[at(90_000_000); 6], now), None);
    }

    #[test]
    fn an_attempt_begins_when_nothing_speaks_against_it() {
        let now = at(1000);
        let begin = |situation: Situation| due(&situation, now);
        let none = Situation::default();
        assert_eq!(begin(none), now, "there is no certificate");
        assert_eq!(begin(Situation { renew_at: Some(at(5000)), ..none }), at(5000));
        assert_eq!(begin(Situation { renew_at: Some(at(5000)), asked: true, ..none }), now);
        let begun = Situation { renew_at: Some(at(5000)), is_begun: true, ..none };
        assert_eq!(begin(begun), now, "what is begun is carried out");
        assert_eq!(begin(Situation { next_try: Some(at(2000)), ..begun }), at(2000));
        assert_eq!(begin(Situation { next_try: Some(at(2000)), ..none }), at(2000));
        assert_eq!(begin(Situation { next_try: Some(at(2000)), asked: true, ..none }), now);
        assert_eq!(begin(Situation { next_try: Some(at(2000)), interrupted: 1, ..none }), now);
        assert_eq!(
            begin(Situation { next_try: Some(at(2000)), interrupted: 4, ..none }),
            at(2000),
            "a crash loop waits"
        );
        assert_eq!(
            begin(Situation { held: Some(at(3000)), asked: true, ..none }),
            at(3000),
            "nobody may ask past the limit"
        );
    }
}
