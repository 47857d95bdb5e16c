//! A reload says what it has changed, whichever way it was asked for; and the status says how the file differs from what runs.

use std::fs;

use crate::support::edge::replace;
use crate::support::{Edge, Identity, Origin, Setup, Signal, wait_until};

fn started() -> (Origin, String, Edge) {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let text = setup.text();
    (origin, text, setup.start())
}

/// Lines of the log about reloads that have changed something.
fn reloads(edge: &Edge) -> Vec<String> {
    let log = edge.stderr();
    log.lines()
        .filter(|line| line.contains("config reloaded") && !line.contains("nothing changed"))
        .map(str::to_owned)
        .collect()
}

/// What is written for a section, and what the reload has to say of it.
const KEYS: [(&str, &str, &str); 12] = [
    ("[server]\n", "trusted_proxies = [\"192.0.2.0/24\"]", "server.trusted_proxies changed"),
    ("[server]\n", "proxy_protocol = [\"192.0.2.0/24\"]", "server.proxy_protocol changed"),
    ("[server]\n", "resolvers = [\"127.0.0.1:53\"]", "server.resolvers changed"),
    ("[server]\n", "metrics_hosts = [\"a.test\"]", "server.metrics_hosts changed"),
    ("[limits]\n", "keepalive = \"1s\"", "limits.keepalive changed"),
    ("[service.app]\n", "retries = 1", "service app changed: retries"),
    ("[service.app.health]\n", "fall = 9", "service app changed: health.fall"),
    ("[service.app.switch]\n", "drain = \"1s\"", "service app changed: switch.drain"),
    ("[[site]]\n", "body_size = \"1KiB\"", "site plain.test changed: body_size"),
    ("[log]\n", "level = \"warn\"", "log.level changed: it takes effect at the next start"),
    ("[log]\n", "format = \"pretty\"", "log.format changed: it takes effect at the next start"),
    ("[log]\n", "rotate_keep = 3", "log.rotate_keep changed: it takes effect at the next start"),
];

#[test]
fn every_key_is_named_by_the_command() {
    let (_origin, text, edge) = started();
    for (section, line, said) in KEYS {
        replace(&edge.path("edge.toml"), text.replacen(section, &format!("{section}{line}\n"), 1));
        let report = edge.admin(&["reload"]).ok();
        let told = format!("{}{}", report.stdout, reloads(&edge).last().cloned().unwrap_or_default());
        assert!(told.contains(said), "{line}: {told}");
        replace(&edge.path("edge.toml"), &text);
        edge.admin(&["reload"]).ok();
    }
}

#[test]
fn every_key_is_named_in_the_log_when_the_file_changes_or_a_signal_comes() {
    let (_origin, text, edge) = started();
    for (number, (section, line, said)) in KEYS.into_iter().enumerate() {
        let before = reloads(&edge).len();
        replace(&edge.path("edge.toml"), text.replacen(section, &format!("{section}{line}\n"), 1));
        if number % 2 == 0 {
            edge.signal(Signal::HUP);
        }
        wait_until(said, || reloads(&edge).iter().skip(before).any(|line| line.contains(said)));
        // Back to where it began, so that the next line is about the next key alone.
        replace(&edge.path("edge.toml"), &text);
        wait_until("the way back", || reloads(&edge).len() > before + 1);
    }
}

#[test]
fn a_key_that_waits_for_a_restart_is_said_until_then() {
    let (_origin, text, mut edge) = started();
    edge.rewrite(&text.replace("workers = 2", "workers = 3"));
    edge.said("server.workers changed: it takes effect at the next start");
    let report = edge.admin(&["reload"]).ok();
    assert!(report.stderr.contains("server.workers still differs"), "{report:?}");
    let status = edge.admin(&["status", "--json"]).json()["config_on_disk"].clone();
    assert_eq!(status["state"], "differs", "{status}");
    assert_eq!(status["details"][0], "server.workers: it takes effect at the next start");
    assert!(edge.admin(&["status"]).stdout.contains("THE CONFIG ON DISK DIFFERS"));
    assert_eq!(on_disk(&edge), ["differs"]);
    edge.terminate();
    edge.wait();
    edge.start_again();
    assert_eq!(on_disk(&edge), ["same"]);
}

/// The states that the metric says.
fn on_disk(edge: &Edge) -> Vec<&'static str> {
    let is_so = |state: &&str| edge.metric(&format!("edge_config_on_disk{{state={state:?}}}")) > 0.0;
    ["same", "differs", "broken"].into_iter().filter(is_so).collect()
}

