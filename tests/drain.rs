//! A drain ends when it is due, whatever runs beside it, and says what its time went into.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::load::open_websocket;
use crate::support::{Edge, Setup, Then, colors, wait_until};

/// Clients that ask without a pause, on connections of their own, until the flag is set.
fn flood<'scope>(scope: &'scope thread::Scope<'scope, '_>, edge: &'scope Edge, stop: &'scope AtomicBool) {
    for _ in 0..16 {
        scope.spawn(|| {
            let mut client = edge.plain();
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(client.get("/").status, 200);
            }
        });
    }
}

#[test]
fn a_deadline_does_not_slip_under_load() {
    let (blue, green) = colors();
    for path in ["/silent", "/long"] {
        blue.on(path, move |_, wire| {
            if path == "/long" {
                wire.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx");
            }
            wire.closes_within(Duration::from_secs(30));
            Then::Close
        });
    }
    let edge = Setup::colors(&blue, &green).limits("keepalive_requests = 1000000").start();
    // Their clients don't answer the Close, so each takes the time that it may take.
    let _open: Vec<_> = (0..40).map(|_| open_websocket(edge.http()).unwrap()).collect();
    let asked: Vec<_> = ["/silent", "/long"]
        .map(|path| {
            let mut client = edge.plain();
            client.begin("GET", path, "");
            client
        })
        .into();
    wait_until("all to be under way", || edge.status()["pools"][0]["in_flight"] == json!(42));
    let stop = AtomicBool::new(false);
    let drain: Value = thread::scope(|scope| {
        flood(scope, &edge, &stop);
        let ran = edge.admin(&["switch", "green", "--drain", "1s", "--json"]).ok();
        stop.store(true, Ordering::SeqCst);
        let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
        end["result"]["drain"].clone()
    });
    let millis = |name: &str| drain[name].as_u64().unwrap_or_else(|| panic!("no {name} in {drain}"));
    let (deadline, cut_after, took) = (millis("deadline_ms"), millis("cut_after_ms"), millis("took_ms"));
    assert_eq!((deadline, drain["cut"].as_u64() >= Some(42)), (1000, true), "{drain}");
    // The machine may be busy with other tests as well.
    assert!((1000..1500).contains(&cut_after), "{drain}");
    // Two seconds for the cuts, and one each for the parts of a farewell that nobody answers.
    assert!(took - cut_after < 5500, "{drain}");
    drop(asked);
}
