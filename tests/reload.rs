//! A reload takes up the new config as a whole or not at all; requests that run go on, and what is known is kept.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::edge::replace;
use crate::support::load::{echo, open_websocket};
use crate::support::setup::Place;
use crate::support::{Client, Dns, Edge, Load, Origin, Setup, Signal, Steps, Then, seconds, serves_load, wait_until};

const HEALTH: &str = "interval = \"100ms\"\nrise = 2\ntimeout = \"500ms\"";

fn origin(color: &'static str) -> Origin {
    let origin = Origin::start(color);
    serves_load(&origin, color);
    origin
}

fn setup(blue: &Origin, green: &Origin) -> Setup {
    Setup::colors(blue, green).health(HEALTH)
}

/// A plain site on a service.
fn site(host: &str, service: &str) -> String {
    format!("[[site]]\nhosts = [{host:?}]\nservice = {service:?}\ntls = \"off\"\n")
}

/// One request on a connection of its own.
fn get(edge: &Edge, host: &str) -> (u16, String) {
    let answer = Client::connect(edge.http(), host).get("/");
    (answer.status, answer.text())
}

/// Reloads with this config; returns what the daemon says has changed.
fn reload(edge: &Edge, text: &str) -> String {
    edge.rewrite(text);
    let said = edge.admin(&["reload"]).ok().stdout;
    if !said.contains("nothing changed") {
        return said;
    }
    // The file is watched too. If the watch was faster than the command, what has changed is in the log.
    let log = edge.stderr();
    let told = log.lines().rev().find(|line| line.contains("config reloaded") && !line.contains("nothing changed"));
    told.unwrap_or(&said).to_owned()
}

fn free_port(edge: &Edge) -> SocketAddr {
    TcpListener::bind((edge.http().ip(), 0)).unwrap().local_addr().unwrap()
}

#[test]
fn a_listener_comes_and_goes_under_load() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let without = setup.text();
    let edge = setup.start();
    let load = Load::start(&edge);
    let second = free_port(&edge);
    let with = without
        .replace(&format!("http = [\"{}\"]", edge.http()), &format!("http = [\"{}\", \"{second}\"]", edge.http()));
    let said = reload(&edge, &with);
    assert!(said.contains(&format!("listening on {second}")), "{said}");
    assert_eq!(Client::connect(second, "plain.test").get("/").text(), "blue");
    load.runs_on();

    let mut download = Client::connect(second, "plain.test");
    download.begin("GET", "/download", "");
    let head = download.head().unwrap();
    let (mut websocket, _) = open_websocket(second).unwrap();
    let mut idle = Client::connect(second, "plain.test");
    assert_eq!(idle.get("/").status, 200);
    let said = reload(&edge, &without);
    assert!(said.contains(&format!("no longer listening on {second}")), "{said}");
    assert!(TcpStream::connect(second).is_err(), "{second} still takes connections");
    let (body, _) = download.try_body(&head.answer_framing("GET")).expect("a download that goes on");
    assert!(body.len() > 100_000);
    echo(&mut websocket, "still here").unwrap();
    assert!(idle.closes_within(seconds(5)), "an idle connection of a listener that is gone stays");
    load.runs_on();
    load.finish();
}

#[test]
fn a_listener_can_come_and_go_many_times_without_losing_a_connection() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let without = setup.text();
    let edge = setup.start();
    let second = free_port(&edge);
    let with = without
        .replace(&format!("http = [\"{}\"]", edge.http()), &format!("http = [\"{}\", \"{second}\"]", edge.http()));
    for round in 0..5 {
        reload(&edge, &with);
        std::thread::scope(|scope| {
            // Every connection that is accepted is served, until the listener closes.
            let connecting = scope.spawn(|| {
                let mut served = 0;
                while let Ok(stream) = TcpStream::connect(second) {
                    let mut client = Client::on(stream, "plain.test");
                    client.begin("GET", "/", "Connection: close\r\n");
                    assert!(
                        client.try_answer().is_some(),
                        "round {round}: taken, {served} served before, not answered"
                    );
                    served += 1;
                }
                served
            });
            reload(&edge, &without);
            connecting.join().unwrap();
        });
    }
}

