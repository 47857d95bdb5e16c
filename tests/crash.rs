//! Killed at any moment, the daemon comes back with the old or the new colour, and an acknowledged switch is never lost.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Edge, Origin, Setup};

/// Enough kills for both outcomes. The phases one by one are in `kill`.
const ROUNDS: u32 = 30;

fn start(blue: &Origin, green: &Origin) -> Edge {
    Setup::colors(blue, green).health("interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"").start()
}

fn present(edge: &Edge) -> (String, u64) {
    let status = edge.status();
    (status["active"].as_str().unwrap().to_owned(), status["generation"].as_u64().unwrap())
}

fn other(color: &str) -> &'static str {
    if color == "blue" { "green" } else { "blue" }
}

/// The generations of the switches in the history.
fn switched(edge: &Edge) -> Vec<u64> {
    let records = edge.admin(&["history", "--json", "-n", "1000"]).ok().json()["records"].clone();
    let done = records.as_array().unwrap().iter().filter(|record| record["result"] == "switched");
    done.map(|record| record["generation"].as_u64().unwrap()).collect()
}

/// `kill -9` now; the files stay as they are.
fn kill_and_start_again(edge: &mut Edge) {
    edge.kill();
    edge.start_again();
}

#[test]
fn a_daemon_killed_at_random_moments_keeps_the_old_or_the_new_colour() {
    let seed = std::env::var("EDGE_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("EDGE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let mut edge = start(&blue, &green);
    // How long a whole switch takes on this machine now: kills fall before, during and after it.
    let begun = Instant::now();
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    let span = (begun.elapsed() * 2).max(Duration::from_millis(80));
    let mut before = present(&edge);
    let (mut kept, mut acknowledged) = (0, 0);
    for round in 0..ROUNDS {
        let after = (other(&before.0).to_owned(), before.1 + 1);
        let delay = span.mul_f32(random.f32());
        let mut command = edge.command(&["switch", &after.0, "--no-wait"]);
        let mut switching = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        kill_and_start_again(&mut edge);
        let was_acknowledged = switching.wait().unwrap().success();
        let now = present(&edge);
        let case = format!("round {round}, killed after {delay:?}, acknowledged: {was_acknowledged}, EDGE_SEED={seed}");
        assert!(now == before || now == after, "{now:?} after {before:?} and {after:?}; {case}");
        assert!(!was_acknowledged || now == after, "an acknowledged switch is lost: {now:?}; {case}");
        assert_eq!(edge.get("/").text(), now.0, "{case}");
        let told = switched(&edge);
        assert!(told.is_sorted_by(|a, b| a < b), "{told:?}; {case}");
        assert!(!was_acknowledged || told.last() == Some(&now.1), "{told:?} without {now:?}; {case}");
        kept += u32::from(now == before);
        acknowledged += u32::from(was_acknowledged);
        before = now;
    }
    assert!(
        kept > 0 && acknowledged > 0,
        "all on one side: {kept} kept, {acknowledged} acknowledged, EDGE_SEED={seed}"
    );
    let log = edge.stderr();
    assert!(!log.contains("DAMAGED"), "{log}");
    let folder = std::fs::read_dir(edge.path("state")).unwrap();
    let names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let known = ["acme", "ca", "history.jsonl", "lock", "spool", "state.json", "token.key"];
    let strange: Vec<_> = names.iter().filter(|name| !known.contains(&name.as_str())).collect();
    // A kill before the rename leaves the temporary file. The next write replaces it.
    assert!(strange.iter().all(|name| *name == "state.tmp"), "files are left behind: {names:?}");
}

#[test]
fn a_daemon_killed_during_a_drain_keeps_the_new_colour() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let mut edge = start(&blue, &green);
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    kill_and_start_again(&mut edge);
    assert_eq!(present(&edge), ("green".to_owned(), 2));
    edge.admin(&["rollback"]).ok();
    assert_eq!(present(&edge), ("blue".to_owned(), 3), "the way back is kept too");
}

#[test]
fn a_torn_record_of_the_history_hides_no_other() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let mut edge = start(&blue, &green);
    edge.admin(&["switch", "green", "--reason", "the first"]).ok();
    edge.kill();
    let mut file = std::fs::File::options().append(true).open(edge.path("state/history.jsonl")).unwrap();
    // The record is torn within a character.
    file.write_all(b"{\"time\":\"2026-01-01T00:00:00Z\",\"reason\":\"f\xc3").unwrap();
    edge.start_again();
    edge.admin(&["rollback", "--reason", "the second"]).ok();
    let records = edge.admin(&["history", "--json"]).ok().json()["records"].clone();
    let reasons: Vec<&Value> = records.as_array().unwrap().iter().map(|record| &record["reason"]).collect();
    assert!(reasons.contains(&&Value::from("the first")) && reasons.contains(&&Value::from("the second")), "{records}");
}
