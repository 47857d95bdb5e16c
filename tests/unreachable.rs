//! A backend to which no connection can be made is out at once, whatever the interval of its probes, and back as soon as it answers.

use std::time::{Duration, Instant};

use crate::support::{DeadAddress, Edge, Origin, Setup, colors, seconds, serves_load, wait_until};

/// Probes that would notice nothing by themselves: everything that follows a refusal follows from the refusal.
const RARELY: &str = "interval = \"1h\"\nrise = 3\nfall = 9";

fn backend(edge: &Edge, pool: usize) -> serde_json::Value {
    edge.status()["pools"][pool]["backends"][0].clone()
}

fn wait_up(edge: &Edge, backends: usize) {
    wait_until("all to be up", || edge.metric("edge_backend_up") == backends as f64);
}

/// How long a request took, and what answered.
fn timed(edge: &Edge) -> (Duration, u16, String) {
    let begun = Instant::now();
    let answer = edge.get("/");
    (begun.elapsed(), answer.status, answer.text())
}

#[test]
fn a_backend_that_is_killed_is_down_with_the_second_refusal_and_up_again_with_one_pass() {
    let origin = Origin::start("first");
    let addr = origin.addr();
    let edge = Setup::to(&origin).health(RARELY).start();
    wait_up(&edge, 1);
    origin.stop();
    let killed = Instant::now();
    // Nobody sees it refuse before the first request does.
    assert_eq!(edge.get("/").status, 502);
    wait_until("it to be down", || backend(&edge, 0)["up"] == false);
    assert!(killed.elapsed() < seconds(2), "down after {:?}", killed.elapsed());
    assert_eq!(backend(&edge, 0)["last_probe"]["outcome"], "connection refused");
    assert_eq!(edge.get("/").status, 503);
    let origin = Origin::at(addr, "second");
    let back = Instant::now();
    wait_until("it to serve", || edge.get("/").text() == "second");
    assert!(back.elapsed() < seconds(2), "up after {:?}", back.elapsed());
    drop(origin);
}

#[test]
fn a_refusal_that_a_probe_meets_is_enough_without_any_request() {
    let origin = Origin::start("it");
    let edge = Setup::to(&origin).health("interval = \"1s\"\nfall = 1000").start();
    wait_up(&edge, 1);
    origin.stop();
    wait_until("it to be down", || {
        let seen = backend(&edge, 0);
        let is_refused = seen["last_probe"]["outcome"] == "connection refused";
        seen["up"] == false && is_refused
    });
}

#[test]
fn the_status_never_says_up_beside_a_refused_connection() {
    let origin = Origin::start("it");
    let addr = origin.addr();
    let edge = Setup::to(&origin).health("interval = \"300ms\"\nrise = 2\nfall = 5").start();
    wait_up(&edge, 1);
    let mut origin = Some(origin);
    for _ in 0..3 {
        drop(origin.take());
        let until = Instant::now() + seconds(1);
        while Instant::now() < until {
            let seen = backend(&edge, 0);
            let is_refused = seen["last_probe"]["outcome"] == "connection refused";
            assert!(!is_refused || seen["up"] == false, "{seen}");
        }
        assert_eq!(backend(&edge, 0)["up"], false);
        origin = Some(Origin::at(addr, "it"));
        wait_until("it to be up again", || backend(&edge, 0)["up"] == true);
    }
}

#[test]
fn a_missing_socket_is_a_refusal_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let origin = Origin::start_unix("unix", &path);
    let edge = Setup::to(&origin).health(RARELY).start();
    wait_up(&edge, 1);
    origin.stop();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(edge.get("/").status, 502);
    wait_until("it to be down", || backend(&edge, 0)["up"] == false);
}

