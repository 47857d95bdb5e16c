//! A canary: an exact share of the clients, guarded by a gate, ended by a switch, a rollback or `canary off`.

use std::time::Instant;

use serde_json::{Value, json};

use crate::support::load::{echo, open_websocket};
use crate::support::{Edge, Load, Origin, Setup, Turn, colors, seconds, wait_until};

const HEALTH: &str = "interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"";

fn start(blue: &Origin, green: &Origin) -> Edge {
    Setup::colors(blue, green).health(HEALTH).start()
}

/// How many of `clients` new clients reach green.
fn greens(edge: &Edge, clients: usize) -> usize {
    let mut client = edge.plain();
    (0..clients).filter(|_| client.get("/").text() == "green").count()
}

#[test]
fn the_share_is_exact() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    for (percent, least, most) in [("0", 0, 0), ("1", 8, 12), ("50", 495, 505), ("100", 1000, 1000)] {
        edge.admin(&["canary", "green", percent]).ok();
        let got = greens(&edge, 1000);
        assert!((least..=most).contains(&got), "{got} of 1000 at {percent} per cent");
    }
}

#[test]
fn a_gate_guards_the_start_of_a_canary() {
    let (blue, green) = colors();
    green.set_health(503);
    let edge = start(&blue, &green);
    let ran = edge.admin(&["canary", "green", "5", "--timeout", "500ms"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("got 503"), "{}", ran.stderr);
    assert_eq!((&edge.status()["canary"], &edge.status()["generation"]), (&Value::Null, &json!(1)));
    let ran = edge.admin(&["canary", "blue", "5"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("blue serves already"), "{}", ran.stderr);
    assert_eq!(edge.admin(&["canary", "green", "101"]).code, Some(2));
}

#[test]
fn a_switch_to_the_colour_of_a_canary_completes_it_and_nothing_is_lost() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let load = Load::start(&edge);
    edge.admin(&["canary", "green", "50"]).ok();
    load.runs_on();
    let begun = Instant::now();
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    let turns = [Turn { begun, returned: Instant::now(), color: "green".to_owned() }];
    load.runs_on();
    load.finish().assert_follows(&turns);
    let status = edge.status();
    assert_eq!(
        (&status["active"], &status["canary"], &status["previous"]),
        (&json!("green"), &Value::Null, &json!("blue"))
    );
    assert_eq!(greens(&edge, 50), 50);
}

#[test]
fn the_end_of_a_canary_drains_its_colour() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    edge.admin(&["canary", "green", "100", "--reason", "a look"]).ok();
    let (mut websocket, color) = open_websocket(edge.http()).unwrap();
    assert_eq!(color, "green");
    let status = edge.status();
    assert_eq!((&status["canary"], &status["active"]), (&json!({ "color": "green", "percent": 100 }), &json!("blue")));
    assert_eq!(status["pools"][1]["draining"], false, "a canary's colour does not drain");
    edge.admin(&["canary", "off", "--no-wait"]).ok();
    assert_eq!(greens(&edge, 50), 0);
    assert_eq!(edge.status()["pools"][1]["draining"], true);
    echo(&mut websocket, "still here").unwrap();
    // Another canary of that colour ends the drain: the connection that is left lives on.
    edge.admin(&["canary", "green", "1"]).ok();
    edge.recorded("drain", "cancelled");
    echo(&mut websocket, "and still").unwrap();
    let ran = edge.admin(&["rollback", "--no-wait"]);
    assert_eq!(ran.code, Some(2), "rollback waits: {ran:?}");
    drop(websocket);
    edge.admin(&["rollback"]).ok();
    let status = edge.status();
    assert_eq!(
        (&status["active"], &status["canary"]),
        (&json!("blue"), &Value::Null),
        "a rollback ends the canary alone"
    );
    assert_eq!(edge.recorded("canary", "canary")["reason"], Value::Null);
    let first = edge.admin(&["history", "--json"]).ok().json()["records"][0].clone();
    assert_eq!(
        (&first["action"], &first["percent"], &first["reason"]),
        (&json!("canary"), &json!(100), &json!("a look"))
    );
}

#[test]
fn a_canary_survives_a_restart() {
    let (blue, green) = colors();
    let mut edge = start(&blue, &green);
    edge.admin(&["canary", "green", "30"]).ok();
    let before = edge.status()["canary"].clone();
    edge.kill();
    edge.start_again();
    assert_eq!(edge.status()["canary"], before);
    wait_until("green to be probed", || edge.status()["pools"][1]["backends"][0]["up"] == true);
    let got = greens(&edge, 200);
    assert!((56..=64).contains(&got), "{got} of 200 at 30 per cent");
    let begun = Instant::now();
    edge.admin(&["canary", "off"]).ok();
    assert!(begun.elapsed() < seconds(10));
}

#[test]
fn a_request_that_no_backend_of_the_canary_takes_is_answered_by_the_active_colour() {
    let (blue, green) = colors();
    // No probe notices before the first request does.
    let edge = Setup::colors(&blue, &green).health("interval = \"1h\"\nrise = 1").start();
    edge.admin(&["canary", "green", "100"]).ok();
    assert_eq!(edge.get("/").text(), "green");
    green.stop();
    let posted = edge.plain().post("/echo", "a body that had not left");
    assert_eq!((posted.status, posted.text().as_str()), (200, "a body that had not left"));
    for _ in 0..20 {
        assert_eq!(edge.get("/").text(), "blue");
    }
    let pools = edge.status()["pools"].clone();
    assert_eq!(pools[1]["failed"], json!(1), "the failure counts for the canary, which is not tried again: {pools}");
}

#[test]
fn a_switch_to_the_colour_that_serves_mentions_the_canary() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    edge.admin(&["canary", "green", "30"]).ok();
    let ran = edge.admin(&["switch", "blue"]).ok();
    assert!(
        ran.stdout.contains("nothing was changed") && ran.stdout.contains("30 % of the clients go to green"),
        "{ran:?}"
    );
    assert_eq!(edge.status()["canary"]["percent"], 30);
}

#[test]
fn options_that_would_have_no_effect_are_refused() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    for (command, why) in [
        ("canary green 5 --drain 5s", "canary off"),
        ("canary green 5 --no-wait", "canary off"),
        ("canary off --timeout 5s", "no gate"),
    ] {
        let ran = edge.admin(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(ran.code, Some(2), "{command}: {ran:?}");
        assert!(ran.stderr.contains(why), "{command}: {ran:?}");
    }
    assert_eq!(edge.status()["generation"], 1);
}
