//! While the active colour has no healthy backend, the other one stands in, if the service is configured so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use crate::support::load::{echo, open_websocket};
use crate::support::{Edge, Origin, PATIENCE, Setup, Then, colors, serves_load, wait_until};

const HEALTH: &str = "interval = \"100ms\"\nrise = 2\nfall = 2\ntimeout = \"500ms\"";

fn start(blue: &Origin, green: &Origin, failover: &str) -> Edge {
    let edge = Setup::colors(blue, green).health(HEALTH).service(failover).start();
    wait_until("both to be up", || {
        let pools = edge.status()["pools"].clone();
        pools[0]["backends"][0]["up"] == true && pools[1]["backends"][0]["up"] == true
    });
    edge
}

#[test]
fn a_colour_that_dies_loses_nothing_and_takes_over_again_when_it_is_back() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "failover = \"other-color\"");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !stop.load(Ordering::SeqCst) {
                let answer = edge.get("/");
                assert_eq!(answer.status, 200, "{:?}", answer.head);
                asked += 1;
            }
            asked
        });
        dies_and_comes_back(&edge, &blue);
        stop.store(true, Ordering::SeqCst);
        assert!(asking.join().unwrap() > 20);
    });
}

fn dies_and_comes_back(edge: &Edge, blue: &Origin) {
    // The backend goes without notice: until a probe sees it, a request is the first to meet it.
    let addr = blue.addr();
    blue.stop();
    assert_eq!(edge.get("/").text(), "green", "from the first request on");
    wait_until("the failover to be known", || edge.status()["detour"] == "failover");
    let generation = edge.status()["generation"].clone();
    assert_eq!((&generation, &edge.status()["active"]), (&Value::from(1), &Value::from("blue")), "it is not a switch");
    let record = edge.recorded("failover", "failover");
    assert_eq!((&record["action"], &record["to"]), (&Value::from("failover"), &Value::from("green")), "{record}");
    assert!(record["detail"].as_str().unwrap().contains("blue"), "{record}");
    edge.said("the other colour stands in");
    assert!(edge.admin(&["status"]).ok().stdout.contains("FAILOVER"));
    let back = Origin::at(addr, "blue");
    serves_load(&back, "blue");
    wait_until("blue to serve again", || edge.get("/").text() == "blue");
    edge.recorded("failover", "recovered");
    assert!(edge.status()["detour"].is_null());
    assert!(edge.metric("edge_failovers_total{service=\"app\",result=\"failover\"}") >= 1.0);
}

#[test]
fn the_other_colour_stands_in_even_without_traffic() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "failover = \"other-color\"");
    blue.set_health(503);
    edge.recorded("failover", "failover");
    assert_eq!(edge.get("/").text(), "green");
    blue.set_health(200);
    edge.recorded("failover", "recovered");
    assert_eq!(edge.get("/").text(), "blue");
}

#[test]
fn without_failover_no_colour_stands_in() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    blue.set_health(503);
    wait_until("blue to be down", || edge.status()["pools"][0]["backends"][0]["up"] == false);
    let answer = edge.get("/");
    assert_eq!((answer.status, green.count("/")), (503, 0));
    assert!(answer.get("retry-after").is_some());
}

#[test]
fn without_a_healthy_backend_in_either_colour_the_answer_is_503() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "failover = \"other-color\"");
    blue.set_health(503);
    green.set_health(503);
    wait_until("both to be down", || edge.get("/").status == 503);
}

#[test]
fn a_canary_without_a_healthy_backend_falls_back_and_is_reported() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    edge.admin(&["canary", "green", "100"]).ok();
    assert_eq!(edge.get("/").text(), "green");
    green.set_health(503);
    wait_until("the fallback", || edge.get("/").text() == "blue");
    edge.recorded("failover", "fallback");
    assert_eq!(edge.status()["detour"], "fallback");
    green.set_health(200);
    wait_until("the canary again", || edge.get("/").text() == "green");
    edge.recorded("failover", "recovered");
}

#[test]
fn requests_taken_in_by_failover_belong_to_the_colour_once_it_serves() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "failover = \"other-color\"");
    blue.set_health(503);
    edge.recorded("failover", "failover");
    let (mut websocket, color) = open_websocket(edge.http()).unwrap();
    assert_eq!(color, "green");
    echo(&mut websocket, "taken in").unwrap();
    // A switch to green, which has the WebSocket already, then back to blue: the drain of green must count the WebSocket.
    edge.admin(&["switch", "green", "--drain", "100ms"]).ok();
    blue.set_health(200);
    let ran = edge.admin(&["switch", "blue", "--drain", "300ms"]).ok();
    assert!(ran.stdout.contains("300ms deadline, then 1 of 1 in flight cut over "), "{ran:?}");
    assert_eq!(edge.status()["pools"][1]["in_flight"], 0);
}

#[test]
fn a_reload_that_ends_a_failover_reports_it() {
    let (blue, green) = colors();
    let setup = Setup::colors(&blue, &green).health(HEALTH);
    let without = setup.text();
    let edge = setup.service("failover = \"other-color\"").start();
    wait_until("both to be up", || edge.metric("edge_backend_up") == 2.0);
    blue.set_health(503);
    edge.recorded("failover", "failover");
    edge.rewrite(&without);
    edge.admin(&["reload"]).ok();
    assert_eq!(edge.get("/").status, 503);
    assert_eq!(edge.status()["detour"], Value::Null, "no colour stands in");
    edge.recorded("failover", "recovered");
}

#[test]
fn requests_that_wait_for_a_colour_that_goes_down_go_to_the_other() {
    let (blue, green) = colors();
    blue.on("/slow", |_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let edge = start(&blue, &green, "failover = \"other-color\"\nmax_in_flight = 1\nqueue_timeout = \"30s\"");
    let ask = |path: &str| {
        let mut client = edge.plain();
        client.begin("GET", path, "");
        client
    };
    let _slow = ask("/slow");
    wait_until("it to run", || blue.count("/slow") == 1);
    let mut waiting = [(); 3].map(|()| ask("/"));
    wait_until("them to wait", || edge.metric("edge_http_requests_queued") == 3.0);
    blue.set_health(503);
    for client in &mut waiting {
        assert_eq!(client.answer().text(), "green");
    }
    assert_eq!(edge.metric("edge_http_requests_queued"), 0.0);
}
