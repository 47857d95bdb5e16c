//! A switch watches the new colour: if that goes out of bounds, the old colour serves again by itself, and the reason is reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::wire::Wire;
use crate::support::{Crowd, Edge, Origin, PATIENCE, Setup, Steps, Then, seconds, wait_for, wait_until};

const FAILED: &str = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
const GREEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngreen";

/// A backend that answers well until [`Green::does_harm`]; from then on `harm` answers, with the number of the request.
struct Green {
    origin: Origin,
    is_harmful: Arc<AtomicBool>,
}

impl Green {
    fn that(harm: impl Fn(usize, &mut Wire) -> Then + Send + Sync + 'static) -> Self {
        let (origin, is_harmful) = (Origin::start("green"), Arc::<AtomicBool>::default());
        let (number, told) = (AtomicUsize::new(0), is_harmful.clone());
        origin.on("/", move |_, wire| {
            if told.load(Ordering::SeqCst) {
                return harm(number.fetch_add(1, Ordering::SeqCst), wire);
            }
            wire.send(GREEN);
            Then::Keep
        });
        Self { origin, is_harmful }
    }

    fn fails_one_in_five() -> Self {
        Self::that(|number, wire| {
            wire.send(if number % 5 == 0 { FAILED } else { GREEN });
            Then::Keep
        })
    }

    fn does_harm(&self) {
        self.is_harmful.store(true, Ordering::SeqCst);
    }
}

const HEALTH: &str = "interval = \"100ms\"\nrise = 1\nfall = 2\ntimeout = \"5s\"";
const SERVICE: &str = "retries = 0";

fn start(blue: &Origin, green: &Origin, switch: &str) -> Edge {
    Setup::colors(blue, green).service(SERVICE).health(HEALTH).switch(switch).start()
}

fn records(edge: &Edge, action: &str) -> Vec<Value> {
    edge.history().into_iter().filter(|record| record["action"] == action).collect()
}

fn active(edge: &Edge) -> (String, u64) {
    let status = edge.status();
    (status["active"].as_str().unwrap().to_owned(), status["generation"].as_u64().unwrap())
}

/// Switches under load and calls `harm` after the flip; checks that the watch rolls back, and returns its record.
fn rolled_back(edge: &Edge, green: &Origin, harm: impl FnOnce()) -> Value {
    let crowd = Crowd::of(4, edge);
    let ran = thread::scope(|scope| {
        let switching = scope.spawn(|| edge.admin(&["switch", "green", "--watch", "30s", "--drain", "1s"]));
        wait_until("the flip", || edge.admin(&["active"]).stdout == "green\n");
        harm();
        switching.join().unwrap()
    });
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!(active(edge), ("blue".to_owned(), 3));
    assert!(ran.stderr.contains("rolled back, blue serves (generation 3)"), "{ran:?}");
    let asked = green.count("/");
    let returned = Instant::now();
    let answered = || edge.metric("edge_http_requests_total");
    let until = answered() + 30.0;
    wait_until("requests after the rollback", || answered() >= until);
    let after: Vec<_> = crowd.finish().into_iter().filter(|got| got.at > returned).collect();
    assert!(!after.is_empty() && after.iter().all(|got| got.text == "blue"), "{after:?}");
    assert_eq!(green.count("/"), asked, "green gets no more requests");
    let watches = records(edge, "watch");
    assert_eq!(watches.len(), 1, "{watches:?}");
    let record = &watches[0];
    assert_eq!((&record["result"], &record["generation"]), (&json!("rolled-back"), &json!(3)), "{record}");
    assert_eq!((&record["from"], &record["to"]), (&json!("green"), &json!("blue")), "{record}");
    assert!(ran.stderr.contains(record["verdict"]["why"].as_str().unwrap()), "{ran:?} {record}");
    record.clone()
}

/// Checks that the verdict is for more failures than the bound, of enough requests.
fn assert_judged_by_failures(record: &Value) {
    let verdict = &record["verdict"];
    let (requests, failed) = (verdict["requests"].as_f64().unwrap(), verdict["failed"].as_f64().unwrap());
    assert!(requests >= 20.0 && failed > requests * 0.05, "{record}");
    assert_eq!((&verdict["max_error_rate"], &verdict["min_requests"]), (&json!(0.05), &json!(20)), "{record}");
    assert!(verdict["why"].as_str().unwrap().contains("answers failed"), "{record}");
}

