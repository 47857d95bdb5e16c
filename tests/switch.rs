//! A switch is gated, atomic, durable and ordered; the old colour drains, the way back is kept, and nothing is lost.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::load::{echo, open_websocket};
use crate::support::{Dns, Edge, Load, Origin, PATIENCE, Setup, Then, Turn, colors, is_there, seconds, wait_until};

const HEALTH: &str = "interval = \"100ms\"\nrise = 2\ntimeout = \"500ms\"";

fn start(blue: &Origin, green: &Origin) -> Edge {
    Setup::colors(blue, green).health(HEALTH).start()
}

/// Runs a command that lets `color` serve, and notes when.
fn turn(edge: &Edge, command: &[&str], color: &str) -> Turn {
    let begun = Instant::now();
    edge.admin(command).ok();
    Turn { begun, returned: Instant::now(), color: color.to_owned() }
}

/// Everything that a refused switch must leave as it was.
fn state(edge: &Edge) -> (Value, Value, Option<Vec<u8>>) {
    let status = edge.status();
    let file = std::fs::read(edge.path("state/state.json")).ok();
    (status["active"].clone(), status["generation"].clone(), file)
}

/// What the history says of a command run by this user.
fn me(pid: u32) -> Value {
    let name = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let name = String::from_utf8(name).unwrap();
    json!({ "uid": rustix::process::getuid().as_raw(), "user": name.trim(), "pid": pid })
}

#[test]
fn a_switch_loses_no_request_and_none_reaches_the_old_colour_late() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let load = Load::start(&edge);
    let mut turns = vec![turn(&edge, &["switch", "green", "--no-wait"], "green")];
    load.runs_on();
    turns.push(turn(&edge, &["rollback"], "blue"));
    load.runs_on();
    turns.push(turn(&edge, &["switch", "green", "--force", "--no-wait"], "green"));
    load.runs_on();
    load.finish().assert_follows(&turns);
    assert_eq!(edge.status()["generation"], 4);
}

#[test]
fn thirty_switches_under_load_lose_nothing() {
    let (blue, green) = colors();
    let edge = Setup::colors(&blue, &green).health("interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"").start();
    let load = Load::start(&edge);
    let colors = ["green", "blue"].into_iter().cycle().take(30);
    let turns: Vec<Turn> = colors.map(|color| turn(&edge, &["switch", color, "--no-wait"], color)).collect();
    load.runs_on();
    load.finish().assert_follows(&turns);
    assert_eq!(edge.status()["generation"], 31);
}

/// Checks that a switch to green is refused for `why`, and that nothing has changed.
fn assert_gate_refuses(edge: &Edge, why: &str) {
    let before = state(edge);
    let begun = Instant::now();
    let ran = edge.admin(&["switch", "green", "--timeout", "1200ms"]);
    let took = begun.elapsed();
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains(why), "{why:?} is not in {}", ran.stderr);
    assert!(ran.stderr.contains("green has 0 of 1 backends ready") && ran.stderr.contains("--force"), "{}", ran.stderr);
    assert!(took >= Duration::from_millis(1200) && took < seconds(4), "refused after {took:?}");
    assert_eq!(state(edge), before);
    assert_eq!(edge.get("/").text(), "blue");
    let record = edge.recorded("switch", "refused");
    assert!(record["detail"].as_str().unwrap().contains(why), "{record}");
}

/// Switches there and back, so that there is a state to keep.
fn there_and_back(edge: &Edge) {
    edge.admin(&["switch", "green"]).ok();
    edge.admin(&["switch", "blue"]).ok();
}

#[test]
fn a_backend_that_answers_503_keeps_the_gate_shut() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    there_and_back(&edge);
    green.set_health(503);
    assert_gate_refuses(&edge, &format!("{}: got 503", green.backend()));
}

#[test]
fn a_backend_whose_probe_hangs_keeps_the_gate_shut() {
    let (blue, green) = colors();
    let hangs = Arc::new(AtomicBool::new(false));
    let hanging = hangs.clone();
    green.on("/probe", move |_, wire| {
        if hanging.load(Ordering::SeqCst) {
            wire.closes_within(PATIENCE);
            return Then::Close;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Then::Keep
    });
    let edge = Setup::colors(&blue, &green).health(HEALTH).health("path = \"/probe\"").start();
    there_and_back(&edge);
    hangs.store(true, Ordering::SeqCst);
    assert_gate_refuses(&edge, &format!("{}: no answer within 500ms", green.backend()));
}

#[test]
fn a_backend_that_refuses_connections_keeps_the_gate_shut() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    there_and_back(&edge);
    green.stop();
    assert_gate_refuses(&edge, "connection refused");
}

