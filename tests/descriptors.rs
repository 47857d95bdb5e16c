//! File descriptors that run out harm those that wait for one, and nobody else: no backend, no operator, no client that is in.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{Client, Edge, Origin, Setup, Then, seconds, wait_until};

/// Open files that the daemon may have.
const LIMIT: &str = "--nofile=1024:1024";

/// Long enough for a backend to be taken down, with a probe every 200 ms and `fall = 3`.
const A_WHILE: Duration = seconds(2);

/// A daemon with both colours and few descriptors; this process has enough.
fn limited(blue: &Origin, green: &Origin) -> Edge {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let mut edge = Setup::colors(blue, green).limits("header_timeout = \"60s\"").start();
    edge.terminate();
    edge.start_again_under(&["prlimit", LIMIT]);
    wait_until("both colours to be up", || edge.metric("edge_backend_up") == 2.0);
    edge
}

/// Both colours stay up and are probed, the operator and a client that is in are served.
fn assert_only_newcomers_wait(edge: &Edge, [blue, green]: [&Origin; 2], early: &mut Client) {
    let (until, probed) = (Instant::now() + A_WHILE, (blue.accepted(), green.accepted()));
    while Instant::now() < until {
        assert_eq!(early.get("/").status, 200);
        assert_eq!(edge.metric("edge_backend_up"), 2.0, "metrics are answered, and both colours are up");
        edge.admin(&["health"]).ok();
    }
    assert!(blue.accepted() > probed.0 + 2 && green.accepted() > probed.1 + 2, "the probes go on");
    assert_eq!(edge.metric("edge_backend_ejections_total"), 0.0);
    assert_eq!(edge.metric("edge_upstream_failures_total"), 0.0);
    let log = edge.stderr();
    assert!(!log.contains("backend is down") && !log.contains("connect failed"), "{log}");
    assert!(log.lines().filter(|line| line.contains("accept")).count() <= 2, "a line for each pause:\n{log}");
}

#[test]
fn silent_connections_beyond_the_limit_harm_neither_backends_nor_operators_nor_clients_that_are_in() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = limited(&blue, &green);
    assert!(edge.stderr().contains("at most 1024 files may be open"), "{}", edge.stderr());
    let mut early = edge.plain();
    assert_eq!(early.get("/").status, 200);
    let silent: Vec<_> = (0..1_000).map(|_| TcpStream::connect(edge.http()).unwrap()).collect();
    edge.said("accepting pauses");
    assert_only_newcomers_wait(&edge, [&blue, &green], &mut early);
    edge.admin(&["switch", "green"]).ok();
    assert_eq!(early.get("/").text(), "green");
    drop(silent);
    wait_until("accepting to go on", || edge.metric("edge_connections") < 20.0);
    assert_eq!(edge.get("/").text(), "green");
}

#[test]
fn streams_that_hang_leave_descriptors_for_everybody_else() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    blue.on("/hang", |_, wire| {
        wire.closes_within(seconds(60));
        Then::Close
    });
    let edge = limited(&blue, &green);
    let mut early = edge.plain();
    assert_eq!(early.get("/").status, 200);
    let hanging: Vec<_> = (0..9)
        .map(|_| {
            let mut client = edge.h2("app.test");
            let streams = (0..120).map(|_| client.begin(client.request("GET", "/hang"), true).unwrap());
            let streams: Vec<_> = streams.collect();
            (client, streams)
        })
        .collect();
    wait_until("what there is to be taken", || blue.count("/hang") > 400);
    assert_only_newcomers_wait(&edge, [&blue, &green], &mut early);
    assert_eq!(edge.get("/").status, 200, "a new client");
    wait_until("those that were too many to be answered", || {
        edge.access_log().iter().any(|line| line["error"] == "out_of_descriptors")
    });
    let refused: Vec<_> = edge.access_log().into_iter().filter(|line| line["status"] == 503).collect();
    assert!(refused.iter().all(|line| line["error"] == "out_of_descriptors"), "{refused:?}");
    assert_eq!(edge.status()["pools"][0]["failed"], 0, "the colour has not failed");
    drop(hanging);
}

#[test]
fn clients_that_are_idle_for_long_give_way_to_new_ones() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = limited(&blue, &green);
    let mut idle: Vec<Client> = Vec::new();
    while !edge.stderr().contains("accepting pauses") {
        let mut client = edge.plain();
        client.begin("GET", "/", "");
        idle.push(client);
    }
    let asked = Instant::now();
    assert_eq!(edge.get("/").status, 200, "a new client");
    assert!(asked.elapsed() < seconds(15), "{:?}, where keepalive is 75 s", asked.elapsed());
    drop(idle);
}
