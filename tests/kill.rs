//! `kill -9` in every phase of a switch: the old or the new colour serves, what was acknowledged stays, the next switch works.

use std::fs;

use serde_json::{Value, json};

use crate::support::load::open_websocket;
use crate::support::{Edge, Origin, PATIENCE, Setup, Steps, Then, is_there, wait_until};

/// The path of the warm-up.
const SLOW: &str = "/slow";

struct Stage {
    blue: Origin,
    green: Origin,
    edge: Edge,
}

fn stage(switch: &str) -> Stage {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    crate::support::serves_load(&blue, "blue");
    let setup = Setup::colors(&blue, &green).health("interval = \"100ms\"\nrise = 1\ntimeout = \"500ms\"");
    let edge = setup.switch(switch).start();
    Stage { blue, green, edge }
}

fn to_green(more: Value) -> Value {
    let mut ask = json!({ "color": "green" });
    ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ask
}

impl Stage {
    fn switching(&self, more: Value) -> Steps {
        Steps::of(&self.edge, "switch", &to_green(more))
    }

    /// Kills the daemon and starts it again: `color` serves, with this generation.
    #[track_caller]
    fn comes_back_with(&mut self, color: &str, generation: u64) {
        self.edge.kill();
        self.edge.start_again();
        let status = self.edge.status();
        assert_eq!((&status["active"], &status["generation"]), (&json!(color), &json!(generation)), "{status}");
        let log = self.edge.stderr();
        assert!(!log.contains("DAMAGED"), "{log}");
    }

    /// Checks that no lock is left: the next switch works.
    #[track_caller]
    fn goes_on(&self) {
        let before = self.edge.status();
        let to = before["idle"].as_str().unwrap();
        self.edge.admin(&["switch", to, "--no-wait"]).ok();
        let after = self.edge.status();
        assert_eq!((&after["active"], &after["canary"]), (&json!(to), &Value::Null));
        assert_eq!(after["generation"].as_u64(), before["generation"].as_u64().map(|before| before + 1));
        assert_eq!(self.edge.get("/").text(), to);
        let generations: Vec<u64> = self.history().iter().map(|r| r["generation"].as_u64().unwrap()).collect();
        assert!(generations.is_sorted(), "{generations:?}");
    }

    /// Every line of the file, each of them whole: a kill of the process tears no line that the kernel has taken.
    fn history(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.edge.path("state/history.jsonl")).unwrap_or_default();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        let shown = self.edge.admin(&["history", "--json", "-n", "1000"]).ok().json()["records"].clone();
        // A drain may have ended meanwhile.
        assert_eq!(shown.as_array().unwrap()[..lines.len()], lines);
        lines
    }

    fn recorded(&self, action: &str, result: &str) -> Vec<Value> {
        let is_it = |record: &Value| record["action"] == action && record["result"] == result;
        self.history().into_iter().filter(is_it).collect()
    }
}

#[test]
fn in_the_gate() {
    let mut stage = stage("");
    stage.green.set_health(503);
    let mut steps = stage.switching(json!({ "timeout": "30s" }));
    steps.until("probed");
    stage.comes_back_with("blue", 1);
    stage.green.set_health(200);
    stage.goes_on();
}