#[test]
fn a_name_that_does_not_resolve_keeps_the_gate_shut() {
    let (blue, _) = colors();
    let dns = Dns::start();
    let setup = Setup::blue_green(blue.backend(), "app-green.test:8000");
    let edge = setup.server(&dns.resolvers()).health(HEALTH).start();
    assert_gate_refuses(&edge, "app-green.test");
    let ran = edge.admin(&["switch", "green", "--timeout", "300ms"]);
    assert!(ran.stderr.contains("resolve"), "{}", ran.stderr);
}

#[test]
fn a_half_healthy_pool_does_not_pass_unless_min_healthy_allows_it() {
    let (blue, green) = colors();
    let broken = Origin::start("broken");
    broken.set_health(503);
    let pools = format!("blue = [{:?}]\ngreen = [{:?}, {:?}]", blue.backend(), green.backend(), broken.backend());
    let setup = Setup::blue_green(blue.backend(), green.backend()).health(HEALTH);
    let text = setup.text().replace(&format!("blue = [{:?}]\ngreen = [{:?}]", blue.backend(), green.backend()), &pools);
    let edge = Edge::start(setup.place.clone(), &text);
    let ran = edge.admin(&["switch", "green", "--timeout", "1s"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("green has 1 of 2 backends ready"), "{}", ran.stderr);
    edge.rewrite(&text.replace("[service.app.switch]", "[service.app.switch]\nmin_healthy = \"50%\""));
    edge.admin(&["reload"]).ok();
    edge.admin(&["switch", "green"]).ok();
    for _ in 0..20 {
        assert_eq!(edge.get("/").text(), "green", "only healthy backends get requests");
    }
}

#[test]
fn a_backend_that_the_config_has_dropped_gets_nothing_after_the_switch() {
    let (blue, old) = colors();
    let new = Origin::start("new");
    let setup = Setup::colors(&blue, &old).health("interval = \"10s\"\nrise = 2\ntimeout = \"500ms\"");
    let text = setup.text();
    let edge = setup.start();
    let backend = |index: usize| edge.status()["pools"][1]["backends"][index].clone();
    wait_until("green to be up", || backend(0)["up"] == true);
    // The new backend fails its first probe in the background. The next one is far away, so the gate finds it healthy.
    new.set_health(503);
    edge.rewrite(&text.replace(old.backend(), new.backend()));
    edge.admin(&["reload"]).ok();
    wait_until("the first probe", || backend(0)["address"] == new.backend() && !backend(0)["last_probe"].is_null());
    new.set_health(200);
    edge.admin(&["switch", "green"]).ok();
    for _ in 0..20 {
        assert_eq!(edge.get("/").text(), "new");
    }
}

#[test]
fn of_two_switches_at_once_the_second_is_told_which_user_holds_the_service() {
    let (blue, green) = colors();
    green.set_health(503);
    let edge = start(&blue, &green);
    let mut holder = edge.api();
    let body = json!({ "color": "green", "timeout": "60s" }).to_string();
    let fields = format!("Accept: application/x-ndjson\r\nContent-Length: {}\r\n", body.len());
    holder.begin("POST", "/v1/services/app/switch", &fields).send(body);
    assert_eq!(holder.head().unwrap().word(1), "200");
    assert!(String::from_utf8(holder.some().unwrap()).unwrap().contains("gate_started"));
    let before = state(&edge);
    let ran = edge.admin(&["switch", "green"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    let me = me(std::process::id());
    let who =
        format!("is being switched by {} (uid {}, pid {}) for ", me["user"].as_str().unwrap(), me["uid"], me["pid"]);
    assert!(ran.stderr.contains(&who), "{who:?} is not in {}", ran.stderr);
    let ran = edge.admin(&["rollback", "--json"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stdout.contains("\"conflict\""), "{ran:?}");
    assert_eq!(state(&edge), before);
    edge.recorded("switch", "conflict");
    // The first switch goes on: the backend that it waits for becomes healthy, and it switches.
    green.set_health(200);
    wait_until("the first switch", || edge.admin(&["active"]).stdout == "green\n");
    assert_eq!(edge.status()["generation"], 2);
}

#[test]
fn of_ten_switches_at_once_none_is_half_done() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let codes: Vec<Option<i32>> = thread::scope(|scope| {
        let running: Vec<_> =
            (0..10).map(|_| scope.spawn(|| edge.admin(&["switch", "green", "--no-wait"]).code)).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(codes.iter().all(|code| matches!(code, Some(0 | 5))), "{codes:?}");
    assert!(codes.contains(&Some(0)), "{codes:?}");
    assert_eq!(edge.status()["generation"], 2);
}

#[test]
fn a_switch_back_cancels_the_drain_and_cuts_nothing_of_it() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    // The switch back has to come before the deadline, however slow this machine is.
    let begun = Instant::now();
    there_and_back(&edge);
    let drain = Duration::from_millis(1500).max(begun.elapsed() * 3);
    let deadline = format!("{}ms", drain.as_millis());
    let (mut websocket, color) = open_websocket(edge.http()).unwrap();
    assert_eq!(color, "blue");
    // A download longer than the drain and the time that a cut takes.
    let (finish, finishes) = channel::<()>();
    let finishes = Mutex::new(finishes);
    blue.on("/long", move |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx");
        let _ = finishes.lock().unwrap().recv();
        wire.send("x");
        Then::Keep
    });
    let mut download = edge.plain();
    download.begin("GET", "/long", "");
    let head = download.head().unwrap();
    let begun = Instant::now();
    thread::scope(|scope| {
        let first = scope.spawn(|| edge.admin(&["switch", "green", "--drain", &deadline]).ok());
        wait_until("the flip", || edge.admin(&["active"]).stdout == "green\n");
        let pools = edge.status()["pools"].clone();
        assert_eq!((&pools[0]["draining"], &pools[0]["in_flight"]), (&json!(true), &json!(2)), "{pools}");
        assert_eq!(edge.get("/").text(), "green");
        echo(&mut websocket, "while it drains").unwrap();
        edge.admin(&["switch", "blue"]).ok();
        let first = first.join().unwrap();
        assert!(first.stdout.contains("drain of blue cancelled"), "{}", first.stdout);
    });
    assert_eq!(edge.get("/").text(), "blue");
    // Past the deadline, and past the two seconds that a cut is spread over.
    while begun.elapsed() < drain + Duration::from_millis(2500) {
        echo(&mut websocket, "still here").expect("a WebSocket that is not cut");
        thread::sleep(Duration::from_millis(20));
    }
    finish.send(()).unwrap();
    let (body, _) = download.try_body(&head.answer_framing("GET")).expect("a download that is not cut");
    assert_eq!(body, b"xx");
    let record = edge.recorded("drain", "cancelled");
    assert_eq!((&record["drain"]["cut"], &record["from"]), (&json!(0), &json!("blue")), "{record}");
}

#[test]
fn a_switch_back_at_the_deadline_cuts_nothing_of_the_colour_that_serves() {
    let (blue, green) = colors();
    let edge = Setup::colors(&blue, &green).health("interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"").start();
    for round in 0..10_u32 {
        let (_held, color) = open_websocket(edge.http()).unwrap();
        assert_eq!(color, "blue");
        // A drain shorter or longer than the switch back takes.
        let drain = format!("{}ms", 10 + round * 4);
        edge.admin(&["switch", "green", "--drain", &drain, "--no-wait"]).ok();
        edge.admin(&["switch", "blue", "--no-wait"]).ok();
        let (mut after, color) = open_websocket(edge.http()).unwrap();
        assert_eq!(color, "blue");
        echo(&mut after, "served").unwrap();
        let until = Instant::now() + Duration::from_millis(if round == 9 { 2300 } else { 100 });
        while Instant::now() < until {
            echo(&mut after, "still here").unwrap_or_else(|error| panic!("round {round}, drain {drain}: {error}"));
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn at_the_deadline_what_is_left_is_cut_one_after_another_and_reported() {
    const OPEN: usize = 12;
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let open: Vec<_> = (0..OPEN).map(|_| open_websocket(edge.http()).unwrap().0).collect();
    let begun = Instant::now();
    let (ran, mut closed) = thread::scope(|scope| {
        let closing: Vec<_> = open
            .into_iter()
            .map(|mut websocket| {
                scope.spawn(move || {
                    assert!(websocket.closes_within(PATIENCE), "not cut");
                    begun.elapsed()
                })
            })
            .collect();
        let ran = edge.admin(&["switch", "green", "--drain", "300ms"]).ok();
        (ran, closing.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>())
    });
    closed.sort_unstable();
    let spread = closed[OPEN - 1].saturating_sub(closed[0]);
    assert!(closed[0] >= Duration::from_millis(300), "cut before the deadline: {closed:?}");
    assert!(spread > Duration::from_millis(300) && spread < seconds(3), "cut all at once, or late: {closed:?}");
    // Both say where the time has gone that is more than the deadline.
    let why = "300ms deadline, then 12 of 12 in flight cut over ";
    assert!(ran.stdout.contains(why) && ran.stderr.contains(why), "{ran:?}");
    let record = edge.recorded("drain", "drained");
    assert_eq!((&record["drain"]["cut"], &record["drain"]["began_with"]), (&json!(12), &json!(12)), "{record}");
    assert_eq!(record["drain"]["deadline_ms"], 300, "{record}");
    assert!(edge.admin(&["history"]).ok().stdout.contains(why));
    assert_eq!(edge.status()["pools"][0]["in_flight"], 0);
    assert_eq!(edge.logged_path("/ws")["error"], "drain_cut");
}

#[test]
fn a_cut_that_is_cancelled_reports_what_it_had_cut() {
    const OPEN: usize = 20;
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let mut open: Vec<_> = (0..OPEN).map(|_| open_websocket(edge.http()).unwrap().0).collect();
    edge.admin(&["switch", "green", "--drain", "50ms", "--no-wait"]).ok();
    // Over connections that are open already: the cut takes two seconds, and starting a command may take as long.
    let (mut looks, mut api) = (edge.api(), edge.api());
    wait_until("the cut to have begun", || {
        let status: Value = serde_json::from_slice(&looks.get("/v1/status").body).unwrap();
        status["services"][0]["pools"][0]["in_flight"] != json!(OPEN)
    });
    let back = json!({ "color": "blue", "force": true, "wait": false });
    assert_eq!(api.post("/v1/services/app/switch", &back.to_string()).status, 200);
    let record = edge.recorded("drain", "cancelled");
    let cut = record["drain"]["cut"].as_u64().unwrap() as usize;
    wait_until("the cut ones to be gone", || edge.status()["pools"][0]["in_flight"] == json!(OPEN - cut));
    let whole = open.iter_mut().filter_map(|websocket| echo(websocket, "still here").ok()).count();
    assert!((1..OPEN).contains(&cut), "{record}");
    assert_eq!(whole, OPEN - cut, "{record}");
}

#[test]
fn status_says_what_a_drain_waits_for() {
    let (blue, green) = colors();
    blue.on("/events", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n");
        wire.closes_within(PATIENCE);
        Then::Close
    });
    for path in ["/silent", "/upload"] {
        blue.on(path, |_, wire| {
            wire.closes_within(PATIENCE);
            Then::Close
        });
    }
    blue.on("/long", |_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx");
        wire.closes_within(PATIENCE);
        Then::Close
    });
    blue.on("/chat", |_, wire| {
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n");
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let edge = start(&blue, &green);
    let _websockets = [(); 2].map(|()| open_websocket(edge.http()).unwrap());
    let mut asked = Vec::new();
    for (method, path, fields) in [
        ("GET", "/events", ""),
        ("GET", "/silent", ""),
        ("GET", "/long", ""),
        ("GET", "/chat", "Connection: Upgrade\r\nUpgrade: chat\r\n"),
        ("POST", "/upload", "Transfer-Encoding: chunked\r\n"),
    ] {
        let mut client = edge.plain();
        client.begin(method, path, fields);
        client.send(if method == "POST" { "1\r\nx\r\n" } else { "" });
        asked.push(client);
    }
    let kinds =
        json!([["request", 1], ["upload", 1], ["download", 1], ["event_stream", 1], ["websocket", 2], ["tunnel", 1]]);
    let left = |edge: &Edge| -> Value {
        let left = edge.status()["pools"][0]["left"].as_array().unwrap().clone();
        left.iter().map(|left| json!([left["kind"], left["count"]])).collect()
    };
    wait_until("all to be under way", || left(&edge) == kinds);
    edge.admin(&["switch", "green", "--drain", "20s", "--no-wait"]).ok();
    assert_eq!(left(&edge), kinds);
    assert_eq!(edge.status()["pools"][1]["left"], json!([]));
    wait_until("the seconds to be counted", || {
        let oldest = edge.status()["pools"][0]["left"][4]["oldest_seconds"].clone();
        oldest.as_u64().is_some_and(|seconds| (1..9).contains(&seconds))
    });
    let text = edge.admin(&["status"]).ok().stdout;
    for word in ["STILL INSIDE", "event_stream", "websocket", "upload"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    drop(asked);
}

#[test]
fn no_wait_returns_after_the_flip_and_the_drain_goes_on() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let (mut websocket, _) = open_websocket(edge.http()).unwrap();
    let begun = Instant::now();
    let ran = edge.admin(&["switch", "green", "--no-wait"]).ok();
    assert!(begun.elapsed() < seconds(5), "it waited for the drain");
    assert!(ran.stdout.contains("blue drains on in the daemon"), "{}", ran.stdout);
    assert_eq!(edge.get("/").text(), "green");
    assert_eq!(edge.status()["pools"][0]["draining"], true);
    echo(&mut websocket, "still here").unwrap();
    drop(websocket);
    assert_eq!(edge.recorded("drain", "drained")["drain"]["cut"], 0);
}

#[test]
fn a_switch_that_waits_returns_when_the_last_request_has_ended() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let mut download = edge.plain();
    download.begin("GET", "/download", "");
    let head = download.head().unwrap();
    let ran = edge.admin(&["switch", "green"]).ok();
    assert!(ran.stdout.contains("all 1 in flight finished"), "{}", ran.stdout);
    assert_eq!(edge.logged_path("/download")["error"], Value::Null);
    assert!(download.try_body(&head.answer_framing("GET")).is_ok());
}

#[test]
fn force_skips_the_gate_and_says_so() {
    let (blue, green) = colors();
    green.set_health(503);
    let edge = start(&blue, &green);
    let ran = edge.admin(&["switch", "green", "--force"]).ok();
    assert!(ran.stdout.contains("gate skipped (--force)"), "{}", ran.stdout);
    assert_eq!(edge.admin(&["active"]).stdout, "green\n");
    let record = edge.recorded("switch", "forced");
    assert_eq!(record["gate_ms"], Value::Null, "{record}");
}

#[test]
fn a_switch_bound_to_another_generation_is_a_conflict() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let before = state(&edge);
    let ran = edge.admin(&["switch", "green", "--if-generation", "7"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("is at generation 1, not 7"), "{}", ran.stderr);
    assert_eq!(state(&edge), before);
    edge.admin(&["switch", "green", "--if-generation", "1"]).ok();
    assert_eq!(edge.status()["generation"], 2);
}

#[test]
fn a_switch_to_the_colour_that_serves_changes_nothing() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let before = state(&edge);
    let ran = edge.admin(&["switch", "blue"]).ok();
    assert!(ran.stdout.contains("blue serves already (generation 1)"), "{}", ran.stdout);
    assert_eq!(edge.admin(&["switch", "blue", "--json"]).ok().json()["result"]["result"], "unchanged");
    assert_eq!(state(&edge), before);
}

#[test]
fn a_rollback_needs_a_previous_colour() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let ran = edge.admin(&["rollback"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("there is no colour to go back to"), "{}", ran.stderr);
    edge.admin(&["switch", "green"]).ok();
    edge.admin(&["rollback"]).ok();
    assert_eq!(edge.admin(&["active"]).stdout, "blue\n");
    edge.admin(&["switch", "green"]).ok();
    blue.set_health(503);
    edge.rewrite(
        &std::fs::read_to_string(edge.path("edge.toml"))
            .unwrap()
            .replace("[service.app.switch]", "[service.app.switch]\ntimeout = \"1s\""),
    );
    edge.admin(&["reload"]).ok();
    let ran = edge.admin(&["rollback"]);
    assert_eq!(ran.code, Some(4), "a rollback is gated too: {ran:?}");
    assert_eq!(edge.admin(&["active"]).stdout, "green\n");
}

#[test]
fn a_rollback_takes_the_options_of_a_switch() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    edge.admin(&["switch", "green"]).ok();
    let (mut websocket, color) = open_websocket(edge.http()).unwrap();
    assert_eq!(color, "green");
    blue.set_health(503);
    let ran = edge.admin(&["rollback", "--timeout", "300ms"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("after 300ms") && ran.stderr.contains("or pass --force"), "{}", ran.stderr);
    let ran = edge.admin(&["rollback", "--force", "--drain", "100ms"]).ok();
    assert!(ran.stdout.contains("100ms deadline, then 1 of 1 in flight cut over "), "{ran:?}");
    assert!(websocket.closes_within(PATIENCE), "cut by the drain");
    assert_eq!(edge.recorded("rollback", "forced")["to"], "blue");
    blue.set_health(200);
    edge.admin(&["switch", "green"]).ok();
    edge.admin(&["rollback", "--watch", "200ms"]).ok();
    assert_eq!(edge.recorded("watch", "inconclusive")["from"], "blue");
}

#[test]
fn a_second_rollback_does_not_lead_back_to_what_was_rolled_back_from() {
    let (blue, green) = colors();
    let mut edge = start(&blue, &green);
    edge.admin(&["switch", "green"]).ok();
    edge.admin(&["rollback", "--reason", "green is broken"]).ok();
    // Known to a daemon that was killed, too.
    edge.kill();
    edge.start_again();
    let ran = edge.admin(&["rollback"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    for words in ["green was rolled back from, at ", "edgectl history", "--anyway"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(edge.admin(&["active"]).stdout, "blue\n");
    edge.admin(&["rollback", "--anyway"]).ok();
    assert_eq!(edge.admin(&["active"]).stdout, "green\n");
    // And now blue is what was rolled back from. A switch makes green the choice of someone, with a way back.
    assert_eq!(edge.admin(&["rollback"]).code, Some(5));
    edge.admin(&["switch", "blue"]).ok();
    edge.admin(&["switch", "green"]).ok();
    edge.admin(&["rollback"]).ok();
    assert_eq!(edge.admin(&["active"]).stdout, "blue\n");
}

#[test]
fn the_history_says_who_did_what_and_why() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let mut command = edge.command(&["switch", "green", "--reason", "release 4.2"]);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    let record = edge.recorded("switch", "switched");
    assert_eq!(record["actor"], me(pid));
    assert_eq!(record["reason"], "release 4.2");
    assert_eq!((&record["from"], &record["to"], &record["generation"]), (&json!("blue"), &json!("green"), &json!(2)));
    assert!(record["gate_ms"].is_u64() && record["flip_us"].is_u64() && record["time"].is_string(), "{record}");
    let text = edge.admin(&["history"]).ok().stdout;
    assert!(text.contains("release 4.2") && text.contains(&pid.to_string()), "{text}");
    edge.admin(&["rollback", "--reason", "not so good"]).ok();
    assert_eq!(edge.recorded("rollback", "switched")["reason"], "not so good");
}

#[test]
fn active_and_idle_print_one_word_and_as_json_the_generation_with_it() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let words = || (edge.admin(&["active"]).ok().stdout, edge.admin(&["idle"]).ok().stdout);
    assert_eq!(words(), ("blue\n".to_owned(), "green\n".to_owned()));
    edge.admin(&["switch", "green"]).ok();
    assert_eq!(words(), ("green\n".to_owned(), "blue\n".to_owned()));
    let idle = edge.admin(&["idle", "--json"]).ok().json();
    assert_eq!(idle, json!({ "service": "app", "idle": "blue", "generation": 2 }));
}

#[test]
fn wait_passes_the_gate_and_changes_nothing() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let before = state(&edge);
    edge.admin(&["wait", "green"]).ok();
    green.set_health(503);
    assert_eq!(edge.admin(&["wait", "green", "--timeout", "600ms"]).code, Some(4));
    assert_eq!(state(&edge), before);
}

#[test]
fn the_status_has_everything_as_json() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    edge.admin(&["switch", "green"]).ok();
    let status = edge.admin(&["status", "--json"]).ok().json();
    assert_eq!(status["ready"], true);
    let service = &status["services"][0];
    for (key, value) in [
        ("name", json!("app")),
        ("active", json!("green")),
        ("previous", json!("blue")),
        ("idle", json!("blue")),
        ("generation", json!(2)),
    ] {
        assert_eq!(service[key], value, "{service}");
    }
    for (pool, (color, origin)) in [("blue", &blue), ("green", &green)].into_iter().enumerate() {
        let pool = &service["pools"][pool];
        let backend = &pool["backends"][0];
        assert_eq!((&pool["color"], &backend["address"]), (&json!(color), &json!(origin.backend())), "{pool}");
        assert_eq!((&backend["up"], &backend["last_probe"]["passed"]), (&json!(true), &json!(true)), "{pool}");
    }
    assert_eq!(status["listeners"].as_array().unwrap().len(), 2, "{status}");
}

#[test]
fn without_a_daemon_every_command_says_so() {
    let (blue, green) = colors();
    let mut edge = start(&blue, &green);
    edge.terminate();
    edge.wait();
    for command in [&["switch", "green"][..], &["rollback"], &["status"], &["active"], &["reload"], &["history"]] {
        let ran = edge.admin(command);
        assert_eq!(ran.code, Some(3), "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("admin.sock"), "{command:?}: {ran:?}");
    }
}

#[test]
fn the_api_speaks_problem_json() {
    let (blue, green) = colors();
    green.set_health(503);
    let edge = start(&blue, &green);
    let mut api = edge.api();
    let mut ask = |path: &str, body: Value| {
        let answer = api.post(path, &body.to_string());
        let kind = answer.get("content-type").map(str::to_owned);
        (answer.status, kind, serde_json::from_slice::<Value>(&answer.body).unwrap())
    };
    for (path, body, status, code) in [
        ("/v1/services/nope/switch", json!({ "color": "green" }), 404, "no_such_service"),
        ("/v1/services/app/switch", json!({ "color": "red" }), 400, "unknown_color"),
        ("/v1/services/app/switch", json!({ "colour": "green" }), 400, "bad_request"),
        ("/v1/services/app/switch", json!({ "color": "green", "if_generation": 9 }), 412, "generation_conflict"),
        ("/v1/services/app/switch", json!({ "color": "green", "timeout": "600ms" }), 422, "gate_not_passed"),
        ("/v1/services/app/rollback", json!({}), 409, "no_previous"),
        ("/v1/nothing", json!({}), 404, "no_such_path"),
    ] {
        let (got, kind, problem) = ask(path, body);
        assert_eq!((got, kind.as_deref()), (status, Some("application/problem+json")), "{path}: {problem}");
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{path}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{problem}");
    }
    green.set_health(200);
    let (status, _, done) = ask("/v1/services/app/switch", json!({ "color": "green", "wait": false }));
    assert_eq!((status, &done["result"], &done["generation"]), (200, &json!("switched"), &json!(2)), "{done}");
    let status = edge.api().get("/v1/status");
    assert_eq!((status.status, status.get("content-type")), (200, Some("application/json")));
}

#[test]
fn only_the_owner_and_its_group_may_operate() {
    let (blue, green) = colors();
    let edge = start(&blue, &green);
    let mode = |name: &str| std::fs::metadata(edge.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("admin.sock"), 0o660);
    edge.admin(&["switch", "green"]).ok();
    assert_eq!((mode("state"), mode("state/state.json"), mode("state/history.jsonl")), (0o700, 0o600, 0o600));
}

#[test]
fn of_two_changes_meant_for_one_generation_one_is_refused() {
    if !is_there("strace") {
        return;
    }
    let (blue, green) = colors();
    let mut edge = start(&blue, &green);
    edge.terminate();
    // The first change is slow to be written, and the second waits for the disk behind it.
    let inject = "inject=/^rename:delay_enter=2s:when=1";
    edge.start_again_under(&["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=/^rename", "-e", inject]);
    thread::scope(|scope| {
        let first = scope.spawn(|| edge.admin(&["maintenance", "on", "--if-generation", "1"]).code);
        wait_until("it to be written", || edge.path("state/state.tmp").exists());
        let second = edge.admin(&["switch", "green", "--force", "--no-wait", "--if-generation", "1"]);
        assert_eq!((first.join().unwrap(), second.code), (Some(0), Some(5)), "{second:?}");
    });
    let status = edge.status();
    assert_eq!((&status["active"], &status["generation"]), (&json!("blue"), &json!(2)));
}
