//! The promises of a zone, with the time as an argument.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

use super::{LimitVerdict, LimitedClient, Limiter, rate_limit_fields};
use crate::config::{Zone, ZoneKey};
use crate::types::Rate;

const MS: Duration = Duration::from_millis(1);

fn zone(requests: u32, burst: u32) -> Zone {
    Zone {
        name: "api".into(),
        key: ZoneKey::Ip,
        rate: Rate { requests, per: Duration::from_secs(1) },
        burst,
        delay: false,
        status: StatusCode::TOO_MANY_REQUESTS,
        dry_run: false,
        exempt: Vec::new(),
        max_keys: 100_000,
    }
}

/// A limiter with a hand on its clock.
struct Bench {
    limiter: Limiter,
    start: Instant,
    headers: HeaderMap,
}

impl Bench {
    fn new(zone: Zone) -> Self {
        Self { limiter: Limiter::new(Arc::new(zone)), start: Instant::now(), headers: HeaderMap::new() }
    }

    fn check(&self, ip: impl Into<IpAddr>, after: Duration) -> LimitVerdict {
        self.check_path(ip, "/", after)
    }

    fn check_path(&self, ip: impl Into<IpAddr>, path: &str, after: Duration) -> LimitVerdict {
        let client = LimitedClient { ip: ip.into(), host: "example.com", path, headers: &self.headers };
        self.limiter.check(&client, self.start + after)
    }

    fn passes(&self, ip: impl Into<IpAddr>, after: Duration) -> bool {
        !matches!(self.check(ip, after), LimitVerdict::Refuse(_))
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }
}

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const BOB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

#[test]
fn workers_may_share_a_limiter() {
    fn shared<T: Send + Sync>() {}
    shared::<Limiter>();
}

#[test]
fn burst_and_one_pass_at_once_then_the_rate() {
    let bench = Bench::new(zone(10, 20));
    let passed = (0..50).filter(|_| bench.passes(ALICE, Duration::ZERO)).count();
    assert_eq!(passed, 21);
    assert!(bench.passes(BOB, Duration::ZERO));
    assert!(!bench.passes(ALICE, 99 * MS));
    assert!(bench.passes(ALICE, 100 * MS));
    assert!(!bench.passes(ALICE, 199 * MS));
    let later = (0..50).filter(|_| bench.passes(ALICE, Duration::from_mins(1))).count();
    assert_eq!(later, 21);
}

#[test]
fn a_quota_tells_what_is_left_and_when() {
    let bench = Bench::new(zone(10, 2));
    let LimitVerdict::Pass(first) = bench.check(ALICE, Duration::ZERO) else { panic!() };
    assert_eq!((first.limit, first.remaining, first.reset), (3, 2, 100 * MS));
    bench.check(ALICE, Duration::ZERO);
    bench.check(ALICE, Duration::ZERO);
    let LimitVerdict::Refuse(quota) = bench.check(ALICE, 40 * MS) else { panic!() };
    assert_eq!((quota.remaining, quota.reset, quota.retry_after), (0, 260 * MS, 60 * MS));
}

#[test]
fn with_delay_requests_wait_for_their_turn() {
    let bench = Bench::new(Zone { delay: true, ..zone(10, 2) });
    assert!(matches!(bench.check(ALICE, Duration::ZERO), LimitVerdict::Pass(_)));
    for turn in [100 * MS, 200 * MS] {
        let LimitVerdict::Delay(wait, _) = bench.check(ALICE, Duration::ZERO) else { panic!() };
        assert_eq!(wait, turn);
    }
    assert!(matches!(bench.check(ALICE, Duration::ZERO), LimitVerdict::Refuse(_)));
    assert!(matches!(bench.check(ALICE, Duration::from_secs(1)), LimitVerdict::Pass(_)));
}

#[test]
fn ipv6_counts_by_its_64_and_mapped_ipv4_as_ipv4() {
    let bench = Bench::new(zone(1, 0));
    let address = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    assert!(bench.passes(address("2001:db8:0:1::1"), Duration::ZERO));
    assert!(!bench.passes(address("2001:db8:0:1:ffff::2"), Duration::ZERO));
    assert!(bench.passes(address("2001:db8:0:2::1"), Duration::ZERO));
    assert!(bench.passes(ALICE, Duration::ZERO));
    assert!(!bench.passes(ALICE.to_ipv6_mapped(), Duration::ZERO));
    assert!(bench.passes(BOB.to_ipv6_mapped(), Duration::ZERO));
}

#[test]
fn an_exempt_network_is_not_accounted() {
    let bench = Bench::new(Zone { exempt: vec!["192.0.2.0/31".parse().unwrap()], ..zone(1, 0) });
    for _ in 0..3 {
        assert_eq!(bench.check(ALICE, Duration::ZERO), LimitVerdict::Exempt);
        assert_eq!(bench.check(ALICE.to_ipv6_mapped(), Duration::ZERO), LimitVerdict::Exempt);
    }
    assert!(bench.passes(BOB, Duration::ZERO) && !bench.passes(BOB, Duration::ZERO));
    assert_eq!(bench.limiter.keys(), 1);
}

