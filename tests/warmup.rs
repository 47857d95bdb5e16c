//! A switch warms its target up first: each path once on each backend, on the connections that traffic then uses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::{Edge, H2Origin, Origin, PATIENCE, Setup, Then, seconds, wait_until};

/// Probes run once at the start and once a switch, so that every other connection is one that the test is about.
const RARELY: &str = "interval = \"1h\"\nrise = 1";

fn start(workers: usize, blue: &Origin, green: &[&str], warmup: &str) -> Edge {
    let setup = Setup::pools(&[blue.backend()], green).server(&format!("workers = {workers}")).health(RARELY);
    setup.switch(&format!("warmup = {warmup}\ndrain = \"1s\"")).start()
}

fn paths(origin: &Origin) -> Vec<String> {
    origin.seen().iter().map(|seen| seen.head.word(1).to_owned()).collect()
}

#[test]
fn each_path_is_asked_once_of_each_backend_before_any_traffic() {
    let (blue, one, two) = (Origin::start("blue"), Origin::start("green"), Origin::start("green"));
    let edge = start(2, &blue, &[one.backend(), two.backend()], "[\"/a\", \"/b?x=1\", \"/c\"]");
    edge.admin(&["wait", "green"]).ok();
    assert!(paths(&one).is_empty(), "wait does not warm up");
    let ran = edge.admin(&["switch", "green"]).ok();
    assert!(ran.stderr.contains("warmed up with 6 requests in "), "{}", ran.stderr);
    for origin in [&one, &two] {
        let mut asked = paths(origin);
        asked.sort();
        assert_eq!(asked, ["/a", "/b?x=1", "/c"]);
        let seen = &origin.seen()[0].head;
        assert_eq!(seen.get("host"), Some(origin.backend()));
        assert!(seen.get("user-agent").unwrap().starts_with("edgectl-warmup/"), "{seen:?}");
    }
    edge.admin(&["rollback"]).ok();
    assert_eq!(paths(&blue).len(), 3, "a rollback warms up too");
    edge.admin(&["switch", "green", "--force"]).ok();
    assert_eq!(paths(&one).len(), 3, "--force skips it");
}

/// The first requests come on the connections that the warm-up has opened, on every worker.
fn assert_carried(workers: usize) {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = start(workers, &blue, &[green.backend()], "[\"/\"]");
    edge.admin(&["switch", "green"]).ok();
    let opened = green.accepted();
    let used = || {
        let mut used: Vec<usize> = green.seen().iter().map(|seen| seen.connection).collect();
        used.sort_unstable();
        used.dedup();
        used.len()
    };
    assert_eq!(edge.get("/").text(), "green");
    wait_until("a request on every worker", || {
        edge.get("/");
        used() == workers
    });
    assert_eq!(green.accepted(), opened, "no request had to connect");
}

#[test]
fn the_only_worker_finds_its_connection_warm() {
    assert_carried(1);
}

#[test]
fn every_worker_finds_a_connection_warm() {
    assert_carried(2);
}

#[test]
fn a_path_that_fails_keeps_the_gate_shut_until_the_timeout() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    green.answers("/a", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let edge = start(2, &blue, &[green.backend()], "[\"/ok\", \"/a\"]");
    let begun = Instant::now();
    let ran = edge.admin(&["switch", "green", "--timeout", "1200ms"]);
    let took = begun.elapsed();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let why = format!("{}: warm-up of /a: got 503", green.backend());
    assert!(ran.stderr.contains(&why) && ran.stderr.contains("--force"), "{}", ran.stderr);
    assert!(took >= Duration::from_millis(1100) && took < seconds(4), "refused after {took:?}");
    assert_eq!((green.count("/ok"), green.count("/a") > 1), (1, true), "only what failed is tried again");
    assert_eq!(edge.status()["active"], "blue");
    assert_eq!(edge.get("/").text(), "blue");
}

#[test]
fn a_path_that_fails_at_first_is_asked_again() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let asked = Arc::new(AtomicUsize::new(0));
    green.on("/slow", {
        let asked = asked.clone();
        move |_, wire| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => {
                wire.send("HTTP/1.1 500 Cold\r\nContent-Length: 4\r\n\r\ncold");
                Then::Close
            }
            1 => {
                wire.closes_within(PATIENCE);
                Then::Close
            }
            _ => {
                wire.send("HTTP/1.1 404 Warm\r\nContent-Length: 4\r\n\r\nwarm");
                Then::Keep
            }
        }
    });
    let setup = Setup::colors(&blue, &green).service("response_timeout = \"300ms\"").health(RARELY);
    let edge = setup.switch("warmup = [\"/slow\"]").start();
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    assert_eq!(asked.load(Ordering::SeqCst), 3, "below 500 is an answer");
}

#[test]
fn a_warm_up_that_hangs_ends_with_the_timeout() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    green.on("/hangs", |_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let edge = start(1, &blue, &[green.backend()], "[\"/hangs\"]");
    let begun = Instant::now();
    let ran = edge.admin(&["switch", "green", "--timeout", "800ms", "--json"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(begun.elapsed() < seconds(4));
    assert!(ran.stdout.contains("warm-up of /hangs: no answer yet"), "{}", ran.stdout);
    let again = edge.admin(&["switch", "green", "--timeout", "300ms"]);
    assert_eq!(again.code, Some(4), "the first warm-up is not in the way: {again:?}");
    assert_eq!(edge.status()["active"], "blue");
}

#[test]
fn a_warm_up_asks_over_http_2_for_the_probes_host() {
    let (blue, green) = (Origin::start("blue"), H2Origin::start());
    let setup = Setup::blue_green(blue.backend(), &green.backend()).health(RARELY).health("host = \"probe.test\"");
    let edge = setup.switch("warmup = [\"/warm\"]").start();
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    let asked = green.saw("/warm");
    assert_eq!(asked.uri().host(), Some("probe.test"));
    assert_eq!(asked.headers().get("host"), None);
}
