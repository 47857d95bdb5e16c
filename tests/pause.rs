//! A pause holds new requests and lets them go on in order; maintenance refuses them with a page. Both survive a restart.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::load::{echo, open_websocket};
use crate::support::{Answer, Client, Edge, Origin, PATIENCE, Setup, Then, colors, seconds, wait_until};

const HEALTH: &str = "interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"";

fn start(blue: &Origin, green: &Origin, service: &str) -> Edge {
    Setup::colors(blue, green).health(HEALTH).service(service).start()
}

fn held(edge: &Edge) -> u64 {
    edge.status()["paused"]["held"].as_u64().unwrap_or_default()
}

/// Sends one request; the answer comes later.
fn begin(edge: &Edge, path: &str) -> Client {
    let mut client = edge.plain();
    client.begin("GET", path, "");
    client
}

#[test]
fn new_requests_are_held_and_go_on_in_their_order() {
    const HELD: usize = 20;
    let (blue, green) = colors();
    // One at a time: the backend sees the order.
    let edge = start(&blue, &green, "max_in_flight = 1");
    let paused = edge.admin(&["pause", "--reason", "migration 42"]).ok();
    assert!(paused.stdout.contains("nothing is in flight"), "{}", paused.stdout);
    let mut clients = Vec::new();
    for number in 0..HELD {
        clients.push(begin(&edge, &format!("/{number}")));
        wait_until("it to be held", || held(&edge) == number as u64 + 1);
    }
    assert!(blue.seen().iter().all(|seen| !seen.head.word(1).starts_with("/1")), "none has passed");
    edge.admin(&["resume"]).ok();
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    let order: Vec<String> = blue.seen().iter().map(|seen| seen.head.word(1).to_owned()).collect();
    let order: Vec<usize> = order.iter().filter_map(|path| path[1..].parse().ok()).collect();
    assert_eq!(order, (0..HELD).collect::<Vec<_>>());
    let records = edge.admin(&["history", "--json"]).ok().json()["records"].clone();
    let told: Vec<_> = records.as_array().unwrap().iter().map(|r| (r["action"].clone(), r["result"].clone())).collect();
    assert_eq!(told, [(json!("pause"), json!("paused")), (json!("resume"), json!("resumed"))], "{records}");
    assert_eq!(records[0]["reason"], "migration 42");
}