#[test]
fn a_request_without_the_key_is_not_accounted() {
    let by_header = || Zone { key: ZoneKey::Header(HeaderName::from_static("x-api-key")), ..zone(1, 0) };
    let by_cookie = || Zone { key: ZoneKey::Cookie("session".into()), ..zone(1, 0) };
    let exempt = [
        Bench::new(by_header()),
        Bench::new(by_header()).with("x-api-key", ""),
        Bench::new(by_cookie()),
        Bench::new(by_cookie()).with("cookie", "sessionid=1; other=session=2"),
        Bench::new(by_cookie()).with("cookie", "session="),
    ];
    for bench in exempt {
        assert_eq!(bench.check(ALICE, Duration::ZERO), LimitVerdict::Exempt);
    }
    let limited = [
        Bench::new(by_header()).with("x-api-key", "k"),
        Bench::new(by_cookie()).with("cookie", "a=1; session=s"),
        Bench::new(by_cookie()).with("cookie", "a=1").with("cookie", "session=s"),
    ];
    for bench in limited {
        assert!(bench.passes(ALICE, Duration::ZERO) && !bench.passes(BOB, Duration::ZERO));
    }
}

#[test]
fn ip_and_path_make_a_key_together_and_global_is_one_for_all() {
    let bench = Bench::new(Zone { key: ZoneKey::IpPath, ..zone(1, 0) });
    assert!(matches!(bench.check_path(ALICE, "/a", Duration::ZERO), LimitVerdict::Pass(_)));
    assert!(matches!(bench.check_path(ALICE, "/b", Duration::ZERO), LimitVerdict::Pass(_)));
    assert!(matches!(bench.check_path(ALICE, "/a", Duration::ZERO), LimitVerdict::Refuse(_)));
    let bench = Bench::new(Zone { key: ZoneKey::Global, ..zone(1, 0) });
    assert!(bench.passes(ALICE, Duration::ZERO) && !bench.passes(BOB, Duration::ZERO));
}

#[test]
fn a_million_spoofed_keys_neither_grow_the_zone_nor_harm_a_busy_client() {
    let bench = Bench::new(Zone { max_keys: 10_000, ..zone(10, 20) });
    // The innocent client asks at its allowed rate: once in 100 ms, amid 1,000 strangers each time.
    for round in 0..1000_u32 {
        let now = round * 100 * MS;
        assert!(bench.passes(ALICE, now));
        for stranger in 0..1000 {
            bench.check(Ipv4Addr::from_bits(0x0a00_0000 + round * 1000 + stranger), now);
        }
        assert!(bench.limiter.keys() <= 10_000);
    }
    // It was never forgotten either: beyond its share it is refused.
    let now = Duration::from_secs(100);
    assert_eq!((0..50).filter(|_| bench.passes(ALICE, now)).count(), 21);
}

#[test]
fn a_burst_too_large_for_the_clock_is_cut_not_wrapped() {
    let mut huge = zone(1, u32::MAX);
    huge.rate.per = Duration::from_hours(365 * 24);
    let bench = Bench::new(huge);
    let LimitVerdict::Pass(quota) = bench.check(ALICE, Duration::ZERO) else { panic!() };
    assert_eq!((quota.limit, quota.remaining), (100, 99));
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let bench = Bench::new(zone(10, 20));
    for _ in 0..21 {
        bench.check(ALICE, Duration::ZERO);
    }
    let LimitVerdict::Refuse(quota) = bench.check(ALICE, Duration::ZERO) else { panic!() };
    let mut headers = HeaderMap::new();
    rate_limit_fields(&quota, bench.limiter.zone(), &mut headers);
    assert_eq!(headers["ratelimit-policy"], "\"api\";q=21;w=3");
    assert_eq!(headers["ratelimit"], "\"api\";r=0;t=3");
    assert_eq!(headers["retry-after"], "1");
}

#[test]
fn a_pass_has_no_retry_after() {
    let bench = Bench::new(zone(10, 20));
    let LimitVerdict::Pass(quota) = bench.check(ALICE, Duration::ZERO) else { panic!() };
    let mut headers = HeaderMap::new();
    rate_limit_fields(&quota, bench.limiter.zone(), &mut headers);
    assert_eq!(headers["ratelimit"], "\"api\";r=20;t=1");
    assert!(!headers.contains_key("retry-after"));
}

proptest! {
    /// In any window of `t`, at most `burst + 1 + rate * t` requests pass.
    #[test]
    fn no_window_passes_more_than_burst_and_rate(
        requests in 1_u32..50,
        burst in 0_u32..10,
        gaps in prop::collection::vec(0_u64..120_000, 1..200),
    ) {
        let bench = Bench::new(zone(requests, burst));
        let mut now = Duration::ZERO;
        let mut passed = Vec::new();
        for gap in gaps {
            now += Duration::from_micros(gap);
            if bench.passes(ALICE, now) {
                passed.push(now);
            }
        }
        for (first, from) in passed.iter().enumerate() {
            for (last, to) in passed.iter().enumerate().skip(first) {
                let allowed = f64::from(burst + 1) + f64::from(requests) * to.saturating_sub(*from).as_secs_f64();
                prop_assert!((last - first + 1) as f64 <= allowed + 1e-6);
            }
        }
    }
}