#[test]
fn with_failover_the_other_colour_takes_over_in_that_moment() {
    let (blue, green) = colors();
    let addr = blue.addr();
    let edge = Setup::colors(&blue, &green).health(RARELY).service("failover = \"other-color\"").start();
    wait_up(&edge, 2);
    blue.stop();
    for _ in 0..50 {
        assert_eq!(edge.get("/").text(), "green");
    }
    wait_until("blue to be down", || backend(&edge, 0)["up"] == false);
    assert_eq!(edge.status()["detour"], "failover");
    assert!(edge.metric("edge_upstream_failures_total") <= 2.0, "it was tried again and again");
    let back = Origin::at(addr, "blue");
    serves_load(&back, "blue");
    wait_until("blue to serve again", || edge.get("/").text() == "blue");
    edge.recorded("failover", "recovered");
}

#[test]
fn with_failover_no_request_fails_however_few_retries_and_however_many_backends_there_are() {
    for (count, retries) in [(1, 0), (4, 2), (4, 0)] {
        let blue: Vec<Origin> = (0..count).map(|_| Origin::start("blue")).collect();
        let green = Origin::start("green");
        let backends: Vec<&str> = blue.iter().map(Origin::backend).collect();
        let setup = Setup::pools(&backends, &[green.backend()]).health(RARELY);
        let edge = setup.service(&format!("failover = \"other-color\"\nretries = {retries}")).start();
        wait_up(&edge, count + 1);
        drop(blue);
        for _ in 0..10 {
            let posted = edge.plain().post("/", "a body that has not left");
            assert_eq!((posted.status, posted.text().as_str()), (200, "green"), "{count} backends, {retries} retries");
        }
    }
}

#[test]
fn a_dead_address_costs_one_request_its_connect_timeout_and_no_other() {
    let (good, dead) = (Origin::start("good"), Origin::start("dead"));
    let addr = dead.addr();
    let setup = Setup::pool(&[good.backend(), dead.backend()]).service("connect_timeout = \"1s\"");
    let edge = setup.health(RARELY).health("timeout = \"3s\"").start();
    wait_up(&edge, 2);
    dead.stop();
    let _dead = DeadAddress::at(addr);
    let took: Vec<_> = (0..20).map(|_| timed(&edge)).collect();
    assert!(took.iter().all(|(_, status, by)| *status == 200 && by == "good"), "{took:?}");
    let slow = took.iter().filter(|(took, ..)| *took > Duration::from_millis(700)).count();
    assert!(slow <= 1, "{took:?}");
    assert_eq!(edge.metric("edge_upstream_failures_total"), 1.0, "it was tried while another was there");
}

#[test]
fn with_failover_a_dead_address_costs_one_request_its_connect_timeout() {
    let (blue, green) = colors();
    let addr = blue.addr();
    let service = "failover = \"other-color\"\nconnect_timeout = \"1s\"";
    let edge = Setup::colors(&blue, &green).health(RARELY).health("timeout = \"3s\"").service(service).start();
    wait_up(&edge, 2);
    blue.stop();
    let _dead = DeadAddress::at(addr);
    let took: Vec<_> = (0..20).map(|_| timed(&edge)).collect();
    assert!(took.iter().all(|(_, status, by)| *status == 200 && by == "green"), "{took:?}");
    let slow = took.iter().filter(|(took, ..)| *took > Duration::from_millis(700)).count();
    assert!(slow <= 1, "{took:?}");
}

#[test]
fn a_dead_address_is_probed_at_once_and_goes_down_by_fall() {
    let (good, dead) = (Origin::start("good"), Origin::start("dead"));
    let addr = dead.addr();
    let setup = Setup::pool(&[good.backend(), dead.backend()]).service("connect_timeout = \"300ms\"");
    let edge = setup.health("interval = \"1h\"\nrise = 1\nfall = 3\ntimeout = \"300ms\"").start();
    wait_up(&edge, 2);
    dead.stop();
    let address = DeadAddress::at(addr);
    for _ in 0..4 {
        assert_eq!(edge.get("/").text(), "good");
    }
    wait_until("it to be down", || edge.metric("edge_backend_up") == 1.0);
    drop(address);
    let _back = Origin::at(addr, "back");
    wait_up(&edge, 2);
}