#[test]
fn a_pause_returns_when_nothing_is_in_flight_and_websockets_stay() {
    let (blue, green) = colors();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let wait = gate.clone();
    blue.on("/slow", move |_, wire| {
        let open = wait.1.wait_while(wait.0.lock().unwrap(), |open| !*open).unwrap();
        drop(open);
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        Then::Keep
    });
    let edge = start(&blue, &green, "");
    let (mut websocket, _) = open_websocket(edge.http()).unwrap();
    let mut slow = begin(&edge, "/slow");
    wait_until("it to run", || blue.count("/slow") == 1);
    let late = edge.admin(&["pause", "--timeout", "300ms"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    assert!(late.stderr.contains("paused, but 1 still in flight"), "{}", late.stderr);
    thread::scope(|scope| {
        let pausing = scope.spawn(|| edge.admin(&["pause", "--max", "20s"]).ok());
        wait_until("the second pause", || edge.status()["generation"] == 3);
        assert!(!pausing.is_finished(), "one is still in flight");
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        assert_eq!(slow.answer().text(), "slow");
        pausing.join().unwrap();
    });
    echo(&mut websocket, "still here").unwrap();
    edge.admin(&["resume"]).ok();
    assert_eq!(edge.get("/").text(), "blue");
}

#[test]
fn no_request_is_held_for_longer_than_max() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    edge.admin(&["pause", "--max", "400ms"]).ok();
    let begun = Instant::now();
    let answer = edge.get("/");
    let took = begun.elapsed();
    assert_eq!(answer.status, 503);
    assert!(answer.get("retry-after").is_some(), "{:?}", answer.head);
    assert!(took >= Duration::from_millis(400) && took < seconds(3), "{took:?}");
    assert_eq!(edge.logged(answer.id())["error"], "paused");
    // The pause itself stays until it is ended.
    assert_eq!(edge.status()["paused"]["max_ms"], 400);
    // A client that goes away is no longer held.
    drop(begin(&edge, "/"));
    wait_until("it to be gone", || held(&edge) == 0);
    edge.admin(&["resume"]).ok();
    assert_eq!(edge.get("/").status, 200);
}

#[test]
fn a_request_that_was_held_for_long_has_the_full_time_for_its_answer() {
    let (blue, green) = colors();
    blue.on("/slow", |_, wire| {
        std::thread::sleep(Duration::from_millis(500));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
        Then::Keep
    });
    let edge = start(&blue, &green, "response_timeout = \"2s\"");
    // From now on its worker has a connection to the backend.
    let mut client = edge.plain();
    assert_eq!(client.get("/").status, 200);
    edge.admin(&["pause"]).ok();
    let begun = Instant::now();
    client.begin("GET", "/slow", "");
    wait_until("it to be held for longer than an answer may take", || {
        held(&edge) == 1 && begun.elapsed() > Duration::from_millis(2500)
    });
    edge.admin(&["resume"]).ok();
    let answer = client.answer();
    assert_eq!((answer.status, answer.text()), (200, "slow".to_owned()));
    let upstream_ms = edge.logged(answer.id())["upstream_ms"].as_f64().unwrap();
    assert!(upstream_ms < 2000.0, "the pause was counted as the backend's: {upstream_ms}");
}

#[test]
fn no_more_requests_are_held_than_there_is_room_for() {
    const ROOM: u64 = 4096;
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    edge.admin(&["pause"]).ok();
    let mut connections: Vec<_> = (0..32).map(|_| edge.h2("app.test")).collect();
    let mut streams = Vec::new();
    for connection in &mut connections {
        streams.extend((0..128).map(|_| connection.begin(connection.request("GET", "/"), true).unwrap()));
    }
    wait_until("all to be held", || held(&edge) == ROOM);
    let begun = Instant::now();
    let answer = edge.get("/");
    assert_eq!((answer.status, answer.get("retry-after")), (503, Some("5")));
    assert!(begun.elapsed() < seconds(5), "it was held");
    assert_eq!(edge.logged(answer.id())["error"], "paused");
    // Maintenance answers all that are held.
    edge.admin(&["maintenance", "on"]).ok();
    wait_until("no request to be held", || held(&edge) == 0);
    let (last, _) = streams.pop().unwrap();
    assert_eq!(connections[31].finish(last).unwrap().status, 503);
    assert_eq!(blue.count("/"), 0);
}

#[test]
fn held_requests_go_to_the_colour_of_a_switch_during_the_pause() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    edge.admin(&["pause"]).ok();
    let mut waiting = begin(&edge, "/");
    wait_until("it to be held", || held(&edge) == 1);
    edge.admin(&["switch", "green"]).ok();
    assert_eq!(held(&edge), 1, "a switch does not end a pause");
    edge.admin(&["resume"]).ok();
    assert_eq!(waiting.answer().text(), "green");
}

#[test]
fn pause_and_maintenance_survive_a_restart_and_show_in_readyz() {
    let (blue, green) = colors();
    let mut edge = start(&blue, &green, "");
    edge.admin(&["pause"]).ok();
    edge.kill();
    edge.start_again_unready();
    assert_eq!(edge.ready(), Some(503));
    assert_eq!(edge.admin(&["health"]).code, Some(0), "the process is well");
    let mut waiting = begin(&edge, "/");
    wait_until("it to be held", || held(&edge) == 1);
    edge.admin(&["maintenance", "on", "--message", "Back at <ten>"]).ok();
    assert_eq!(waiting.answer().status, 503, "a held request is answered at once");
    edge.admin(&["resume"]).ok();
    edge.kill();
    edge.start_again_unready();
    assert_eq!(edge.ready(), Some(503));
    let page = edge.plain().ask("GET", "/", "Accept: text/html\r\n", "");
    assert_eq!((page.status, page.get("retry-after").is_some()), (503, true));
    assert!(page.text().contains("Back at &lt;ten&gt;"), "{}", page.text());
    edge.admin(&["maintenance", "off"]).ok();
    assert_eq!((edge.ready(), edge.get("/").status), (Some(200), 200));
}

fn from(edge: &Edge, address: &str) -> Answer {
    let fields = format!("X-Forwarded-For: {address}\r\n");
    edge.plain().ask("GET", "/", &fields, "")
}

