//! A switch by steps: a growing share of the clients, each step watched, and an operator can end it at any time.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Crowd, Edge, Origin, Setup, Steps, wait_until};

const SERVICE: &str = "retries = 0";

fn start(blue: &Origin, green: &Origin, switch: &str) -> Edge {
    let setup = Setup::colors(blue, green).service(SERVICE).health("interval = \"100ms\"\nrise = 1\ntimeout = \"1s\"");
    setup.switch(switch).start()
}

fn colors() -> (Origin, Origin) {
    (Origin::start("blue"), Origin::start("green"))
}

fn share(edge: &Edge) -> Value {
    edge.status()["canary"]["percent"].clone()
}

fn state(edge: &Edge) -> (Value, Value, Value) {
    let status = edge.status();
    (status["active"].clone(), status["generation"].clone(), status["canary"].clone())
}

/// Waits for some more requests of the crowd.
fn runs_on(edge: &Edge) {
    let answered = || edge.metric("edge_http_requests_total");
    let until = answered() + 80.0;
    wait_until("requests after it", || answered() >= until);
}

#[test]
fn the_share_grows_step_by_step_until_all_traffic_has_moved() {
    const STEP: Duration = Duration::from_secs(1);
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    let crowd = Crowd::of(4, &edge);
    let ask = json!({ "color": "green", "steps": [5, 25, 50], "step_time": "1s", "drain": "1s" });
    let mut steps = Steps::of(&edge, "switch", &ask);
    let mut began = Vec::new();
    for percent in [5, 25, 50] {
        assert_eq!(steps.until("canary")["percent"], percent);
        let begun = Instant::now();
        began.push(begun);
        let (active, present) = (edge.status()["active"].clone(), share(&edge));
        // On a machine that took longer, the answers may be about a later step.
        if begun.elapsed() < STEP {
            assert_eq!((active, present), (json!("blue"), json!(percent)));
        }
    }
    let flipped = steps.until("flipped");
    assert_eq!((&flipped["to"], &flipped["generation"]), (&json!("green"), &json!(5)));
    began.push(Instant::now());
    let end = steps.until("result");
    assert_eq!(end["result"]["result"], "switched", "{end}");
    assert_eq!(state(&edge), (json!("green"), json!(5), Value::Null));
    runs_on(&edge);
    let all = crowd.finish();
    assert!(all.iter().all(|got| got.status == 200), "lost");
    let greens = |from: Instant, to: Instant| {
        let those: Vec<_> = all.iter().filter(|got| from <= got.at && got.at < to).collect();
        let green = those.iter().filter(|got| got.text == "green").count();
        assert!(those.len() > 20, "{} requests in a step", those.len());
        green as f64 / those.len() as f64
    };
    let shares: Vec<f64> = began.windows(2).map(|step| greens(step[0], step[1])).collect();
    // Clients are drawn by chance. The bounds are far wider than chance makes the shares.
    for (share, (least, most)) in shares.iter().zip([(0.0, 0.2), (0.08, 0.45), (0.3, 0.7)]) {
        assert!((least..most).contains(share), "{shares:?}");
    }
    assert_eq!(greens(began[3], Instant::now()), 1.0, "after the flip");
    let records = edge.admin(&["history", "--json"]).ok().json()["records"].clone();
    let told: Vec<_> = records.as_array().unwrap().iter().filter(|r| r["action"] == "switch").collect();
    let told: Vec<_> = told.iter().map(|record| (&record["result"], &record["percent"])).collect();
    assert_eq!(told.len(), 4, "each step is in the history: {records}");
    assert_eq!(told[2], (&json!("canary"), &json!(50)));
    assert!(edge.admin(&["history"]).ok().stdout.contains("canary 25 %"));
}

#[test]
fn a_colour_that_fails_is_stopped_at_its_step() {
    let (blue, green) = colors();
    green.answers("/", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let edge = start(&blue, &green, "min_requests = 5");
    let crowd = Crowd::of(4, &edge);
    let ran = edge.admin(&["switch", "green", "--steps", "5,25,50", "--step-time", "30s", "--drain", "1s"]);
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(ran.stderr.contains("answers failed"), "{ran:?}");
    assert_eq!(state(&edge), (json!("blue"), json!(3), Value::Null));
    let returned = Instant::now();
    runs_on(&edge);
    let after: Vec<_> = crowd.finish().into_iter().filter(|got| got.at > returned).collect();
    assert!(after.iter().all(|got| got.text == "blue"), "green still gets requests: {after:?}");
    let records = edge.admin(&["history", "--json"]).ok().json()["records"].clone();
    let watch = records.as_array().unwrap().iter().find(|record| record["action"] == "watch").unwrap();
    assert_eq!((&watch["result"], &watch["verdict"]["generation"]), (&json!("rolled-back"), &json!(2)), "{watch}");
    // This rollback is too late for the canary, and not meant for the colour that served before it.
    assert_eq!(edge.admin(&["rollback"]).code, Some(5));
    assert_eq!(state(&edge).1, 3);
}

/// Begins a switch by steps whose first step takes a minute, runs `command` meanwhile, and checks what the switch answers.
fn ended_by(command: &[&str]) {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    thread::scope(|scope| {
        let climbing = scope.spawn(|| edge.admin(&["switch", "green", "--steps", "5,50", "--step-time", "60s"]));
        wait_until("the first step", || share(&edge) == 5);
        for second in [["switch", "green"].as_slice(), &["canary", "green", "10"]] {
            let ran = edge.admin(second);
            assert_eq!(ran.code, Some(5), "{ran:?}");
            assert!(ran.stderr.contains("is being switched by"), "{ran:?}");
        }
        assert_eq!(state(&edge).1, 2, "the refused commands have changed nothing");
        let begun = Instant::now();
        edge.admin(command).ok();
        let ran = climbing.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(8), "the switch went on");
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert!(ran.stderr.contains("someone has moved the traffic meanwhile"), "{ran:?}");
    });
    assert_eq!(state(&edge), (json!("blue"), json!(3), Value::Null));
    for _ in 0..20 {
        assert_eq!(edge.get("/").text(), "blue");
    }
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    assert_eq!(state(&edge), (json!("green"), json!(4), Value::Null));
}

