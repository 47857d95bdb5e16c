//! A task of the daemon that ends is started again, said and counted; it is never missing silently.

use crate::support::{Edge, Setup, colors, wait_until};

/// All tasks that have no end of their own.
const TASKS: [&str; 11] = [
    "prober",
    "pool",
    "dns",
    "sampler",
    "file-watch",
    "metrics",
    "admin",
    "operator",
    "failover",
    "acme",
    "acme-keeper",
];

/// Nothing listens there.
const NO_AUTHORITY: &str = "[acme]\nemail = \"ops@example.com\"\ndirectory = \"https://127.0.0.1:9/directory\"\n\
                            [[site]]\nhosts = [\"www.example.com\"]\nservice = \"app\"\n";

fn plain_site(host: &str) -> String {
    format!("[[site]]\nhosts = [{host:?}]\nservice = \"app\"\ntls = \"off\"\n")
}

/// What each of the tasks is for still happens.
fn assert_whole(edge: &Edge, blue: &crate::support::Origin, text: &str, host: &str) {
    edge.rewrite(&format!("{text}{}", plain_site(host)));
    let asks = || crate::support::Client::connect(edge.http(), host).get("/").status;
    wait_until("a change of the file to be taken up", || asks() == 200);
    edge.admin(&["switch", "green"]).ok();
    edge.admin(&["switch", "blue"]).ok();
    let failovers = || edge.history().iter().filter(|record| record["result"] == "failover").count();
    let before = failovers();
    blue.set_health(503);
    wait_until("a failover in the history", || failovers() > before);
    blue.set_health(200);
    wait_until("its end", || edge.get("/").text() == "blue");
    wait_until("samples", || edge.status()["pools"][0]["per_second"].as_f64().is_some_and(|rate| rate > 0.0));
    assert!(edge.admin(&["certs", "--json"]).ok().stdout.contains("www.example.com"));
}

fn every_task_comes_back_after(how: &str) {
    let (blue, green) = colors();
    let setup = Setup::colors(&blue, &green)
        .service("failover = \"other-color\"")
        .health("interval = \"100ms\"\nfall = 1\nmax_fails = 0")
        .and(NO_AUTHORITY);
    let text = setup.text();
    let edge = Edge::start_fallible(setup.place.clone(), &text);
    assert_whole(&edge, &blue, &text, "before.test");
    for task in TASKS {
        edge.fail_task(task, how);
        assert_eq!(edge.get("/").status, 200, "{task}: requests don't notice");
        edge.said(&format!("is started again task={task:?}"));
    }
    // There is more than one of some: each prober has its turn, and a pause that grows.
    for _ in 0..3 {
        edge.fail_task("prober", how);
    }
    assert_whole(&edge, &blue, &text, "after.test");
}

#[test]
fn every_task_that_panics_is_started_again_and_does_what_it_did() {
    every_task_comes_back_after("fault");
}

#[test]
fn every_task_that_returns_is_started_again_and_does_what_it_did() {
    every_task_comes_back_after("end");
}
