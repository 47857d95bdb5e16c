//! `edgectl top` and `status --watch`, shown and operated in a real terminal.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::load::open_websocket;
use crate::support::{Crowd, Edge, Origin, Setup, Signal, Terminal, serves_load, wait_until};

const HEALTH: &str = "interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"";

fn colors() -> (Origin, Origin, Edge) {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    serves_load(&blue, "blue");
    serves_load(&green, "green");
    let edge = Setup::colors(&blue, &green).health(HEALTH).start();
    (blue, green, edge)
}

/// `edgectl top` on the screen, with blue serving.
fn top(edge: &Edge) -> Terminal {
    let terminal = Terminal::run(&edge.command(&["top"]));
    terminal.shows(&["ready", "blue serves · generation 1", "● blue · active", "green · idle"]);
    terminal
}

/// Checks that the command has ended well and has left the terminal as it was.
fn assert_left(terminal: &mut Terminal) {
    assert_eq!(terminal.wait().code(), Some(0));
    wait_until("the screen of before", || !terminal.is_taken() && !terminal.hides_cursor());
    assert!(terminal.is_cooked());
}

#[test]
fn both_colours_and_their_traffic_are_shown() {
    let (blue, green, edge) = colors();
    let terminal = top(&edge);
    assert!(terminal.is_taken() && !terminal.is_cooked());
    for origin in [&blue, &green] {
        terminal.shows(&[origin.backend(), "up"]);
    }
    wait_until("answers of blue", || {
        edge.get("/");
        terminal.screen().contains("0.0% errors")
    });
    terminal.shows(&["req/s", "p95", "- errors"]);
}

#[test]
fn the_last_second_and_what_is_open_are_beside_the_mean() {
    let (_blue, _green, edge) = colors();
    let terminal = top(&edge);
    let _open = [(); 2].map(|()| open_websocket(edge.http()).unwrap());
    terminal.shows(&["2 in flight: 2 websockets open"]);
    let crowd = Crowd::of(2, &edge);
    let rates = |status: &Value| {
        let pool = &status["pools"][0];
        (pool["per_second"].as_f64().unwrap(), pool["per_second_now"].as_f64().unwrap())
    };
    wait_until("traffic in the figures", || rates(&edge.status()).1 > 0.0);
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    wait_until("blue to be idle now, and busy in the mean", || {
        let (mean, now) = rates(&edge.status());
        mean > 0.0 && now == 0.0
    });
    crowd.finish();
    let status = edge.status();
    assert_eq!(status["pools"][0]["open"], json!({ "websockets": 2, "event_streams": 0, "tunnels": 0 }));
    assert_eq!(status["pools"][1]["open"]["websockets"], 0);
    let text = edge.admin(&["status"]).ok().stdout;
    assert!(text.contains("OPEN") && text.contains("   2 websockets"), "{text}");
}

#[test]
fn a_yes_switches_and_rolls_back() {
    let (_blue, _green, edge) = colors();
    let terminal = top(&edge);
    terminal.types("s");
    terminal.shows(&["switch app to green (generation 1 now)? y/n"]);
    terminal.types("y");
    terminal.shows(&["● green · active", "green serves · generation 2 · blue before", "▲2"]);
    assert_eq!((&edge.status()["active"], &edge.status()["generation"]), (&"green".into(), &2.into()));
    terminal.types("b");
    terminal.shows(&["roll app back to blue (generation 2 now)? y/n"]);
    terminal.types("y");
    terminal.shows(&["● blue · active", "blue serves · generation 3"]);
    assert_eq!((&edge.status()["active"], &edge.status()["generation"]), (&"blue".into(), &3.into()));
    let records = edge.admin(&["history", "--json"]).ok().json();
    assert_eq!(records["records"][0]["reason"], "edgectl top", "{records}");
}