#[test]
fn canary_off_ends_a_switch_by_steps() {
    ended_by(&["canary", "off"]);
}

#[test]
fn a_rollback_ends_a_switch_by_steps() {
    ended_by(&["rollback"]);
}

#[test]
fn every_change_can_be_bound_to_the_generation_it_was_meant_for() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    let mut generation = 1;
    for change in [
        "canary green 5",
        "canary green 10",
        "canary off",
        "switch green --no-wait",
        "rollback",
        "pause",
        "resume",
        "maintenance on",
        "maintenance off",
    ] {
        let before = state(&edge);
        let bound = |generation: u64| {
            let generation = generation.to_string();
            let words = change.split(' ').chain(["--if-generation", &generation]);
            edge.admin(&words.collect::<Vec<_>>())
        };
        for other in [generation - 1, generation + 1] {
            let ran = bound(other);
            assert_eq!(ran.code, Some(5), "{change}: {ran:?}");
            assert!(ran.stderr.contains(&format!("is at generation {generation}, not {other}")), "{change}: {ran:?}");
            assert_eq!(state(&edge), before, "{change}");
        }
        bound(generation).ok();
        generation += 1;
        assert_eq!(state(&edge).1, generation, "{change}");
    }
}

/// Makes every write of the state fail, as on a full disk.
fn fill_the_disk(edge: &Edge) {
    std::fs::create_dir(edge.path("state/state.tmp")).unwrap();
}

#[test]
fn a_full_disk_stops_a_switch_at_its_step_and_the_error_says_what_is_left() {
    let (blue, green) = colors();
    let mut edge = start(&blue, &green, "");
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green", "steps": [5, 50], "step_time": "1s" }));
    steps.until("canary");
    fill_the_disk(&edge);
    let problem = steps.until("error")["problem"].clone();
    assert_eq!(problem["code"], "not_durable", "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("5 % of the clients stay on green") && !detail.contains("nothing was changed"), "{detail}");
    assert_eq!(state(&edge), (json!("blue"), json!(2), json!({ "color": "green", "percent": 5 })));
    edge.recorded("switch", "failed");
    // The switch failed before the restart, so the restart has interrupted nothing.
    edge.kill();
    edge.start_again();
    assert!(!edge.admin(&["history"]).ok().stdout.contains("restarted"));
    std::fs::remove_dir(edge.path("state/state.tmp")).unwrap();
    let ran = edge.admin(&["switch", "green", "--steps", "5,50", "--step-time", "1s"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_full_disk_before_the_first_step_changes_nothing() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    fill_the_disk(&edge);
    let ran = edge.admin(&["switch", "green", "--steps", "5", "--step-time", "1s"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("nothing was changed"), "{ran:?}");
    assert_eq!(state(&edge), (json!("blue"), json!(1), Value::Null));
}

#[test]
fn a_step_that_fails_and_can_not_be_taken_back_is_reported() {
    let (blue, green) = colors();
    green.answers("/", "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let edge = start(&blue, &green, "min_requests = 5");
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green", "steps": [50], "step_time": "30s" }));
    steps.until("canary");
    fill_the_disk(&edge);
    let crowd = Crowd::of(2, &edge);
    let problem = steps.until("error")["problem"].clone();
    drop(crowd);
    assert!(problem["detail"].as_str().unwrap().contains("50 % of the clients stay on green"), "{problem}");
    let record = edge.recorded("watch", "failed");
    assert!(record["detail"].as_str().unwrap().contains("answers failed"), "{record}");
    assert!(record["detail"].as_str().unwrap().contains("not rolled back"), "{record}");
}

#[test]
fn a_step_without_requests_is_reported_as_inconclusive() {
    let (blue, green) = colors();
    let edge = start(&blue, &green, "");
    let ran = edge.admin(&["switch", "green", "--steps", "5,50", "--step-time", "100ms"]).ok();
    assert!(ran.stdout.contains("INCONCLUSIVE"), "{ran:?}");
    let watches: Vec<Value> = edge.history().into_iter().filter(|record| record["action"] == "watch").collect();
    let told: Vec<_> =
        watches.iter().map(|record| (record["result"].clone(), record["verdict"]["generation"].clone())).collect();
    assert_eq!(told, [(json!("inconclusive"), json!(2)), (json!("inconclusive"), json!(3))]);
    assert_eq!(edge.metric("edge_switches_total{service=\"app\",result=\"switched\"}"), 1.0);
    let ran = edge.admin(&["switch", "blue", "--steps", "50", "--step-time", "100ms", "--json"]).ok();
    let end: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(end["result"]["result"], "inconclusive", "{end}");
}
