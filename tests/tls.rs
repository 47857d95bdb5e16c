//! The right certificate for each name, the newest one there is, and no harm from a bad one.

use std::fs;
use std::process::{Command, Stdio};

use rustls::NamedGroup;
use rustls::version::{TLS12, TLS13};

use crate::support::edge::replace;
use crate::support::{Edge, Identity, Origin, Setup, wait_until};

const FILED: &str = "[[site]]\nhosts = [\"one.example\", \"two.example\", \"*.wild.example\"]\nservice = \"app\"\n";

fn shows(edge: &Edge, name: &str, identity: &Identity) -> bool {
    edge.hello(name).trusting(identity).certificate().is_ok_and(|shown| shown == identity.cert())
}

#[test]
fn the_name_picks_the_certificate() {
    let origin = Origin::start("blue");
    let (one, wild) = (Identity::for_names(&["one.example"]), Identity::for_names(&["*.wild.example"]));
    let setup = Setup::to(&origin);
    let dir = setup.place.dir().to_owned();
    let edge = setup.and(FILED).and(&one.section(&dir, "one")).and(&wild.section(&dir, "wild")).start();
    assert!(shows(&edge, "one.example", &one));
    assert!(shows(&edge, "ONE.example", &one));
    assert!(shows(&edge, "a.wild.example", &wild));
    assert!(!shows(&edge, "a.b.wild.example", &wild), "a wildcard is one label");
    let mut client = edge.hello("one.example").trusting(&one).connect().unwrap();
    assert_eq!(client.get("/").status, 200);
    assert_eq!(edge.tls("app.test").get("/").status, 200, "the internal CA covers the other names");
}

#[test]
fn a_new_certificate_is_taken_up_without_a_reload() {
    let origin = Origin::start("blue");
    let [first, second, third] = [(); 3].map(|()| Identity::for_names(&["one.example"]));
    let setup = Setup::to(&origin);
    let (cert, key) = (setup.path("one.pem"), setup.path("one.key"));
    let section = first.section(setup.place.dir(), "one");
    let edge = setup.and(FILED).and(&section).start();
    assert!(shows(&edge, "one.example", &first));
    let mut open = edge.hello("one.example").trusting(&first).connect().unwrap();
    assert_eq!(open.get("/").status, 200);
    second.write(&cert, &key);
    wait_until("the rewritten files to be taken up", || shows(&edge, "one.example", &second));
    replace(&key, &third.key_pem);
    replace(&cert, &third.cert_pem);
    wait_until("the renamed files to be taken up", || shows(&edge, "one.example", &third));
    assert_eq!(open.get("/").status, 200, "an open connection stays open");
    fs::write(&cert, "nonsense").unwrap();
    edge.said("certificate not taken up");
    assert!(shows(&edge, "one.example", &third), "the last good certificate is kept");
}

#[test]
fn a_certificate_behind_links_is_followed_as_kubernetes_moves_them() {
    let origin = Origin::start("blue");
    let [first, second] = [(); 2].map(|()| Identity::for_names(&["one.example"]));
    let setup = Setup::to(&origin);
    let dir = setup.place.dir().to_owned();
    for (version, identity) in [("v1", &first), ("v2", &second)] {
        fs::create_dir(dir.join(version)).unwrap();
        identity.section(&dir.join(version), "one");
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, dir.join(at)).unwrap();
    link("v1", "data");
    link("data/one.pem", "one.pem");
    link("data/one.key", "one.key");
    let section = format!("[[tls.certificate]]\ncert = {:?}\nkey = {:?}\n", dir.join("one.pem"), dir.join("one.key"));
    let edge = setup.and(FILED).and(&section).start();
    assert!(shows(&edge, "one.example", &first));
    link("v2", "data.new");
    fs::rename(dir.join("data.new"), dir.join("data")).unwrap();
    wait_until("the new target to be taken up", || shows(&edge, "one.example", &second));
}

#[test]
fn the_internal_ca_signs_for_local_names_and_addresses() {
    let origin = Origin::start("blue");
    let local =
        "[[site]]\nhosts = [\"localhost\", \"x.localhost\", \"db.internal\", \"*.dev.test\"]\nservice = \"app\"\n";
    let edge = Setup::to(&origin).and(local).start();
    let address = edge.https().ip().to_string();
    for name in ["app.test", "localhost", "x.localhost", "db.internal", "a.dev.test", &address] {
        assert_eq!(edge.tls(name).get("/").status, 200, "{name}");
    }
    let error = edge.hello("unknown.test").connect().err().unwrap().to_string();
    assert!(error.contains("UnrecognisedName"), "a name without a site has no certificate: {error}");
}

#[test]
fn the_internal_ca_outlives_the_daemon() {
    let origin = Origin::start("blue");
    let mut edge = Setup::to(&origin).start();
    let root = fs::read_to_string(edge.path("state/ca/root.pem")).unwrap();
    edge.terminate();
    edge.start_again();
    assert_eq!(fs::read_to_string(edge.path("state/ca/root.pem")).unwrap(), root);
    assert_eq!(edge.tls("app.test").get("/").status, 200);
}

