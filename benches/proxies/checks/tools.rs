//! Reading what the load's tools print.

use std::time::Duration;

use crate::tools::{h2load, wrk};

const H2LOAD: &str = "starting benchmark...
spawning thread #0: 4 total client(s). Timing-based test with 0s of warm-up time and 1s of main duration for measurements.
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 1.01s, 5000.00 req/s, 6.10MB/s
requests: 5000 total, 5064 started, 5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5012 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 6.10MB (6400123) total, 800.00KB (819200) headers (space savings 40.00%), 4.88MB (5120000) data
                     min         max         mean         sd        +/- sd
time for request:      120us     12.04ms      1.25ms       500us    90.00%
";

#[test]
fn wrk_is_read() {
    let seen = wrk::parse("Running 1s test @ x\nbench requests=1234 micros=1001000 bytes=99 errors=0\n").unwrap();
    assert_eq!((seen.requests, seen.wall, seen.bytes), (1234, Duration::from_millis(1001), 99));
}

#[test]
fn an_error_that_wrk_saw_ends_the_run() {
    let error = wrk::parse("bench requests=1234 micros=1001000 bytes=99 errors=2\n").unwrap_err();
    assert_eq!(error.to_string(), "wrk saw 2 errors");
    assert!(wrk::parse("unable to connect").is_err());
}

#[test]
fn h2load_is_read() {
    let seen = h2load::parse(H2LOAD).unwrap();
    assert_eq!((seen.requests, seen.wall, seen.bytes), (5000, Duration::from_millis(1010), 6_400_123));
}

#[test]
fn a_request_that_h2load_lost_ends_the_run() {
    for (good, bad) in [
        ("0 failed", "3 failed"),
        ("0 timeout", "1 timeout"),
        ("5012 2xx, 0 3xx, 0 4xx", "4000 2xx, 0 3xx, 1012 4xx"),
        ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"),
        ("finished in", "gave up after"),
    ] {
        assert!(H2LOAD.contains(good), "{good}");
        assert!(h2load::parse(&H2LOAD.replace(good, bad)).is_err(), "{bad}");
    }
}

#[test]
fn h2load_writes_time_in_three_units() {
    for (text, micros) in [("980us", 980), ("230.50ms", 230_500), ("2.00s", 2_000_000)] {
        let said = H2LOAD.replace("finished in 1.01s", &format!("finished in {text}"));
        assert_eq!(h2load::parse(&said).unwrap().wall, Duration::from_micros(micros));
    }
}
