//! A wall clock that is set forwards or back by an hour while the daemon runs changes no timer: every wait takes as long as
//! configured. Only what shows a time of day follows the clock.
//!
//! libfaketime stands between the daemon and the wall clock, and reads from a file how far the clock is off; the monotonic
//! clock stays as it is, as it does where an administrator or NTP sets the time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::edge::replace;
use crate::support::load::open_websocket;
use crate::support::{Edge, Origin, Setup, Steps, Then, is_there, seconds, serves_load, wait_for, wait_until};

/// What each of the timers is set to.
const LASTS: Duration = Duration::from_millis(800);
const TEXT: &str = "800ms";

/// A daemon whose wall clock the test sets.
struct Stage {
    edge: Edge,
    blue: Origin,
    green: Origin,
    probes: Arc<AtomicUsize>,
    /// Whether the second of blue's backends hangs up on requests.
    hangs_up: Arc<AtomicBool>,
    _second: Origin,
    hour: i64,
    offset: i64,
}

/// The library in Debian's package `faketime`: the build for programs with threads.
fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

fn stage(hour: i64) -> Option<Stage> {
    if !is_there("faketime") {
        return None;
    }
    let library = library().expect("libfaketimeMT.so.1, beside faketime");
    let (blue, second, green) = (Origin::start("blue"), Origin::start("blue"), Origin::start("green"));
    serves_load(&green, "green");
    let (probes, hangs_up) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
    let counted = probes.clone();
    second.on("/probe", move |_, wire| {
        counted.fetch_add(1, Ordering::SeqCst);
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Then::Keep
    });
    let told = hangs_up.clone();
    second.on("/", move |_, wire| {
        if told.load(Ordering::SeqCst) {
            return Then::Close;
        }
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nblue");
        Then::Keep
    });
    let health = format!(
        "path = \"/probe\"\ninterval = \"100ms\"\nrise = 1\nfall = 2\nmax_fails = 1\nfail_timeout = \"{TEXT}\"\n\
         status = [\"2xx\", \"404\"]"
    );
    let setup = Setup::pools(&[blue.backend(), second.backend()], &[green.backend()]).health(&health);
    let setup = setup.service("balance = \"round-robin\"").limits(&format!("keepalive = \"{TEXT}\""));
    let limited = "[[site.route]]\npath = \"/limited/\"\nlimit = [\"one\"]\nservice = \"app\"\n\
                   [zone.one]\nrate = \"1r/h\"\nburst = 0\n";
    let mut edge = setup.and(limited).start();
    // The first start, which makes certificates and more, runs by the true clock.
    edge.terminate();
    let clock = edge.path("clock");
    std::fs::write(&clock, "+0").unwrap();
    let set = [
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    let program: Vec<&str> = ["env"].into_iter().chain(set.iter().map(String::as_str)).collect();
    edge.start_again_under(&program);
    Some(Stage { edge, blue, green, probes, hangs_up, _second: second, hour, offset: 0 })
}

impl Stage {
    /// Moves the clock by an hour, forwards or back.
    fn set_the_clock(&mut self) {
        self.offset += self.hour;
        replace(&self.edge.path("clock"), format!("{:+}", self.offset));
    }

    #[track_caller]
    fn assert_shows_its_clock(&self, time: &Value) {
        let shown: Timestamp = time.as_str().unwrap().parse().unwrap();
        let off = shown.as_second() - Timestamp::try_from(SystemTime::now()).unwrap().as_second();
        assert!((off - self.offset).abs() < 30, "{time} is {off} s off, not {}", self.offset);
    }

    fn switching(&self, ask: Value) -> Steps {
        Steps::of(&self.edge, "switch", &ask)
    }
}

/// Checks that it took as long as configured. With an hour's difference it would end at once or never.
#[track_caller]
fn assert_lasted(begun: Instant) {
    let took = begun.elapsed();
    assert!(took + LASTS / 20 > LASTS && took < LASTS + seconds(6), "it took {took:?}, not {TEXT}");
}

fn the_gate_waits(stage: &mut Stage) {
    stage.green.answers("/probe", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let begun = Instant::now();
    let mut steps = stage.switching(json!({ "color": "green", "timeout": TEXT }));
    steps.until("probed");
    stage.set_the_clock();
    assert_eq!(steps.until("error")["problem"]["code"], "gate_not_passed");
    assert_lasted(begun);
    stage.green.answers("/probe", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

fn a_request_is_held(stage: &mut Stage) {
    stage.edge.admin(&["pause", "--max", TEXT]).ok();
    let begun = Instant::now();
    let mut held = stage.edge.plain();
    held.begin("GET", "/", "");
    wait_until("it to be held", || stage.edge.status()["paused"]["held"] == 1);
    stage.set_the_clock();
    assert_eq!(held.answer().status, 503);
    assert_lasted(begun);
    stage.edge.admin(&["resume"]).ok();
}

fn an_idle_connection_is_kept(stage: &mut Stage) {
    let mut idle = stage.edge.plain();
    assert_eq!(idle.get("/").status, 200);
    let begun = Instant::now();
    stage.set_the_clock();
    assert!(idle.closes_within(seconds(9)));
    assert_lasted(begun);
}

fn a_failing_backend_is_out(stage: &mut Stage) {
    let ejected = |edge: &Edge| edge.status()["pools"][0]["backends"][1]["ejected"].clone();
    stage.hangs_up.store(true, Ordering::SeqCst);
    let before = wait_for("it to be ejected", || {
        let before = Instant::now();
        stage.edge.get("/");
        (!ejected(&stage.edge).is_null()).then_some(before)
    });
    stage.hangs_up.store(false, Ordering::SeqCst);
    stage.set_the_clock();
    wait_until("it to be let in again", || ejected(&stage.edge).is_null());
    assert_lasted(before);
}

fn the_watch_goes_on(stage: &mut Stage) {
    let mut steps = stage.switching(json!({ "color": "green", "watch": TEXT }));
    let begun = Instant::now();
    steps.until("watching");
    stage.set_the_clock();
    let verdict = steps.until("watched");
    assert_lasted(begun);
    let watched = Duration::from_millis(verdict["watched_ms"].as_u64().unwrap());
    assert!(watched >= LASTS && watched < LASTS + seconds(6), "{verdict}");
}

fn the_old_colour_drains(stage: &mut Stage) {
    let (mut open, color) = open_websocket(stage.edge.http()).unwrap();
    assert_eq!(color, "green");
    let begun = Instant::now();
    let mut steps = stage.switching(json!({ "color": "blue", "drain": TEXT }));
    steps.until("draining");
    stage.set_the_clock();
    assert!(open.closes_within(seconds(9)));
    assert_lasted(begun);
    assert_eq!(steps.until("drained")["cut"], 1);
}

fn probes_go_on(stage: &mut Stage) {
    let begun = Instant::now();
    let before = stage.probes.load(Ordering::SeqCst);
    stage.set_the_clock();
    let probes = || stage.probes.load(Ordering::SeqCst) - before;
    wait_until("ten more probes", || probes() >= 10);
    let (count, took) = (probes(), begun.elapsed());
    assert!(count as f64 <= took.as_secs_f64() * 12.0 + 2.0, "{count} probes in {took:?}");
    stage.assert_shows_its_clock(&stage.edge.status()["pools"][0]["backends"][1]["last_probe"]["at"]);
    stage.blue.answers("/probe", "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    wait_until("what is down to be seen", || stage.edge.status()["pools"][0]["backends"][0]["up"] == false);
}

fn limits_hold(stage: &mut Stage) {
    let ask = |stage: &Stage| stage.edge.tls("app.test").get("/limited/").status;
    assert_eq!(ask(stage), 200);
    stage.set_the_clock();
    assert_eq!(ask(stage), 429);
}

fn what_shows_a_time_follows(stage: &mut Stage) {
    stage.set_the_clock();
    let answer = stage.edge.get("/");
    stage.assert_shows_its_clock(&stage.edge.logged(answer.id())["time"]);
    stage.edge.admin(&["maintenance", "on"]).ok();
    let records = stage.edge.admin(&["history", "--json", "-n", "1"]).ok().json()["records"].clone();
    stage.assert_shows_its_clock(&records[0]["time"]);
    stage.edge.admin(&["status"]).ok();
    stage.edge.admin(&["history"]).ok();
}

fn is_set_by(hour: i64) {
    let Some(mut stage) = stage(hour) else { return };
    for act in [
        the_gate_waits,
        a_request_is_held,
        an_idle_connection_is_kept,
        a_failing_backend_is_out,
        the_watch_goes_on,
        the_old_colour_drains,
        limits_hold,
        probes_go_on,
        what_shows_a_time_follows,
    ] {
        act(&mut stage);
    }
}

#[test]
fn an_hour_forwards_changes_no_timer() {
    is_set_by(3600);
}

#[test]
fn an_hour_backwards_changes_no_timer() {
    is_set_by(-3600);
}
