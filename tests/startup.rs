//! The daemon starts, or says why it can not and what is in the way. When it stops, it lets what runs finish.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::support::{Edge, Origin, PATIENCE, Setup, Signal, Then, seconds, wait_until};

#[test]
fn a_bad_config_ends_with_2_and_every_mistake() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin).limits("heder_timeout = \"1s\"").service("retries = 99\nballance = \"x\"");
    let ran = Edge::run_to_end(&setup.place, &setup.text());
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["heder_timeout", "header_timeout", "retries", "ballance", "balance", "edge.toml"] {
        assert!(ran.stderr.contains(told), "{told} is missing:\n{}", ran.stderr);
    }
}

#[test]
fn a_missing_config_ends_with_2() {
    let setup = Setup::pool(&["127.0.0.1:1"]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"));
    let ran = crate::support::edge::run(command.args(["serve", "--config"]).arg(setup.path("none.toml")));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("none.toml"), "{}", ran.stderr);
}

#[test]
fn a_port_that_is_taken_is_reported_with_its_holder() {
    let setup = Setup::pool(&["127.0.0.1:1"]);
    let _held = TcpListener::bind(setup.place.https).unwrap();
    let ran = Edge::run_to_end(&setup.place, &setup.text());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for told in [&setup.place.https.to_string(), "in use by", &format!("pid {}", std::process::id())] {
        assert!(ran.stderr.contains(told), "{told} is missing:\n{}", ran.stderr);
    }
}

#[test]
fn a_damaged_state_file_is_kept_aside_and_the_initial_color_serves() {
    let (blue, green) = (Origin::start("blue"), Origin::start("green"));
    let setup = Setup::colors(&blue, &green).service("initial = \"green\"");
    fs::create_dir(setup.path("state")).unwrap();
    fs::write(setup.path("state/state.json"), "{\"version\":1,\"serv").unwrap();
    let edge = setup.start();
    assert_eq!(edge.get("/").text(), "green");
    assert!(edge.stderr().contains("STATE FILE IS DAMAGED"), "{}", edge.stderr());
    let aside = fs::read_dir(edge.path("state")).unwrap().flatten();
    let aside: Vec<_> = aside.filter(|entry| entry.file_name().to_string_lossy().contains("damaged")).collect();
    assert_eq!(fs::read_to_string(aside[0].path()).unwrap(), "{\"version\":1,\"serv");
}

#[test]
fn a_state_dir_that_can_not_be_used_is_reported_with_the_file() {
    for file in ["state.json", "history.jsonl", "token.key", "lock"] {
        let setup = Setup::pool(&["127.0.0.1:1"]);
        fs::create_dir_all(setup.path("state").join(file)).unwrap();
        let ran = Edge::run_to_end(&setup.place, &setup.text());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("state/{file}: ")), "{}", ran.stderr);
    }
}

#[test]
fn an_admin_socket_left_by_a_dead_process_is_replaced() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    drop(UnixListener::bind(setup.path("admin.sock")).unwrap());
    let edge = setup.start();
    assert_eq!(edge.get("/").status, 200);
    let status = edge.admin(&["status"]);
    assert_eq!(status.code, Some(0), "{}", status.stderr);
    assert!(status.stdout.contains(origin.backend()), "{}", status.stdout);
    let mode = fs::metadata(edge.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn an_admin_socket_that_is_removed_comes_back_with_the_next_reload() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    fs::remove_file(edge.path("admin.sock")).unwrap();
    assert_eq!(edge.admin(&["status"]).code, Some(3));
    edge.signal(Signal::HUP);
    wait_until("the admin socket", || edge.admin(&["status"]).code == Some(0));
    let mode = fs::metadata(edge.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn an_admin_socket_that_another_process_answers_on_is_refused() {
    let setup = Setup::pool(&["127.0.0.1:1"]);
    let _live = UnixListener::bind(setup.path("admin.sock")).unwrap();
    let ran = Edge::run_to_end(&setup.place, &setup.text());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("admin.sock") && ran.stderr.contains("another process"), "{}", ran.stderr);
}

#[test]
fn a_second_daemon_on_one_state_dir_is_refused_and_the_first_serves_on() {
    let origin = Origin::start("blue");
    let first = Setup::to(&origin).start();
    let state_dir = format!("state_dir = {:?}", first.path("state"));
    let second = Setup::to(&origin).server(&state_dir);
    let ran = Edge::run_to_end(&second.place, &second.text());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("state_dir") && ran.stderr.contains("another edgectl"), "{}", ran.stderr);
    assert_eq!(first.get("/").status, 200);
}