#[test]
fn one_answer_in_five_that_fails_is_too_many() {
    let (blue, green) = (Origin::start("blue"), Green::fails_one_in_five());
    let edge = start(&blue, &green.origin, "");
    let record = rolled_back(&edge, &green.origin, || green.does_harm());
    assert_judged_by_failures(&record);
    assert_eq!(edge.metric("edge_switches_total{service=\"app\",result=\"rolled-back\"}"), 1.0);
}

#[test]
fn answers_that_do_not_come_in_time_count_as_failed() {
    let blue = Origin::start("blue");
    let green = Green::that(|_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let service = format!("{SERVICE}\nresponse_timeout = \"1s\"");
    let edge = Setup::colors(&blue, &green.origin).service(&service).health(HEALTH).start();
    let record = rolled_back(&edge, &green.origin, || green.does_harm());
    assert_judged_by_failures(&record);
}

#[test]
fn a_backend_that_hangs_is_found_long_before_its_time_is_up() {
    let blue = Origin::start("blue");
    let green = Green::that(|_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    // An answer may take a minute; the watch is shorter.
    let edge = Setup::colors(&blue, &green.origin).health(HEALTH).start();
    let crowd = Crowd::of(30, &edge);
    let ran = thread::scope(|scope| {
        let switching = scope.spawn(|| edge.admin(&["switch", "green", "--watch", "12s", "--drain", "1s"]));
        wait_until("the flip", || edge.admin(&["active"]).stdout == "green\n");
        green.does_harm();
        switching.join().unwrap()
    });
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert_eq!(active(&edge), ("blue".to_owned(), 3));
    drop(crowd);
    let record = &records(&edge, "watch")[0];
    assert_judged_by_failures(record);
    let verdict = &record["verdict"];
    assert!(verdict["unanswered"].as_u64().unwrap() > 0, "{verdict}");
    assert!(verdict["why"].as_str().unwrap().contains("had not come after 6s"), "{verdict}");
    assert!(verdict["watched_ms"].as_u64().unwrap() < 12_000, "{verdict}");
}

#[test]
fn answers_that_break_off_count_as_failed() {
    let blue = Origin::start("blue");
    let green = Green::that(|_, wire| {
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        Then::Close
    });
    let edge = start(&blue, &green.origin, "");
    let record = rolled_back(&edge, &green.origin, || green.does_harm());
    assert_judged_by_failures(&record);
}

#[test]
fn a_process_that_is_gone_is_found_by_the_requests_it_refuses() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let setup = Setup::colors(&blue, &green).service(SERVICE).health("interval = \"1h\"\nrise = 1");
    let edge = setup.start();
    let record = rolled_back(&edge, &green, || green.stop());
    // The first refused request has it probed at once: no other probe comes in this hour.
    assert_eq!(record["verdict"]["why"], "none of its backends is healthy any more", "{record}");
}

#[test]
fn a_process_that_is_gone_is_found_by_its_probes_without_traffic() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = start(&blue, &green, "");
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green", "watch": "30s" }));
    steps.until("watching");
    green.stop();
    let verdict = steps.until("watched");
    assert_eq!(verdict["why"], "none of its backends is healthy any more", "{verdict}");
    assert_eq!(steps.until("result")["result"]["result"], "rolled-back");
    assert_eq!(active(&edge), ("blue".to_owned(), 3));
}

#[test]
fn slow_answers_are_judged_by_those_of_the_old_colour() {
    let blue = Origin::start("blue");
    let green = Green::that(|_, wire| {
        thread::sleep(Duration::from_millis(600));
        wire.send(GREEN);
        Then::Keep
    });
    // The old colour is slow enough that a busy machine alone does not lift its answers over the bound.
    blue.on("/", |_, wire| {
        thread::sleep(Duration::from_millis(15));
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue");
        Then::Keep
    });
    green.does_harm();
    let setup = Setup::colors(&blue, &green.origin).service("retries = 0").health(HEALTH);
    let edge = setup.switch("max_latency_ratio = 3.0").start();
    let crowd = Crowd::of(4, &edge);
    wait_until("the old colour's figures", || edge.status()["pools"][0]["p95_ms"].is_number());
    drop(crowd);
    let record = rolled_back(&edge, &green.origin, || {});
    let verdict = &record["verdict"];
    let (p95, before) = (verdict["p95_ms"].as_f64().unwrap(), verdict["baseline_p95_ms"].as_f64().unwrap());
    assert!(p95 > before * 3.0 && p95 >= 500.0, "{record}");
    assert!(verdict["why"].as_str().unwrap().contains("more than 3 times"), "{record}");
}

