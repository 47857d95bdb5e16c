//! A backend that fails requests is left alone for a while; one that is full is not given more than it can take.

use std::time::{Duration, Instant};

use crate::support::{Edge, Origin, Setup, Then, wait_until};

/// Which probes find well, and which resets every request but on `/well`.
fn resetting(color: &str) -> Origin {
    let origin = Origin::start(color);
    origin.on("/", |_, _| Then::Close);
    origin
}

fn pool(origins: &[&Origin], health: &str, service: &str) -> Edge {
    let backends: Vec<&str> = origins.iter().map(|origin| origin.backend()).collect();
    let edge = Setup::pool(&backends).health(health).service(service).start();
    wait_until("all to be up", || edge.metric("edge_backend_up") == origins.len() as f64);
    edge
}

fn ejections(edge: &Edge) -> f64 {
    edge.metric("edge_backend_ejections_total")
}

/// What status says of the backend of this number.
fn ejected(edge: &Edge, number: usize) -> serde_json::Value {
    edge.status()["pools"][0]["backends"][number]["ejected"].clone()
}

#[test]
fn three_resets_in_a_row_take_a_backend_out_and_no_request_is_lost() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "fail_timeout = \"1500ms\"", "");
    let begun = Instant::now();
    for _ in 0..40 {
        assert_eq!(edge.get("/").text(), "good");
    }
    assert!(begun.elapsed() < Duration::from_millis(1500), "too slow a machine for this test");
    assert_eq!(bad.count("/"), 3, "asked again while it is out");
    let status = ejected(&edge, 1);
    assert!(status["seconds_left"].as_u64().is_some_and(|left| (1..=2).contains(&left)), "{status}");
    assert_eq!(status["why"], "3 failures in a row, the last: upstream_reset", "{status}");
    assert!(ejected(&edge, 0).is_null());
    let sample = format!("edge_backend_ejections_total{{service=\"app\",color=\"\",backend=\"{}\"}} 1", bad.backend());
    assert_eq!(edge.metric(sample.trim_end_matches(" 1")), 1.0);
    edge.said("backend ejected");
    // Back after its time: the next failure takes it out at once, for twice as long.
    wait_until("it to be asked again", || edge.get("/").text() == "good" && bad.count("/") > 3);
    assert!(begun.elapsed() >= Duration::from_millis(1500), "back too early");
    edge.said("backend no longer ejected");
    wait_until("it to be out again", || ejections(&edge) == 2.0);
    assert_eq!(bad.count("/"), 4);
    let left = ejected(&edge, 1)["seconds_left"].as_u64();
    assert!(left.is_some_and(|left| (2..=3).contains(&left)), "{left:?}");
}

#[test]
fn a_backend_that_is_well_again_serves_again() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "fail_timeout = \"500ms\"", "");
    wait_until("it to be out", || edge.get("/").text() == "good" && ejections(&edge) == 1.0);
    bad.answers("/", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
    wait_until("it to serve", || edge.get("/").text() == "well");
    assert!(ejected(&edge, 1).is_null());
    assert_eq!(ejections(&edge), 1.0);
}

#[test]
fn refused_connections_count_although_the_last_probe_has_passed() {
    let (good, gone) = (Origin::start("good"), Origin::start("gone"));
    let edge = pool(&[&good, &gone], "interval = \"1h\"\nfail_timeout = \"1h\"", "");
    gone.stop();
    for _ in 0..30 {
        assert_eq!(edge.get("/").text(), "good");
    }
    assert_eq!(ejections(&edge), 1.0);
    assert!(ejected(&edge, 1)["why"].as_str().is_some_and(|why| why.contains("connect_failed")));
    assert_eq!(edge.metric("edge_upstream_failures_total"), 3.0, "it was tried while it was out");
}

#[test]
fn at_most_half_of_a_pool_is_out_and_never_its_last() {
    let [a, b, c] = ["a", "b", "c"].map(resetting);
    let edge = pool(&[&a, &b, &c], "fail_timeout = \"1h\"", "");
    for _ in 0..12 {
        assert_eq!(edge.get("/").status, 502);
    }
    assert_eq!(ejections(&edge), 1.0, "one of three");
    let alone = resetting("alone");
    let edge = pool(&[&alone], "", "");
    for _ in 0..5 {
        assert_eq!(edge.get("/").status, 502);
    }
    assert_eq!((ejections(&edge), alone.count("/")), (0.0, 5));
}

#[test]
fn the_last_that_serves_is_not_taken_out_when_the_others_are_down() {
    let (last, down) = (resetting("last"), Origin::start("down"));
    let edge = pool(&[&last, &down], "fall = 1", "");
    down.set_health(500);
    wait_until("one to be down", || edge.metric("edge_backend_up") == 1.0);
    for _ in 0..5 {
        assert_eq!(edge.get("/").status, 502);
    }
    assert_eq!(ejections(&edge), 0.0);
}

#[test]
fn an_answer_in_between_ends_the_row() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "max_fails = 2", "balance = \"round-robin\"\nretries = 0");
    // On connections of their own for each: a turn of two requests meets both backends.
    for _ in 0..5 {
        let met = [edge.get("/").status, edge.get("/").status];
        assert!(met.contains(&502) && met.contains(&200), "{met:?}");
        let met = [edge.get("/well").text(), edge.get("/well").text()];
        assert!(met.contains(&"bad".to_owned()), "{met:?}");
    }
    assert_eq!(ejections(&edge), 0.0);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_nobodys_failure() {
    let (one, two) = (Origin::start("one"), Origin::start("two"));
    let edge = pool(&[&one, &two], "max_fails = 1", "");
    for _ in 0..20 {
        assert_eq!((edge.get("/").status, edge.get("/").status), (200, 200));
        one.close_connections();
        two.close_connections();
    }
    assert_eq!(ejections(&edge), 0.0);
}

#[test]
fn max_fails_0_leaves_it_to_the_probes() {
    let (good, bad) = (Origin::start("good"), resetting("bad"));
    let edge = pool(&[&good, &bad], "max_fails = 0", "");
    for _ in 0..20 {
        assert_eq!(edge.get("/").text(), "good");
    }
    assert_eq!(ejections(&edge), 0.0);
    assert!(bad.count("/") > 3);
}