#[test]
fn a_no_changes_nothing() {
    let (_blue, _green, edge) = colors();
    let mut terminal = top(&edge);
    terminal.types("s");
    terminal.shows(&["switch app to green"]);
    terminal.types("n");
    terminal.shows(&["nothing was changed"]);
    terminal.types("y");
    terminal.types("q");
    assert_left(&mut terminal);
    assert_eq!((&edge.status()["active"], &edge.status()["generation"]), (&"blue".into(), &1.into()));
}

#[test]
fn a_gate_that_stays_shut_is_shown() {
    let (_blue, green, edge) = colors();
    let terminal = top(&edge);
    green.set_health(503);
    terminal.shows(&["got 503"]);
    let config = std::fs::read_to_string(edge.path("edge.toml")).unwrap();
    edge.rewrite(&config.replace("[service.app.switch]", "[service.app.switch]\ntimeout = \"1s\""));
    edge.admin(&["reload"]).ok();
    terminal.types("s");
    terminal.shows(&["switch app to green"]);
    terminal.types("y");
    terminal.shows(&["green has 0 of 1 backends ready", "● blue · active"]);
}

#[test]
fn a_switch_after_a_faster_operator_is_a_conflict() {
    let (_blue, _green, edge) = colors();
    let terminal = top(&edge);
    terminal.types("s");
    terminal.shows(&["switch app to green (generation 1 now)?"]);
    edge.admin(&["switch", "green"]).ok();
    terminal.types("y");
    terminal.shows(&["generation 2, not 1"]);
    assert_eq!(edge.status()["generation"], 2);
}

#[test]
fn every_way_out_gives_the_terminal_back() {
    let (_blue, _green, edge) = colors();
    for keys in ["q", "\x1b", "\x03", "s\x03"] {
        let mut terminal = top(&edge);
        terminal.types(keys);
        assert_left(&mut terminal);
    }
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut terminal = top(&edge);
        terminal.signal(signal);
        assert_left(&mut terminal);
    }
}

#[test]
fn a_daemon_that_goes_away_is_reported_and_found_again() {
    let (_blue, _green, mut edge) = colors();
    let terminal = top(&edge);
    edge.kill();
    terminal.shows(&["not reachable", "no daemon answers on", "trying again"]);
    edge.start_again();
    terminal.shows(&["· ready ·"]);
    wait_until("the notice to go", || !terminal.screen().contains("trying again"));
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let (_blue, _green, edge) = colors();
    let mut terminal = top(&edge);
    for (rows, columns) in [(1, 1), (2, 300), (60, 2), (5, 20)] {
        terminal.resize(rows, columns);
    }
    terminal.resize(24, 80);
    terminal.shows(&["● blue · active", "s switch"]);
    terminal.types("q");
    assert_left(&mut terminal);
}

#[test]
fn without_a_terminal_top_says_what_to_use() {
    let (_blue, _green, edge) = colors();
    let ran = edge.admin(&["top"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("needs a terminal") && ran.stderr.contains("status --watch --json"), "{ran:?}");
    let ran = edge.admin(&["top", "--json"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("`edgectl status --watch --json`"), "{ran:?}");
}

#[test]
fn a_watched_status_is_drawn_in_place() {
    let (_blue, _green, edge) = colors();
    let mut terminal = Terminal::run(&edge.command(&["status", "--watch"]));
    terminal.shows(&["SERVICE", "blue", "active"]);
    edge.admin(&["switch", "green"]).ok();
    wait_until("green on the screen", || terminal.screen().lines().any(|line| line.contains("green   active")));
    assert_eq!(terminal.screen().matches("GENERATION").count(), 1, "{}", terminal.screen());
    terminal.types("\x03");
    assert!(!terminal.wait().success());
}

#[test]
fn a_watched_status_is_one_json_value_a_line() {
    let (_blue, _green, edge) = colors();
    let mut command = edge.command(&["status", "--watch", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let status: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(status["services"][0]["active"], "blue");
    }
    // Without a reader the command ends by itself.
    drop(lines);
    wait_until("its end", || child.try_wait().unwrap().is_some());
}