#[test]
fn the_state_dir_is_private() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let mode = |name: &str| fs::metadata(edge.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/ca/root.key")), (0o700, 0o600));
}

/// A backend that answers `/slow` after `pause`.
fn slow(pause: Duration) -> Origin {
    let origin = Origin::start("blue");
    origin.on("/slow", move |_, wire| {
        std::thread::sleep(pause);
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        Then::Keep
    });
    origin
}

#[test]
fn on_sigterm_running_requests_finish_and_no_new_connection_is_taken() {
    let origin = slow(seconds(2));
    let mut edge = Setup::to(&origin).server("shutdown_timeout = \"10s\"").start();
    let mut running = edge.plain();
    running.begin("GET", "/slow", "");
    let mut over_h2 = edge.h2("app.test");
    let (answer, _) = over_h2.begin(over_h2.request("GET", "/slow"), true).unwrap();
    let mut idle = edge.plain();
    assert_eq!(idle.get("/").status, 200);
    wait_until("both to run", || origin.count("/slow") == 2);
    edge.terminate();
    wait_until("/readyz to say so", || edge.ready() == Some(503));
    let told = Instant::now();
    // A SYN that meets the socket while it closes is dropped without an answer; the kernel sends it again a second later.
    let refuses = |addr| std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200)).is_err();
    wait_until("the listeners to close", || refuses(edge.http()));
    wait_until("all of them", || refuses(edge.https()));
    assert!(told.elapsed() < seconds(1), "closed only after {:?}", told.elapsed());
    assert!(idle.closes_within(seconds(1)), "idle connections close at once");
    assert!(edge.try_wait().is_none(), "it waits for what runs");
    assert_eq!(running.answer().text(), "done");
    assert_eq!(over_h2.finish(answer).unwrap().text(), "done");
    assert_eq!(edge.wait().code(), Some(0));
    assert!(!edge.path("admin.sock").exists());
    assert_eq!(edge.logged_path("/slow")["status"], 200, "the log is on disk");
}

#[test]
fn shutdown_timeout_cuts_what_does_not_finish() {
    let origin = slow(PATIENCE);
    let mut edge = Setup::to(&origin).server("shutdown_timeout = \"500ms\"").start();
    let mut running = edge.plain();
    running.begin("GET", "/slow", "");
    wait_until("it to run", || origin.count("/slow") == 1);
    let started = Instant::now();
    edge.signal(Signal::INT);
    assert_eq!(edge.wait().code(), Some(0));
    assert!((400..3000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert!(running.try_answer().is_none());
    assert!(edge.stderr().contains("shutdown_timeout has passed"), "{}", edge.stderr());
}

#[test]
fn sigterm_does_not_wait_for_a_reload() {
    let (origin, slow) = (Origin::start("blue"), Origin::start("slow"));
    // A reload waits until the backends that it adds have answered their first probe.
    slow.on("/probe", |_, wire| {
        wire.closes_within(PATIENCE);
        Then::Close
    });
    let setup = Setup::to(&origin);
    let added = format!(
        "[service.slow]\nbackends = [{:?}]\n[service.slow.health]\npath = \"/probe\"\ntimeout = \"30s\"\ninterval = \"30s\"\n",
        slow.backend()
    );
    let site = "[[site]]\nhosts = [\"slow.test\"]\nservice = \"slow\"\ntls = \"off\"\n";
    let text = setup.text() + &added + site;
    let mut edge = setup.start();
    edge.rewrite(&text);
    slow.saw("/probe");
    edge.terminate();
    assert_eq!(edge.wait().code(), Some(0));
    let log = edge.stderr();
    assert!(log.contains("stopped") && !log.contains("config reloaded"), "{log}");
}

#[test]
fn a_stop_removes_no_socket_but_the_daemons_own() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let text = setup.text();
    let mut edge = setup.start();
    let others = edge.path("others.sock");
    let _other = UnixListener::bind(&others).unwrap();
    edge.rewrite(&text.replace("admin.sock", "others.sock"));
    let said = edge.admin(&["reload"]).ok();
    assert!(format!("{}{}", said.stdout, said.stderr).contains("next start"), "{said:?}");
    edge.terminate();
    assert_eq!(edge.wait().code(), Some(0));
    assert!(others.exists() && !edge.path("admin.sock").exists());
}

#[test]
fn the_daemon_can_start_again_right_after_its_end() {
    let origin = Origin::start("blue");
    let mut edge = Setup::to(&origin).start();
    let _open = edge.plain().get("/");
    edge.kill();
    edge.start_again();
    assert_eq!(edge.get("/").status, 200);
}
