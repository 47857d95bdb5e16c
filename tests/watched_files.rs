//! Files that the config names are watched, and other files in their folders cost nothing.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::support::wait::wait_within;
use crate::support::{Edge, Identity, Origin, Setup, is_there, seconds, wait_until};

/// How often two threads of the daemon have been woken: the watcher and the main thread.
fn wakes(edge: &Edge) -> (u64, u64) {
    let (mut watcher, mut main) = (None, None);
    for task in fs::read_dir(format!("/proc/{}/task", edge.pid())).unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap();
        let status = fs::read_to_string(task.join("status")).unwrap();
        let switches = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        let switches: u64 = switches.trim().parse().unwrap();
        if name.starts_with("notify") {
            watcher = Some(switches);
        } else if task.ends_with(edge.pid().to_string()) {
            main = Some(switches);
        }
    }
    (watcher.expect("a thread that watches"), main.expect("a main thread"))
}

/// What the main thread does by itself while the test works: probes, samples, sweeps.
const OWN_WAKES: u64 = 500;

fn started() -> (Origin, Edge) {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    // The daemon is ready, and has read all events of its start.
    assert_eq!(edge.get("/").status, 200);
    (origin, edge)
}

#[test]
fn reads_beside_the_config_and_a_log_that_grows_there_wake_no_thread() {
    let (_origin, edge) = started();
    let foreign = edge.path("page.html");
    fs::write(&foreign, "hello").unwrap();
    let mut log = fs::File::create(edge.path("other.log")).unwrap();
    wait_until("the watcher to be at rest", || {
        let before = wakes(&edge).0;
        // Longer than what follows from a folder that has just been watched: a look at its files, a moment later.
        std::thread::sleep(Duration::from_millis(700));
        wakes(&edge).0 == before
    });
    let before = wakes(&edge);
    for _ in 0..20_000 {
        assert_eq!(fs::read(&foreign).unwrap(), b"hello");
        log.write_all(b"a line\n").unwrap();
    }
    // The config itself is read as any other file is.
    for _ in 0..1_000 {
        fs::read(edge.path("edge.toml")).unwrap();
    }
    let after = wakes(&edge);
    assert_eq!(after.0, before.0, "the watcher was woken");
    assert!(after.1 - before.1 < OWN_WAKES, "the main thread was woken {} times", after.1 - before.1);
}

#[test]
fn other_files_that_are_written_beside_the_config_wake_the_watcher_alone() {
    let (_origin, edge) = started();
    let before = wakes(&edge).1;
    for round in 0..5_000 {
        fs::write(edge.path("other.txt"), "hello").unwrap();
        if round % 4 == 0 {
            fs::rename(edge.path("other.txt"), edge.path("moved.txt")).unwrap();
            fs::remove_file(edge.path("moved.txt")).unwrap();
        }
    }
    let woken = wakes(&edge).1 - before;
    assert!(woken < OWN_WAKES, "the main thread was woken {woken} times");
    assert!(!edge.stderr().contains("reloaded"));
}

#[test]
fn a_folder_that_was_deleted_and_made_anew_is_watched_again() {
    let (_origin, edge) = started();
    let identity = Identity::for_names(&["one.example"]);
    let folder = edge.path("certs");
    let write = |identity: &Identity| {
        fs::create_dir(&folder).unwrap();
        identity.write(&folder.join("one.pem"), &folder.join("one.key"));
    };
    write(&identity);
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    let (cert, key) = (folder.join("one.pem"), folder.join("one.key"));
    let section = format!("[[tls.certificate]]\ncert = {cert:?}\nkey = {key:?}\n");
    edge.rewrite(&format!("{text}[[site]]\nhosts = [\"one.example\"]\nservice = \"app\"\n{section}"));
    let shows = |identity: &Identity| {
        edge.hello("one.example").trusting(identity).certificate().is_ok_and(|shown| shown == identity.cert())
    };
    wait_until("the certificate", || shows(&identity));
    for is_seen_missing in [false, true] {
        let next = Identity::for_names(&["one.example"]);
        fs::remove_dir_all(&folder).unwrap();
        if is_seen_missing {
            wait_until("the folder to be missed", || edge.admin(&["status", "--json"]).stdout.contains("cannot read"));
        }
        write(&next);
        let written = Instant::now();
        wait_until("the certificate of the new folder", || shows(&next));
        assert!(written.elapsed() < Duration::from_secs(8), "found by the look that is taken every ten seconds");
    }
}