#[test]
fn a_site_is_added_under_load() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let text = setup.text();
    let edge = setup.start();
    let load = Load::start(&edge);
    assert_eq!(get(&edge, "new.test").0, 404);
    let said = reload(&edge, &(text + &site("new.test", "app")));
    assert!(said.contains("new.test"), "{said}");
    assert_eq!(get(&edge, "new.test"), (200, "blue".to_owned()));
    load.runs_on();
    load.finish();
}

#[test]
fn a_service_is_removed_and_its_requests_finish() {
    let (blue, green, old) = (origin("blue"), origin("green"), origin("old"));
    let setup = setup(&blue, &green);
    let without = setup.text();
    let with = format!("{without}[service.old]\nbackends = [{:?}]\n{}", old.backend(), site("old.test", "old"));
    let edge = Edge::start(setup.place.clone(), &with);
    let load = Load::start(&edge);
    let mut download = Client::connect(edge.http(), "old.test");
    download.begin("GET", "/download", "");
    let head = download.head().unwrap();
    let mut websocket = Client::connect(edge.http(), "old.test");
    websocket.begin("GET", "/ws", crate::support::load::UPGRADE);
    assert_eq!(websocket.head().unwrap().word(1), "101");
    let mut kept = Client::connect(edge.http(), "old.test");
    assert_eq!(kept.get("/").text(), "old");

    reload(&edge, &without);
    assert_eq!(get(&edge, "old.test").0, 404);
    assert_eq!(kept.get("/").status, 404, "a kept connection sees the new config too");
    let (body, _) = download.try_body(&head.answer_framing("GET")).expect("a download that goes on");
    assert!(body.iter().all(|byte| *byte == b'o') && body.len() > 100_000);
    echo(&mut websocket, "still here").unwrap();
    load.runs_on();
    load.finish();
}

#[test]
fn the_backends_of_a_service_are_replaced_without_a_lost_request() {
    let (blue, green, next) = (origin("blue"), origin("green"), origin("next"));
    let setup = setup(&blue, &green);
    let text = setup.text();
    let edge = setup.start();
    let load = Load::start(&edge);
    next.set_health(503);
    reload(&edge, &text.replace(blue.backend(), next.backend()));
    load.runs_on();
    assert_eq!(edge.get("/").text(), "blue", "the old one serves until the new one is healthy");
    next.set_health(200);
    wait_until("the new backend to serve", || edge.get("/").text() == "next");
    load.runs_on();
    let addresses = edge.status()["pools"][0]["backends"].clone();
    assert_eq!(addresses.as_array().unwrap().len(), 1, "{addresses}");
    load.finish();
}

#[test]
fn backends_are_replaced_by_a_name_without_a_lost_request() {
    let (blue, green, next) = (origin("blue"), origin("green"), origin("next"));
    let dns = Dns::start();
    let setup = setup(&blue, &green).server(&dns.resolvers());
    let text = setup.text();
    let edge = setup.start();
    let load = Load::start(&edge);
    let named = format!("next.test:{}", next.addr().port());
    // The name does not resolve yet.
    reload(&edge, &text.replace(blue.backend(), &named));
    load.runs_on();
    assert_eq!(edge.get("/").text(), "blue", "the old one serves until the name is known");
    dns.set("next.test", &[std::net::Ipv4Addr::LOCALHOST]);
    reload(&edge, &text.replace(blue.backend(), &named));
    wait_until("the new backend to serve", || edge.get("/").text() == "next");
    load.runs_on();
    load.finish();
}