#[test]
fn few_requests_are_no_verdict_and_the_new_colour_is_kept() {
    let (blue, green) = (Origin::start("blue"), Green::fails_one_in_five());
    green.does_harm();
    let edge = start(&blue, &green.origin, "");
    let mut client = edge.plain();
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green", "watch": "2s" }));
    steps.until("watching");
    assert_eq!(client.get("/").status, 500);
    let result = steps.until("result");
    assert_eq!(result["result"]["result"], "inconclusive", "{result}");
    assert_eq!(active(&edge), ("green".to_owned(), 2));
    let record = &records(&edge, "watch")[0];
    assert_eq!((&record["result"], &record["verdict"]["requests"]), (&json!("inconclusive"), &json!(1)), "{record}");
    assert_eq!(record["detail"], "1 of 1 answers failed: fewer than 20 to judge by");
}

type Harm = fn(&mut Wire) -> Then;

/// A site without traffic, with a path for warming up that does `harm`, if any, after the flip.
fn verdict_without_traffic(harm: Option<Harm>, watch: &str) -> (Option<i32>, Value) {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let is_harmful = Arc::<AtomicBool>::default();
    let told = is_harmful.clone();
    green.on("/warm", move |_, wire| {
        if let Some(harm) = harm.filter(|_| told.load(Ordering::SeqCst)) {
            return harm(wire);
        }
        wire.send(GREEN);
        Then::Keep
    });
    let edge = start(&blue, &green, "warmup = [\"/warm\"]");
    let ran = thread::scope(|scope| {
        let switching = scope.spawn(|| edge.admin(&["switch", "green", "--watch", watch]));
        wait_until("the flip", || edge.admin(&["active"]).stdout == "green\n");
        is_harmful.store(true, Ordering::SeqCst);
        switching.join().unwrap()
    });
    assert_eq!(active(&edge).0, if harm.is_some() { "blue" } else { "green" }, "{ran:?}");
    (ran.code, records(&edge, "watch")[0].clone())
}

#[test]
fn a_site_without_traffic_passes_by_its_warm_up_paths() {
    let (code, record) = verdict_without_traffic(None, "3s");
    assert_eq!((code, &record["result"], &record["verdict"]["failed"]), (Some(0), &json!("passed"), &json!(0)));
}

#[test]
fn a_site_without_traffic_is_rolled_back_by_its_warm_up_paths() {
    let fails: Harm = |wire| {
        wire.send(FAILED);
        Then::Keep
    };
    let (code, record) = verdict_without_traffic(Some(fails), "3s");
    assert_eq!((code, &record["result"]), (Some(6), &json!("rolled-back")), "{record}");
    assert_judged_by_failures(&record);
}

#[test]
fn a_site_without_traffic_that_hangs_is_rolled_back_by_its_warm_up_paths() {
    let hangs: Harm = |wire| {
        wire.closes_within(PATIENCE * 2);
        Then::Close
    };
    let (code, record) = verdict_without_traffic(Some(hangs), "12s");
    assert_eq!((code, &record["result"]), (Some(6), &json!("rolled-back")), "{record}");
    assert_judged_by_failures(&record);
}

