//! A connection to a backend is idle for `keepalive` at most.

use std::thread::sleep;
use std::time::Duration;

use crate::support::{Edge, Origin, Setup};

fn start(backend: &str, keepalive: &str) -> Edge {
    let service = format!("keepalive = {keepalive:?}");
    Setup::pool(&[backend]).server("workers = 1").health("interval = \"1h\"").service(&service).start()
}

/// Which connections two requests came on that are apart by this time: the time is what the test is about.
fn connections(keepalive: &str, apart: Duration) -> [usize; 2] {
    let origin = Origin::start("it");
    let edge = start(origin.backend(), keepalive);
    assert_eq!(edge.get("/").text(), "it");
    sleep(apart);
    assert_eq!(edge.get("/").text(), "it");
    [0, 1].map(|n| origin.seen()[n].connection)
}

#[test]
fn a_connection_that_was_idle_for_longer_is_not_used_again() {
    assert_eq!(connections("1s", Duration::from_millis(3500)), [0, 1]);
}

#[test]
fn a_connection_that_was_idle_for_less_is_used_again() {
    assert_eq!(connections("60s", Duration::from_millis(1500)), [0, 0]);
}

#[test]
fn with_none_each_request_has_a_connection_of_its_own() {
    assert_eq!(connections("0", Duration::ZERO), [0, 1]);
}

#[test]
fn a_reload_changes_it_for_connections_that_are_open() {
    let origin = Origin::start("it");
    let edge = start(origin.backend(), "60s");
    assert_eq!(edge.get("/").text(), "it");
    let config = std::fs::read_to_string(edge.path("edge.toml")).unwrap();
    edge.rewrite(&config.replace("keepalive = \"60s\"", "keepalive = \"1s\""));
    edge.admin(&["reload"]).ok();
    sleep(Duration::from_millis(2500));
    assert_eq!(edge.get("/").text(), "it");
    assert_eq!([0, 1].map(|n| origin.seen()[n].connection), [0, 1]);
}