#[test]
fn a_broken_file_is_said_by_status_and_metrics_until_it_is_mended() {
    let (_origin, text, edge) = started();
    assert_eq!(on_disk(&edge), ["same"]);
    assert!(!edge.admin(&["status"]).ok().stdout.contains("CONFIG ON DISK"));
    let reloads = |result: &str| edge.metric(&format!("edge_config_reloads_total{{result={result:?}}}"));
    let (done, failed) = (reloads("success"), reloads("failure"));
    let taken_up = || edge.metric("edge_config_last_reload_success_timestamp_seconds");
    let at = taken_up();
    edge.rewrite(&text.replace("workers = 2", "worker = 2"));
    wait_until("the file to be broken", || on_disk(&edge) == ["broken"]);
    assert_eq!((reloads("success"), reloads("failure"), taken_up()), (done, failed + 1.0, at));
    let status = edge.admin(&["status", "--json"]).json()["config_on_disk"].clone();
    assert_eq!(status["state"], "broken");
    assert!(status["details"][0].as_str().unwrap().contains("worker"), "{status}");
    assert!(status["since"].is_string(), "{status}");
    let shown = edge.admin(&["status"]).ok().stdout;
    assert!(shown.contains("THE CONFIG ON DISK IS BROKEN") && shown.contains("edge.toml:"), "{shown}");
    fs::remove_file(edge.path("edge.toml")).unwrap();
    wait_until("a missing file to be broken", || {
        let details = edge.admin(&["status", "--json"]).json()["config_on_disk"]["details"].to_string();
        on_disk(&edge) == ["broken"] && !details.contains("worker")
    });
    edge.rewrite(&text);
    wait_until("the mended file", || on_disk(&edge) == ["same"]);
    assert_eq!(reloads("success"), done + 1.0);
}

#[test]
fn a_file_that_is_valid_and_can_not_be_taken_up_differs() {
    let (_origin, text, edge) = started();
    let held = std::net::TcpListener::bind((edge.http().ip(), 0)).unwrap();
    let more = format!("https = [\"{}\", \"{}\"]", edge.https(), held.local_addr().unwrap());
    edge.rewrite(&text.replace(&format!("https = [\"{}\"]", edge.https()), &more));
    wait_until("the file to differ", || on_disk(&edge) == ["differs"]);
    let shown = edge.admin(&["status"]).ok().stdout;
    assert!(shown.contains("in use by"), "{shown}");
}

#[test]
fn top_says_that_the_file_is_broken() {
    let (_origin, text, edge) = started();
    edge.rewrite(&text.replace("workers = 2", "worker = 2"));
    wait_until("the file to be broken", || on_disk(&edge) == ["broken"]);
    crate::support::Terminal::run(&edge.command(&["top"])).shows(&["CONFIG ON DISK IS BROKEN"]);
}

/// A daemon with a certificate from files.
fn with_certificate() -> (Origin, Edge, Identity) {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let identity = Identity::for_names(&["one.example"]);
    let (cert, key) = (setup.path("one.pem"), setup.path("one.key"));
    identity.write(&cert, &key);
    let site = "[[site]]\nhosts = [\"one.example\"]\nservice = \"app\"\n";
    let (cert, key) = (cert.display(), key.display());
    let section = format!("[[tls.certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    let edge = setup.and(site).and(&section).start();
    (origin, edge, identity)
}

#[test]
fn a_damaged_certificate_is_one_line_in_the_log() {
    let (_origin, edge, identity) = with_certificate();
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    let said = || edge.stderr().lines().filter(|line| line.contains("taken up")).map(str::to_owned).collect::<Vec<_>>();
    replace(&edge.path("one.pem"), "hello");
    edge.said("certificate not taken up");
    // A reload comes after all that is said of the damage.
    edge.rewrite(&format!("{text}# a comment\n"));
    edge.said("config reloaded");
    let lines = said();
    assert!(lines.len() == 1 && lines[0].contains("not taken up"), "{lines:#?}");
    identity.write(&edge.path("one.pem"), &edge.path("one.key"));
    let next = Identity::for_names(&["one.example"]);
    next.write(&edge.path("one.pem"), &edge.path("one.key"));
    edge.said("certificates taken up");
    assert_eq!(said().len(), 2, "{:#?}", said());
}

#[test]
fn a_reload_names_the_files_that_changed_and_what_is_wrong_with_them() {
    let (_origin, edge, _identity) = with_certificate();
    let path = edge.path("one.pem");
    fs::write(&path, "hello").unwrap();
    let report = edge.admin(&["reload"]).ok();
    let told = format!("{}{}", report.stdout, report.stderr);
    assert!(told.contains("holds no certificate"), "{told}");
    // Unless the watch was faster.
    let is_named = told.contains(&format!("file {} changed", path.display()));
    assert!(is_named || edge.stderr().contains("certificate not taken up"), "{told}");
}
