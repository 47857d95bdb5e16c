//! The verification of `https` backends follows the files: a changed `tls_ca` is taken up without a command, a broken one harms
//! its own service alone, and no connection outlives the roots that it was made under.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::edge::replace;
use crate::support::{Client, Edge, Identity, Origin, Root, Setup, serves_load, wait_until};

/// No probe and no failure takes a backend out: what a request gets depends on its own connection alone.
const STEADY: &str = "fall = 1000\nmax_fails = 0";

fn identity() -> Identity {
    Identity::for_names(&["origin.test"])
}

/// Keys of a service whose backends are verified by `ca.pem`.
fn verified_by(ca: &Path) -> String {
    format!("tls_ca = \"{}\"\ntls_server_name = \"origin.test\"\nretries = 0", ca.display())
}

/// A daemon in front of one backend with TLS, which `ca` vouches for or does not.
fn start(ca: &str) -> (Identity, Origin, Setup) {
    let own = identity();
    let origin = Origin::start_tls("blue", &own);
    let setup = Setup::to(&origin).health(STEADY);
    let path = setup.path("ca.pem");
    fs::write(&path, if ca.is_empty() { &own.cert_pem } else { ca }).unwrap();
    (own, origin, setup.service(&verified_by(&path)))
}

/// The statuses of enough requests, each on a connection of its own, to reach the pool of every worker.
fn statuses(edge: &Edge) -> Vec<u16> {
    (0..16).map(|_| edge.get("/").status).collect()
}

fn all(edge: &Edge, status: u16) -> bool {
    statuses(edge).iter().all(|seen| *seen == status)
}

#[test]
fn a_changed_tls_ca_is_taken_up_without_a_command() {
    let (own, _origin, setup) = start("");
    let edge = setup.start();
    let ca = edge.path("ca.pem");
    assert!(all(&edge, 200));
    for _ in 0..2 {
        replace(&ca, &identity().cert_pem);
        // Every worker has idle connections that the old roots vouched for. None of them is used again.
        wait_until("the other roots to count", || all(&edge, 502));
        fs::write(&ca, &own.cert_pem).unwrap();
        wait_until("the right roots to count", || all(&edge, 200));
    }
    edge.said("certificates taken up");
}

#[test]
fn a_failed_verification_says_why_and_what_to_do() {
    let (_own, _origin, setup) = start("");
    let edge = setup.start();
    replace(&edge.path("ca.pem"), &identity().cert_pem);
    wait_until("the other roots to count", || all(&edge, 502));
    edge.said("BadSignature; none of the trusted roots has signed its certificate: name the right one in tls_ca");
}

#[test]
fn an_exchange_that_began_under_the_old_roots_ends_and_its_connection_with_it() {
    let (_own, origin, setup) = start("");
    let edge = setup.start();
    let mut download = edge.plain();
    serves_load(&origin, "blue");
    download.begin("GET", "/download", "");
    let head = download.head().unwrap();
    replace(&edge.path("ca.pem"), &identity().cert_pem);
    wait_until("the other roots to count", || all(&edge, 502));
    let (body, _) = download.try_body(&head.answer_framing("GET")).expect("a download that goes on");
    assert!(body.len() > 100_000);
    let served = origin.seen().len();
    assert!(all(&edge, 502), "its connection went back to the pool");
    assert_eq!(origin.seen().len(), served);
}

#[test]
fn a_broken_tls_ca_keeps_the_roots_read_before_and_is_reported() {
    let (_own, _origin, setup) = start("");
    let edge = setup.start();
    let ca = edge.path("ca.pem");
    let broken: [(&str, &str); 3] = [
        ("hello", "holds no certificate"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "can't be a root"),
        ("-----BEGIN CERTIFICATE-----\nMIIB", "cut off"),
    ];
    for (text, words) in broken {
        replace(&ca, text);
        edge.said(words);
    }
    fs::remove_file(&ca).unwrap();
    edge.said("cannot read");
    assert!(all(&edge, 200));
    let log = edge.stderr();
    let line = log.lines().find(|line| line.contains("holds no certificate")).unwrap();
    for words in ["service \"app\"", "ca.pem", "put the roots in", "the roots read before go on"] {
        assert!(line.contains(words), "{words:?} is not in {line}");
    }
    let said = edge.admin(&["reload"]).ok();
    assert!((said.stdout + &said.stderr).contains("cannot read"), "a reload warns of it");
}

#[test]
fn a_mistyped_path_keeps_the_roots_that_the_service_had() {
    let (_own, _origin, setup) = start("");
    let text = setup.text();
    let edge = setup.start();
    replace(&edge.path("edge.toml"), text.replace("ca.pem", "cq.pem"));
    edge.said("cq.pem");
    edge.said("the roots read before go on");
    assert!(all(&edge, 200));
}