#[test]
fn maintenance_refuses_at_once_all_but_the_allowed_addresses() {
    let (blue, green) = colors();
    let setup = Setup::colors(&blue, &green).health(HEALTH).server("trusted_proxies = [\"127.0.0.0/8\"]");
    let edge = setup.start();
    let (mut websocket, _) = open_websocket(edge.http()).unwrap();
    edge.admin(&["maintenance", "on", "--allow", "192.0.2.0/24", "--allow", "2001:db8::1"]).ok();
    assert_eq!(from(&edge, "198.51.100.7").status, 503);
    assert_eq!(from(&edge, "192.0.2.7").text(), "blue");
    assert_eq!(from(&edge, "2001:db8::1").text(), "blue");
    echo(&mut websocket, "still here").unwrap();
    let json = edge.plain().ask("GET", "/", "Accept: application/json\r\n", "");
    assert_eq!(serde_json::from_str::<Value>(&json.text()).unwrap()["code"], "maintenance");
    assert_eq!(edge.logged(json.id())["error"], "maintenance");
    let status = edge.status();
    assert_eq!(status["maintenance"]["allow"], json!(["192.0.2.0/24", "2001:db8::1/128"]));
    assert!(edge.admin(&["status"]).ok().stdout.contains("IN MAINTENANCE"));
    assert!(edge.admin(&["maintenance", "on", "--allow", "everyone"]).code == Some(2));
    edge.admin(&["maintenance", "off"]).ok();
    assert_eq!(from(&edge, "198.51.100.7").text(), "blue");
}

#[test]
fn every_change_can_be_bound_to_a_generation() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    let changes: [&[&str]; 8] = [
        &["pause"],
        &["resume"],
        &["maintenance", "on"],
        &["maintenance", "off"],
        &["canary", "green", "5"],
        &["canary", "off"],
        &["switch", "green"],
        &["rollback"],
    ];
    for (done, change) in changes.iter().enumerate() {
        let present = (done + 1).to_string();
        let wrong = edge.admin(&[change, &["--if-generation", "77"][..]].concat());
        assert_eq!(wrong.code, Some(5), "{change:?}: {wrong:?}");
        assert!(wrong.stderr.contains(&format!("at generation {present}")), "{change:?}: {}", wrong.stderr);
        edge.admin(&[change, &["--if-generation", &present][..]].concat()).ok();
        assert_eq!(edge.status()["generation"], done + 2, "{change:?}");
    }
}

#[test]
fn a_service_without_colours_can_be_paused_too() {
    let origin = Origin::start("only");
    let mut edge = Setup::to(&origin).start();
    edge.admin(&["pause"]).ok();
    edge.kill();
    edge.start_again_unready();
    let mut waiting = begin(&edge, "/");
    wait_until("it to be held", || held(&edge) == 1);
    edge.admin(&["resume"]).ok();
    assert_eq!(waiting.answer().text(), "only");
    for (again, told) in [(&["resume"][..], "not paused"), (&["maintenance", "off"], "not in maintenance")] {
        let ran = edge.admin(again).ok();
        assert!(ran.stdout.contains(told) && !ran.stdout.contains("blue"), "{again:?}: {ran:?}");
    }
    let told = edge.admin(&["history"]).ok().stdout;
    assert!(told.contains("paused") && !told.contains("blue"), "{told}");
    let ran = edge.admin(&["canary", "green", "5"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn a_pause_that_another_operator_has_ended_fails() {
    let (blue, green) = colors();
    blue.on("/slow", |_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let edge = start(&blue, &green, "");
    let _slow = begin(&edge, "/slow");
    wait_until("it to run", || blue.count("/slow") == 1);
    thread::scope(|scope| {
        let pausing = scope.spawn(|| edge.admin(&["pause", "--timeout", "60s"]));
        wait_until("the pause", || !edge.status()["paused"].is_null());
        edge.admin(&["resume"]).ok();
        let ran = pausing.join().unwrap();
        // `edgectl pause && migrate` must not migrate now.
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert!(ran.stderr.contains("someone has resumed it"), "{ran:?}");
    });
}

#[test]
fn a_service_with_one_pool_has_no_colours_to_tell() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).health(HEALTH).start();
    for call in [&["pause"][..], &["resume"], &["resume"], &["maintenance", "on"], &["maintenance", "off"]] {
        let told = edge.admin(&[call, &["--json"]].concat()).ok().stdout;
        let end: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert!(end["result"]["generation"].is_u64(), "{end}");
        assert_eq!((&end["result"]["from"], &end["result"]["to"]), (&Value::Null, &Value::Null), "{end}");
    }
    let records = edge.history();
    assert!(records.iter().all(|record| record["from"].is_null() && record["to"].is_null()), "{records:?}");
}