#[test]
fn a_site_moves_to_a_new_service_without_a_lost_request() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let text = setup.text();
    let edge = setup.start();
    let load = Load::start(&edge);
    let renamed = text.replace("[service.app", "[service.web").replace("service = \"app\"", "service = \"web\"");
    reload(&edge, &renamed);
    load.runs_on();
    let flat = format!("blue = [{:?}]\ngreen = [{:?}]", blue.backend(), green.backend());
    reload(&edge, &renamed.replace(&flat, &format!("backends = [{:?}]", green.backend())));
    load.runs_on();
    assert_eq!(edge.get("/").text(), "green");
    load.finish();
}

#[test]
fn a_new_service_that_is_down_does_not_hold_the_reload_up_for_ever() {
    let (blue, green, broken) = (origin("blue"), origin("green"), origin("broken"));
    broken.set_health(503);
    let setup = setup(&blue, &green);
    let text = setup.text();
    let edge = setup.start();
    let begun = Instant::now();
    reload(&edge, &format!("{text}[service.new]\nbackends = [{:?}]\n{}", broken.backend(), site("new.test", "new")));
    assert!(begun.elapsed() < seconds(8), "{:?}", begun.elapsed());
    assert_eq!(get(&edge, "new.test").0, 503);
    assert_eq!(edge.get("/").text(), "blue");
}

#[test]
fn health_counts_and_the_active_colour_survive_a_reload() {
    let (blue, green) = (origin("blue"), origin("green"));
    let zone = "[zone.slow]\nkey = \"ip\"\nrate = \"1r/h\"\nburst = 1\n";
    let limited = "limit = [\"slow\"]\n";
    let setup = Setup::colors(&blue, &green)
        .health("interval = \"10s\"\nrise = 1\ntimeout = \"500ms\"")
        .and(zone)
        .and(&(site("limited.test", "app") + limited));
    let text = setup.text();
    let edge = setup.start();
    edge.admin(&["switch", "green"]).ok();
    let (mut websocket, _) = open_websocket(edge.http()).unwrap();
    let mut kept = Client::connect(edge.http(), "limited.test");
    let statuses = [(); 3].map(|()| kept.get("/").status);
    assert_eq!(statuses, [200, 200, 429]);

    reload(&edge, &(text + &site("new.test", "app")));
    assert_eq!(edge.get("/").text(), "green", "the active colour, healthy as it was");
    assert_eq!(kept.get("/").status, 429, "the limiter's count, on the same connection");
    let status = edge.status();
    assert_eq!(status["generation"], 2);
    let green_pool = &status["pools"][1];
    assert_eq!((&green_pool["in_flight"], &green_pool["backends"][0]["up"]), (&json!(1), &json!(true)), "{status}");
    echo(&mut websocket, "still here").unwrap();
    drop(websocket);
    wait_until("the count to fall", || edge.status()["pools"][1]["in_flight"] == 0);
}

#[test]
fn a_drain_goes_on_over_a_reload() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let text = setup.text();
    let edge = setup.start();
    let (mut websocket, _) = open_websocket(edge.http()).unwrap();
    let begun = Instant::now();
    edge.admin(&["switch", "green", "--drain", "1s", "--no-wait"]).ok();
    reload(&edge, &(text + &site("new.test", "app")));
    echo(&mut websocket, "still here").unwrap();
    assert!(websocket.closes_within(seconds(8)));
    assert!(begun.elapsed() >= seconds(1), "cut after {:?}", begun.elapsed());
}

/// Writes a config with one more site by `write`, and waits until it is served.
fn assert_taken_up(edge: &Edge, text: &str, host: &str, write: impl FnOnce(&str)) {
    assert_eq!(get(edge, host).0, 404);
    write(&(text.to_owned() + &site(host, "app")));
    wait_until(&format!("{host} to be served"), || get(edge, host).0 == 200);
}

fn started() -> (Origin, String, Edge) {
    let origin = origin("blue");
    let setup = Setup::to(&origin).health(HEALTH);
    let text = setup.text();
    (origin, text, setup.start())
}

#[test]
fn a_hangup_signal_reloads() {
    let (_origin, text, edge) = started();
    assert_taken_up(&edge, &text, "new.test", |text| {
        edge.rewrite(text);
        edge.signal(Signal::HUP);
    });
    edge.said("SIGHUP");
}