#[test]
fn what_clients_do_wrong_or_break_off_is_not_counted_against_it() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    green.answers("/", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    green.on("/slow", |_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let edge = start(&blue, &green, "");
    let crowd = Crowd::of(2, &edge);
    let ran = thread::scope(|scope| {
        let switching = scope.spawn(|| edge.admin(&["switch", "green", "--watch", "1500ms"]).ok());
        wait_until("the flip", || edge.admin(&["active"]).stdout == "green\n");
        for number in 1..=30 {
            let mut client = edge.plain();
            client.begin("GET", "/slow", "");
            wait_until("it to arrive", || green.count("/slow") == number);
        }
        switching.join().unwrap()
    });
    drop(crowd);
    assert!(ran.stdout.contains("green serves now"), "{ran:?}");
    let record = &records(&edge, "watch")[0];
    assert_eq!((&record["result"], &record["verdict"]["failed"]), (&json!("passed"), &json!(0)), "{record}");
}

#[test]
fn a_rollback_by_hand_ends_the_watch() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = start(&blue, &green, "");
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green", "watch": "30s" }));
    steps.until("watching");
    edge.admin(&["rollback"]).ok();
    assert_eq!(steps.until("watched")["verdict"], "ended");
    let end = steps.until("result");
    assert_eq!(end["result"]["verdict"]["verdict"], "ended", "{end}");
    let record = wait_for("its record", || records(&edge, "watch").first().cloned());
    assert_eq!(record["result"], "ended");
    // What fails now is no longer watched.
    green.stop();
    let moves = records(&edge, "switch").len() + records(&edge, "rollback").len();
    assert_eq!((active(&edge), moves), (("blue".to_owned(), 3), 2));
}

#[test]
fn if_the_old_colour_is_down_the_new_one_stays_and_the_reason_is_reported() {
    let (blue, green) = (Origin::start("blue"), Green::fails_one_in_five());
    let edge = start(&blue, &green.origin, "");
    let crowd = Crowd::of(2, &edge);
    let ran = thread::scope(|scope| {
        let switching = scope.spawn(|| edge.admin(&["switch", "green", "--watch", "30s", "--drain", "1s"]));
        wait_until("the flip", || edge.admin(&["active"]).stdout == "green\n");
        blue.set_health(503);
        wait_until("blue to be down", || edge.status()["pools"][0]["backends"][0]["up"] == false);
        green.does_harm();
        switching.join().unwrap()
    });
    drop(crowd);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("not rolled back: no backend of blue is healthy"), "{ran:?}");
    assert_eq!(active(&edge), ("green".to_owned(), 2));
    assert_eq!(records(&edge, "watch")[0]["result"], "failed");
}

#[test]
fn a_switch_with_no_wait_is_rolled_back_too() {
    let (blue, green) = (Origin::start("blue"), Green::fails_one_in_five());
    let edge = start(&blue, &green.origin, "watch = \"30s\"");
    let crowd = Crowd::of(4, &edge);
    let begun = Instant::now();
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    assert!(begun.elapsed() < seconds(8), "it waited");
    assert_eq!(active(&edge), ("green".to_owned(), 2));
    green.does_harm();
    wait_until("the rollback", || active(&edge) == ("blue".to_owned(), 3));
    drop(crowd);
    assert_judged_by_failures(&wait_for("its record", || records(&edge, "watch").first().cloned()));
}

#[test]
fn a_rollback_that_comes_too_late_does_not_undo_that_of_the_watch() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let edge = start(&blue, &green, "");
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green", "watch": "30s" }));
    steps.until("watching");
    green.stop();
    assert_eq!(steps.until("watched")["verdict"], "rolled-back");
    let ran = edge.admin(&["rollback"]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.stderr.contains("the watch has taken the traffic back already"), "{ran:?}");
    assert_eq!(active(&edge), ("blue".to_owned(), 3));
    // An operation that moves no traffic does not change that.
    edge.admin(&["maintenance", "on"]).ok();
    edge.admin(&["maintenance", "off"]).ok();
    assert_eq!(edge.admin(&["rollback"]).code, Some(5));
    assert_eq!(active(&edge), ("blue".to_owned(), 5));
    // A switch that names the colour is carried out.
    edge.admin(&["switch", "green", "--force", "--no-wait"]).ok();
    edge.admin(&["rollback", "--reason", "by hand"]).ok();
    assert_eq!(active(&edge), ("blue".to_owned(), 7));
}

#[test]
fn a_colour_under_failover_is_judged_by_its_own_failures() {
    let blue = Origin::start("blue");
    let green = Green::that(|_, _| Then::Close);
    let setup = Setup::colors(&blue, &green.origin).service("failover = \"other-color\"").health(HEALTH);
    let edge = setup.start();
    // Its probes pass, and no client notices anything: blue answers in its place.
    let record = rolled_back(&edge, &green.origin, || green.does_harm());
    assert_judged_by_failures(&record);
}