#[test]
fn a_certificate_that_is_overwritten_where_no_event_comes_from_is_seen_within_ten_seconds() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let (before, after) = (Identity::for_names(&["one.example"]), Identity::for_names(&["one.example"]));
    // As a single file that is mounted into a container: it is written to by another name, in a folder that is not watched.
    let (host, mounted) = (setup.path("host"), setup.path("mounted"));
    fs::create_dir(&host).unwrap();
    fs::create_dir(&mounted).unwrap();
    before.write(&host.join("one.pem"), &host.join("one.key"));
    for name in ["one.pem", "one.key"] {
        fs::hard_link(host.join(name), mounted.join(name)).unwrap();
    }
    let (cert, key) = (mounted.join("one.pem"), mounted.join("one.key"));
    let edge = setup
        .and(&format!("[[site]]\nhosts = [\"one.example\"]\nservice = \"app\"\n[[tls.certificate]]\ncert = {cert:?}\nkey = {key:?}"))
        .start();
    let shows = |identity: &Identity| {
        edge.hello("one.example").trusting(identity).certificate().is_ok_and(|shown| shown == identity.cert())
    };
    assert!(shows(&before));
    let written = Instant::now();
    fs::write(host.join("one.pem"), &after.cert_pem).unwrap();
    fs::write(host.join("one.key"), &after.key_pem).unwrap();
    // Other files in the watched folders change all the time meanwhile.
    wait_within(seconds(12), "the certificate", || {
        fs::write(mounted.join("other.txt"), "x").unwrap();
        fs::write(edge.path("other.txt"), "x").unwrap();
        shows(&after).then_some(())
    });
    assert!(written.elapsed() < seconds(12), "{:?}", written.elapsed());
}

#[test]
fn a_daemon_that_can_watch_nothing_looks_every_ten_seconds() {
    if !is_there("unshare") {
        return;
    }
    let (_origin, mut edge) = started();
    edge.terminate();
    // As on a machine whose inotify instances are used up.
    let script = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$0\" \"$@\"";
    edge.start_again_under(&["unshare", "--user", "--map-root-user", "sh", "-c", script]);
    edge.said("files are not watched, only looked at");
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    edge.rewrite(&format!("{text}[[site]]\nhosts = [\"two.test\"]\nservice = \"app\"\n"));
    wait_within(seconds(12), "the config", || edge.stderr().contains("site two.test added").then_some(()));
}

#[test]
fn a_secret_that_changes_reloads_the_config_and_one_that_can_not_be_used_is_said_once() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let secret = setup.path("eab");
    fs::write(&secret, "AAAA\n").unwrap();
    let edge = setup.and(&format!("[acme]\neab_kid = \"me\"\neab_hmac_key_file = \"{}\"\n", secret.display())).start();
    fs::write(&secret, "BBBB\n").unwrap();
    edge.said("acme.eab_kid or eab_hmac_key changed");
    let report = edge.admin(&["reload"]).ok().stdout;
    assert!(report.contains("eab changed") && report.contains("taken up at"), "{report}");
    let refused = || edge.stderr().matches("config NOT reloaded").count();
    fs::write(&secret, "*").unwrap();
    wait_until("the bad secret", || refused() == 1);
    // A look comes every ten seconds.
    std::thread::sleep(Duration::from_secs(11));
    assert_eq!(refused(), 1);
    fs::write(&secret, "CCCC\n").unwrap();
    wait_until("the good secret", || edge.stderr().matches("eab_hmac_key changed").count() == 2);
}