#[test]
fn a_file_written_in_place_is_taken_up() {
    let (_origin, text, edge) = started();
    assert_taken_up(&edge, &text, "new.test", |text| fs::write(edge.path("edge.toml"), text).unwrap());
    edge.said("the file changed");
}

#[test]
fn a_file_renamed_over_is_taken_up_again_and_again() {
    let (_origin, text, edge) = started();
    for host in ["one.test", "two.test", "three.test"] {
        assert_taken_up(&edge, &text, host, |text| replace(&edge.path("edge.toml"), text));
    }
}

#[test]
fn a_file_changed_under_load_is_taken_up() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let text = setup.text();
    // The access log is in the same folder, and is written all the time.
    let edge = setup.start();
    let load = Load::start(&edge);
    for host in ["one.test", "two.test"] {
        assert_taken_up(&edge, &text, host, |text| replace(&edge.path("edge.toml"), text));
    }
    load.finish();
}

#[test]
fn a_folder_swapped_by_its_symlink_is_taken_up_as_kubernetes_does_it() {
    let origin = origin("blue");
    let setup = Setup::to(&origin).health(HEALTH);
    let text = setup.text();
    let place: &Place = &setup.place;
    fs::create_dir(place.path("..v0")).unwrap();
    symlink("..v0", place.path("..data")).unwrap();
    symlink("..data/edge.toml", place.path("edge.toml")).unwrap();
    let edge = setup.start();
    assert!(edge.path("..v0/edge.toml").is_file());
    for (version, before, host) in [("..v1", "..v0", "one.test"), ("..v2", "..v1", "two.test")] {
        assert_taken_up(&edge, &text, host, |text| {
            fs::create_dir(edge.path(version)).unwrap();
            fs::write(edge.path(version).join("edge.toml"), text).unwrap();
            symlink(version, edge.path("..data_tmp")).unwrap();
            fs::rename(edge.path("..data_tmp"), edge.path("..data")).unwrap();
            fs::remove_dir_all(edge.path(before)).unwrap();
        });
    }
    assert!(!edge.stderr().contains("watch"), "nothing is wrong");
}