#[test]
fn a_request_for_another_site_than_the_handshakes_is_misdirected() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).and("[[site]]\nhosts = [\"else.test\"]\nservice = \"app\"\n").start();
    for (host, status) in [("app.test", 200), ("other.test", 200), ("else.test", 421), ("unknown.test", 421)] {
        let mut client = edge.tls("app.test");
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.answer().status, status, "{host}");
        let mut client = edge.h2("app.test");
        let request = http::Request::get(format!("https://{host}/"));
        assert_eq!(client.ask(request, b"", None).unwrap().status, status, "{host} over h2");
    }
    let mut client = edge.plain();
    client.send("GET / HTTP/1.1\r\nHost: unknown.test\r\n\r\n");
    assert_eq!(client.answer().status, 404);
    let mut client = edge.h2("app.test");
    let disagreeing = http::Request::get("https://app.test/").header("host", "other.test");
    assert_eq!(client.ask(disagreeing, b"", None).unwrap().status, 400);
    assert_eq!(client.get("/").status, 200, "the connection goes on");
}

#[test]
fn a_key_that_cannot_be_used_harms_its_own_site_alone() {
    let origin = Origin::start("blue");
    let (one, two) = (Identity::for_names(&["one.example"]), Identity::for_names(&["two.example"]));
    let setup = Setup::to(&origin);
    let dir = setup.place.dir().to_owned();
    let sections = one.section(&dir, "one") + &two.section(&dir, "two");
    fs::write(dir.join("one.key"), &two.key_pem).unwrap();
    let edge = setup.and(FILED).and(&sections).start();
    edge.said("does not belong to the certificate");
    assert!(!shows(&edge, "one.example", &one));
    assert!(shows(&edge, "two.example", &two));
    assert_eq!(edge.tls("app.test").get("/").status, 200);
    fs::remove_file(dir.join("one.key")).unwrap();
    edge.said("cannot read");
    fs::write(dir.join("one.key"), &one.key_pem).unwrap();
    wait_until("the right key to be taken up", || shows(&edge, "one.example", &one));
}

#[test]
fn tls_1_2_and_1_3_are_spoken_unless_the_config_wants_1_3_alone() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    for (version, name) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
        let answer = edge.hello("app.test").version(version).connect().unwrap().get("/");
        assert_eq!(edge.logged(answer.id())["tls"], name);
    }
    let edge = Setup::to(&origin).and("[tls]\nmin_version = \"1.3\"\n").start();
    assert!(edge.hello("app.test").version(&TLS12).connect().is_err());
    assert_eq!(edge.hello("app.test").version(&TLS13).connect().unwrap().get("/").status, 200);
}

#[test]
fn a_name_without_a_match_gets_an_alert_or_the_default_certificate_of_a_catch_all() {
    let origin = Origin::start("blue");
    let one = Identity::for_names(&["one.example"]);
    let setup = Setup::to(&origin);
    let dir = setup.place.dir().to_owned();
    let edge = setup.and(FILED).and(&one.section(&dir, "one")).start();
    let s_client = |name: &str| {
        let args = ["s_client", "-connect", &edge.https().to_string(), "-servername", name, "-msg"];
        let output = Command::new("openssl").args(args).stdin(Stdio::null()).output().expect("openssl");
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
    };
    assert!(s_client("unknown.example").contains("fatal unrecognized_name"), "{}", s_client("unknown.example"));
    for version in [&TLS12, &TLS13] {
        let error = edge.hello("two.example").version(version).connect().err().unwrap().to_string();
        assert!(error.contains("UnrecognisedName"), "a site whose certificate is missing: {error}");
    }
    assert!(edge.metric("edge_tls_handshakes_total{version=\"\",result=\"failed\"}") >= 3.0);

    let setup = Setup::to(&origin);
    let dir = setup.place.dir().to_owned();
    let edge = setup.and("[[site]]\nhosts = [\"*\"]\nservice = \"app\"\n").and(&one.section(&dir, "one")).start();
    let args = ["s_client", "-connect", &edge.https().to_string(), "-servername", "unknown.example"];
    let output = Command::new("openssl").args(args).stdin(Stdio::null()).output().expect("openssl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(one.cert_pem.lines().nth(3).unwrap()), "the first certificate of the file: {text}");
}

#[test]
fn tls_1_3_uses_a_post_quantum_key_exchange() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let request = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
    let (answer, shaken) = edge.hello("app.test").version(&TLS13).ask(request).unwrap();
    assert_eq!((answer.status, shaken.group), (200, Some(NamedGroup::X25519MLKEM768)));
}

#[test]
fn a_session_is_resumed_across_a_reload() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    for version in [&TLS12, &TLS13] {
        let hello = edge.hello("app.test").version(version).resuming();
        let resumed = || hello.ask("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").unwrap().1.resumed;
        assert!(!resumed());
        assert!(resumed());
        edge.admin(&["reload"]).ok();
        assert!(resumed());
    }
}