#[test]
fn a_folder_that_comes_back_empty_and_is_filled_later_is_seen_at_once() {
    let own = identity();
    let origin = Origin::start_tls("blue", &own);
    let setup = Setup::to(&origin).health(STEADY);
    let folder = setup.path("roots");
    let ca = folder.join("ca.pem");
    fs::create_dir(&folder).unwrap();
    fs::write(&ca, &own.cert_pem).unwrap();
    let edge = setup.service(&verified_by(&ca)).start();
    // Each step is seen by itself: longer than changes are waited out.
    let settled = || std::thread::sleep(Duration::from_millis(1500));
    fs::remove_dir_all(&folder).unwrap();
    settled();
    fs::create_dir(&folder).unwrap();
    settled();
    fs::write(&ca, &identity().cert_pem).unwrap();
    let written = Instant::now();
    wait_until("the other roots to count", || all(&edge, 502));
    assert!(
        written.elapsed() < Duration::from_secs(5),
        "{:?}: only the look every ten seconds found it",
        written.elapsed()
    );
}

#[test]
fn no_file_of_the_config_can_hold_the_daemon_up_or_fill_its_memory() {
    let (own, _origin, setup) = start("");
    let edge = setup.start();
    let ca = edge.path("ca.pem");
    for (round, make) in [&["mkfifo"][..], &["ln", "-s", "/dev/zero"]].into_iter().enumerate() {
        fs::remove_file(&ca).unwrap();
        let made = std::process::Command::new(make[0]).args(&make[1..]).arg(&ca).status();
        assert!(made.unwrap().success());
        wait_until("the file to be looked at", || edge.stderr().matches("is no regular file").count() > round);
        assert!(all(&edge, 200), "the roots read before go on");
        assert_eq!(edge.status()["name"], "app", "the admin socket answers");
        replace(&ca, &identity().cert_pem);
        wait_until("the other roots to count", || all(&edge, 502));
        replace(&ca, &own.cert_pem);
        wait_until("the right roots to count", || all(&edge, 200));
    }
}

#[test]
fn a_tls_ca_that_is_broken_at_the_start_harms_its_own_service_alone() {
    let (own, _origin, setup) = start("hello");
    let other = Origin::start("other");
    let (service, site) =
        (format!("[service.other]\nbackends = [{:?}]", other.backend()), "[[site]]\nhosts = [\"second.test\"]");
    let setup = setup.and(&format!("{service}\n{site}\nservice = \"other\"\ntls = \"off\""));
    let text = setup.text();
    let edge = Edge::spawn(setup.place.clone(), &text);
    wait_until("the other service", || {
        std::net::TcpStream::connect(edge.http()).is_ok()
            && Client::connect(edge.http(), "second.test").get("/").status == 200
    });
    assert_eq!(edge.get("/").status, 503);
    edge.said("service \"app\": tls_ca: ");
    edge.said("UNREACHABLE until the file is good");
    let probes = edge.status()["pools"].to_string();
    assert!(probes.contains("tls_ca: ") && probes.contains("holds no certificate"), "{probes}");
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
        .arg("check")
        .arg(edge.path("edge.toml"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&check.stderr).contains("holds no certificate"), "{check:?}");
    fs::write(edge.path("ca.pem"), &own.cert_pem).unwrap();
    wait_until("the mended file to be taken up", || all(&edge, 200));
}

#[test]
fn a_tls_ca_that_also_holds_a_key_works() {
    let own = identity();
    let origin = Origin::start_tls("blue", &own);
    let setup = Setup::to(&origin);
    let ca = setup.path("ca.pem");
    fs::write(&ca, format!("{}{}", own.key_pem, own.cert_pem)).unwrap();
    let edge = setup.service(&verified_by(&ca)).start();
    assert!(all(&edge, 200));
}

#[test]
fn an_unverified_connection_is_not_used_once_backends_are_verified() {
    let (_own, _origin, setup) = start(&identity().cert_pem);
    let strict = setup.text();
    let setup = setup.service("tls_verify = false");
    let edge = setup.start();
    assert!(all(&edge, 200), "nothing is verified");
    edge.rewrite(&strict);
    wait_until("backends to be verified", || all(&edge, 502));
}

#[test]
fn a_tls_ca_that_can_not_be_used_is_said_by_check_log_status_and_metric() {
    let setup = Setup::pool(&["https://127.0.0.1:1"]);
    let ca = setup.path("backends.pem");
    let root = Root::named("Backends");
    let der = Identity { cert_pem: root.pem.clone(), key_pem: String::new() }.cert();
    fs::write(&ca, &der).unwrap();
    let edge = setup.service(&format!("tls_ca = \"{}\"", ca.display())).start();
    let unusable = || edge.metric("edge_ca_files_unusable{key=\"tls_ca\"}");
    let words = "backends.pem is DER, not PEM; convert it: openssl x509 -inform der";
    edge.said(words);
    assert_eq!(unusable(), 1.0);
    let status = edge.admin(&["status"]).ok().stdout;
    assert!(status.contains(words) && status.contains("UNREACHABLE"), "{status}");
    let check =
        std::process::Command::new(env!("CARGO_BIN_EXE_edgectl")).arg("check").arg(edge.path("edge.toml")).output();
    let check = String::from_utf8_lossy(&check.unwrap().stderr).into_owned();
    assert!(check.contains(words), "{check}");
    fs::write(&ca, Identity::for_names(&["x.test"]).key_pem).unwrap();
    edge.said("backends.pem holds a private key and no certificate");
    fs::write(&ca, &root.pem).unwrap();
    wait_until("the good file", || unusable() == 0.0);
    edge.said("backends.pem is good again");
    assert!(!edge.admin(&["status"]).ok().stdout.contains("UNREACHABLE"));
}