#[test]
fn a_watched_file_costs_nothing_while_it_does_not_change() {
    let (_origin, text, edge) = started();
    assert_taken_up(&edge, &text, "new.test", |text| edge.rewrite(text));
    let reads = || {
        let io = fs::read_to_string(format!("/proc/{}/io", edge.pid())).unwrap();
        let line = io.lines().find(|line| line.starts_with("rchar:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let size = u64::try_from(text.len()).unwrap();
    // By then the debounce of the last change is over, and the look every ten seconds is still far.
    std::thread::sleep(Duration::from_millis(500));
    let before = reads();
    std::thread::sleep(Duration::from_secs(2));
    let read = reads() - before;
    assert!(read < 3 * size + 8192, "{read} bytes read in two seconds of rest, the config has {size}");
}

#[test]
fn a_bad_config_changes_nothing() {
    let (_origin, text, edge) = started();
    let count = |result: &str| edge.metric(&format!("edge_config_reloads_total{{result=\"{result}\"}}"));
    let (good, bad) = (count("success"), count("failure"));
    let broken = text.replace("[limits]", "[limits]\nheader_timeuot = \"1s\"\nconnections = \"many\"")
        + &site("new.test", "app");
    let line = broken.lines().position(|line| line.starts_with("header_timeuot")).unwrap() + 1;
    edge.rewrite(&broken);
    let ran = edge.admin(&["reload"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for wanted in [&format!("edge.toml:{line}:1"), "^", "header_timeout", &format!("edge.toml:{}:", line + 1)] {
        assert!(ran.stderr.contains(wanted), "{wanted:?} is not in\n{}", ran.stderr);
    }
    assert_eq!((get(&edge, "new.test").0, get(&edge, "plain.test").0), (404, 200));
    assert!(count("failure") > bad);
    assert!((count("success") - good).abs() < 0.5);

    let failed = count("failure");
    edge.signal(Signal::HUP);
    wait_until("the failure to be counted", || count("failure") > failed);
    edge.said("config NOT reloaded");
    reload(&edge, &(text + &site("new.test", "app")));
    assert!(count("success") > good);
    assert_eq!(get(&edge, "new.test").0, 200);
}

#[test]
fn a_port_that_is_taken_changes_nothing() {
    let (_origin, text, edge) = started();
    let taken = TcpListener::bind((edge.http().ip(), 0)).unwrap();
    let addr = taken.local_addr().unwrap();
    let with =
        text.replace(&format!("http = [\"{}\"]", edge.http()), &format!("http = [\"{}\", \"{addr}\"]", edge.http()));
    edge.rewrite(&(with + &site("new.test", "app")));
    let ran = edge.admin(&["reload"]);
    assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
    assert!(ran.stderr.contains(&addr.to_string()), "{ran:?}");
    assert_eq!((get(&edge, "new.test").0, get(&edge, "plain.test").0), (404, 200));
}

/// A service is taken out of the config and comes back: an operation on the old one does not reach the new one.
#[test]
fn an_operation_does_not_outlive_its_service() {
    let (blue, green) = (origin("blue"), origin("green"));
    let setup = setup(&blue, &green);
    let text = setup.text();
    let without = "[[site]]\nhosts = [\"plain.test\"]\nrespond = { status = 404 }\ntls = \"off\"\n";
    let without = text[..text.find("[service.app]").unwrap()].to_owned() + without;
    let edge = setup.start();
    green.set_health(503);
    let mut steps = Steps::of(&edge, "switch", &json!({ "color": "green" }));
    steps.until("probed");
    reload(&edge, &without);
    reload(&edge, &text);
    green.set_health(200);
    let problem = steps.until("error")["problem"].clone();
    assert_eq!(problem["code"], "overtaken", "{problem}");
    let status = edge.status();
    assert_eq!((&status["active"], &status["generation"]), (&json!("blue"), &json!(1)));
    assert!(!edge.path("state/state.json").exists(), "on disk is what serves");
    edge.admin(&["switch", "green", "--no-wait"]).ok();
    assert_eq!(get(&edge, "plain.test"), (200, "green".to_owned()));
}

#[test]
fn a_change_during_a_reload_is_taken_up_next() {
    let (_origin, text, edge) = started();
    let slow = origin("slow");
    // A reload waits until the backends that it adds have answered their first probe.
    slow.on("/probe", |_, wire| {
        wire.closes_within(seconds(5));
        Then::Close
    });
    let added =
        format!("[service.slow]\nbackends = [{:?}]\n[service.slow.health]\npath = \"/probe\"\n", slow.backend());
    edge.rewrite(&(text.clone() + &site("slow.test", "slow") + &added));
    slow.saw("/probe");
    edge.rewrite(&(text + &site("next.test", "app")));
    wait_until("next.test to be served", || get(&edge, "next.test").0 == 200);
    assert_eq!(get(&edge, "slow.test").0, 404);
}

#[test]
fn an_operation_during_a_reload_holds_for_the_reloaded_service() {
    let (one, slow) = (origin("one"), origin("slow"));
    let setup = Setup::to(&one).health("path = \"/probe\"\ninterval = \"100ms\"\ntimeout = \"5s\"");
    let text = setup.text();
    let edge = setup.start();
    slow.on("/probe", |_, wire| {
        wire.closes_within(seconds(2));
        Then::Close
    });
    let pool = format!("backends = [{:?}]", one.backend());
    let colored = text.replace(&pool, &format!("blue = [{:?}]\ngreen = [{:?}]", slow.backend(), one.backend()));
    edge.rewrite(&colored);
    slow.saw("/probe");
    edge.admin(&["maintenance", "on"]).ok();
    wait_until("its colours", || edge.status()["active"] == "blue");
    assert!(!edge.status()["maintenance"].is_null());
    assert!(edge.get("/").text().contains("maintenance"));
}