#[test]
fn in_the_warm_up() {
    let mut stage = stage(&format!("warmup = [{SLOW:?}]"));
    stage.green.on(SLOW, |_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let mut steps = stage.switching(json!({}));
    steps.until("gate_passed");
    stage.green.saw(SLOW);
    stage.comes_back_with("blue", 1);
    stage.green.answers(SLOW, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    stage.goes_on();
}

/// Holds the daemon at the `rename` that makes the new state count: before it, or after it.
fn held_at_the_rename(moment: &str) -> Stage {
    let mut stage = stage("");
    // Other renames happen at the first start, which is not traced.
    stage.edge.terminate();
    let inject = format!("inject=/^rename:{moment}=60s:when=1");
    let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=/^rename", "-e", &inject];
    stage.edge.start_again_under(&strace);
    stage
}

fn generation_in(edge: &Edge, name: &str) -> Option<u64> {
    let state: Value = serde_json::from_slice(&fs::read(edge.path("state").join(name)).ok()?).ok()?;
    state["services"]["app"]["generation"].as_u64()
}

#[test]
fn when_the_new_state_is_written_but_does_not_count_yet() {
    if !is_there("strace") {
        return;
    }
    let mut stage = held_at_the_rename("delay_enter");
    let _steps = stage.switching(json!({}));
    wait_until("the new state beside the old", || generation_in(&stage.edge, "state.tmp") == Some(2));
    assert_eq!(generation_in(&stage.edge, "state.json"), None);
    assert_eq!(stage.edge.get("/").text(), "blue", "a state that is not durable does not serve");
    stage.comes_back_with("blue", 1);
    assert_eq!(stage.history(), Vec::<Value>::new());
    stage.goes_on();
}

#[test]
fn when_the_new_state_counts_but_is_not_announced_yet() {
    if !is_there("strace") {
        return;
    }
    let mut stage = held_at_the_rename("delay_exit");
    let _steps = stage.switching(json!({}));
    wait_until("the new state", || generation_in(&stage.edge, "state.json") == Some(2));
    assert_eq!(stage.edge.get("/").text(), "blue");
    stage.comes_back_with("green", 2);
    let told = stage.recorded("restart", "unrecorded");
    assert_eq!((told.len(), &told[0]["generation"]), (1, &json!(2)), "{told:?}");
    stage.goes_on();
}

#[test]
fn at_the_flip() {
    let mut stage = stage("");
    stage.switching(json!({})).until("flipped");
    stage.comes_back_with("green", 2);
    stage.goes_on();
}

#[test]
fn in_the_watch_which_is_reported_once() {
    let mut stage = stage("");
    stage.switching(json!({ "watch": "60s" })).until("watching");
    stage.comes_back_with("green", 2);
    for _ in 0..2 {
        let told = stage.recorded("watch", "inconclusive");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["detail"], "the daemon was restarted during the watch");
        assert_eq!((&told[0]["from"], &told[0]["generation"]), (&json!("green"), &json!(2)));
        stage.comes_back_with("green", 2);
    }
    assert!(stage.edge.admin(&["history"]).ok().stdout.contains("restarted during the watch"));
    stage.edge.admin(&["rollback"]).ok();
    stage.comes_back_with("blue", 3);
    assert_eq!(stage.recorded("watch", "inconclusive").len(), 1, "the rollback was not watched");
    stage.goes_on();
}

#[test]
fn after_the_verdict_of_a_watch() {
    let mut stage = stage("");
    stage.edge.admin(&["switch", "green", "--watch", "200ms"]).ok();
    assert_eq!(stage.recorded("watch", "inconclusive").len(), 1, "too few requests");
    stage.comes_back_with("green", 2);
    assert_eq!(stage.recorded("watch", "inconclusive").len(), 1, "the restart has nothing to report");
}

#[test]
fn in_the_drain() {
    let mut stage = stage("");
    let (_open, color) = open_websocket(stage.edge.http()).unwrap();
    assert_eq!(color, "blue");
    let step = stage.switching(json!({ "drain": "60s" })).until("draining");
    assert_eq!(step["in_flight"], 1);
    stage.comes_back_with("green", 2);
    assert_eq!(stage.edge.status()["pools"][0]["draining"], false);
    stage.goes_on();
}

#[test]
fn at_each_step_of_a_stepwise_switch() {
    let mut stage = stage("");
    let mut generation = 1;
    for (number, percent) in [5, 25, 50].into_iter().enumerate() {
        let mut steps = stage.switching(json!({ "steps": [5, 25, 50], "step_time": "1s" }));
        for step in 0..=number {
            generation += 1;
            let told = steps.until("canary");
            assert_eq!((&told["percent"], &told["generation"]), (&json!([5, 25, 50][step]), &json!(generation)));
        }
        stage.comes_back_with("blue", generation);
        assert_eq!(stage.edge.status()["canary"], json!({ "color": "green", "percent": percent }));
        let shown = stage.edge.admin(&["status"]).ok().stdout;
        assert!(shown.contains(&format!("{percent} %")), "{shown}");
        let told = stage.recorded("canary", "kept");
        assert_eq!(told.len(), number + 1, "{told:?}");
        let detail = told[number]["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("by steps: {percent} % of the clients stay on green")), "{detail}");
        if percent == 50 {
            break;
        }
        stage.edge.admin(&["canary", "off"]).ok();
        generation += 1;
    }
    stage.edge.admin(&["switch", "green"]).ok();
    assert_eq!(stage.edge.status()["canary"], Value::Null);
    stage.comes_back_with("green", generation + 1);
    assert_eq!(stage.recorded("canary", "kept").len(), 3, "each is reported once");
    stage.goes_on();
}

#[test]
fn during_a_canary() {
    let mut stage = stage("");
    stage.edge.admin(&["canary", "green", "30"]).ok();
    stage.comes_back_with("blue", 2);
    assert_eq!(stage.edge.status()["canary"], json!({ "color": "green", "percent": 30 }));
    assert_eq!(stage.recorded("canary", "kept"), Vec::<Value>::new(), "a canary by hand is not reported");
    stage.edge.admin(&["canary", "green", "60"]).ok();
    stage.comes_back_with("blue", 3);
    assert_eq!(stage.edge.status()["canary"]["percent"], 60);
    stage.edge.admin(&["canary", "off"]).ok();
    stage.comes_back_with("blue", 4);
    assert_eq!(stage.edge.status()["canary"], Value::Null);
    stage.goes_on();
}

#[test]
fn during_a_pause() {
    let mut stage = stage("");
    stage.edge.admin(&["pause", "--max", "20s"]).ok();
    let before = stage.edge.status()["paused"].clone();
    stage.edge.kill();
    stage.edge.start_again_unready();
    let status = stage.edge.status();
    assert_eq!((&status["generation"], &status["paused"]), (&json!(2), &before));
    let mut held = stage.edge.plain();
    held.begin("GET", "/", "");
    wait_until("a request that is held", || stage.edge.status()["paused"]["held"] == 1);
    assert_eq!(stage.blue.count("/"), 0);
    stage.edge.admin(&["resume"]).ok();
    assert_eq!(held.answer().text(), "blue");
    stage.comes_back_with("blue", 3);
    stage.goes_on();
}

#[test]
fn while_a_pause_waits_for_what_is_in_flight() {
    let mut stage = stage("");
    let mut download = stage.edge.plain();
    download.begin("GET", "/download", "");
    download.head().unwrap();
    let told = Steps::of(&stage.edge, "pause", &json!({})).until("pausing");
    assert_eq!(told["in_flight"], 1);
    stage.edge.kill();
    stage.edge.start_again_unready();
    assert_ne!(stage.edge.status()["paused"], Value::Null);
    stage.edge.admin(&["resume"]).ok();
    stage.goes_on();
}

#[test]
fn during_a_maintenance() {
    let mut stage = stage("");
    stage.edge.admin(&["maintenance", "on", "--message", "back at ten"]).ok();
    let before = stage.edge.status()["maintenance"].clone();
    assert_eq!(before["message"], "back at ten");
    stage.edge.kill();
    stage.edge.start_again_unready();
    let status = stage.edge.status();
    assert_eq!((&status["generation"], &status["maintenance"]), (&json!(2), &before));
    let refused = stage.edge.get("/");
    assert_eq!(refused.status, 503);
    stage.edge.admin(&["maintenance", "off"]).ok();
    stage.comes_back_with("blue", 3);
    stage.goes_on();
}
