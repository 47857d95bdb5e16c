//! `acme doctor` finds out why an authority would not issue a certificate, and asks it for none.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::support::certs::{certificate, eventually, issued};
use crate::support::tools::is_there;
use crate::support::{Authority, Edge, Identity, Names, Origin, Pebble, Setup, own_address};

const SITE: &str = "[[site]]\nhosts = [\"shop.example\"]\nservice = \"app\"\n";

/// What a check has found out about a name: mark, what was found and what to do.
type Line = (String, String, String);

fn doctor(edge: &Edge, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let ports = [edge.http(), edge.https()].map(|addr| addr.port().to_string());
    let ports = ["--http-port", &ports[0], "--https-port", &ports[1], "--json"];
    let ran = edge.admin(&[&["acme", "doctor"], arguments, &ports[..]].concat());
    let found = ran.json()["findings"].as_array().unwrap_or_else(|| panic!("{ran:?}")).clone();
    (ran.code, found)
}

/// The same over the admin API.
fn ask(edge: &Edge, body: &str) -> (u16, Value) {
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let answer = edge.api().ask("POST", "/v1/acme/doctor", &fields, body);
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

/// The lines of one check of `shop.example`, or of all names.
fn lines(edge: &Edge, check: &str) -> Vec<Line> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (_, found) = doctor(edge, &["shop.example"]);
    let of_check = found.iter().filter(|finding| finding["check"] == check);
    let line =
        |f: &Value| (text(&f["mark"]), format!("{}: {}", text(&f["subject"]), text(&f["found"])), text(&f["advice"]));
    of_check.map(line).collect()
}

/// The only line of one check.
fn line(edge: &Edge, check: &str) -> Line {
    let mut lines = lines(edge, check);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn with(lines: &str) -> (Edge, Authority) {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    (setup.server(&ca.resolvers()).and(&ca.section(lines)).and(SITE).start(), ca)
}

/// With a name server that has every kind of record.
fn with_names(lines: &str) -> Option<(Edge, Authority, Names)> {
    if !is_there("pebble") || !is_there("pebble-challtestsrv") {
        assert!(std::env::var_os("CI").is_none(), "pebble is missing: apt-get install pebble");
        eprintln!("NOT TESTED: pebble is missing: apt-get install pebble");
        return None;
    }
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    let names = Names::start(setup.place.http.ip());
    Some((setup.server(&names.resolvers()).and(&ca.section(lines)).and(SITE).start(), ca, names))
}

/// Another server than the daemon, on an address of its own: it meets every connection with `meet`.
fn other_server(port: u16, meet: impl Fn(TcpStream) + Send + Sync + 'static) -> IpAddr {
    let listener = TcpListener::bind((own_address(), port)).unwrap();
    let ip = listener.local_addr().unwrap().ip();
    let meet = Arc::new(meet);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let meet = meet.clone();
            thread::spawn(move || meet(stream.unwrap()));
        }
    });
    ip
}

fn answers(port: u16, answer: &'static str) -> IpAddr {
    other_server(port, move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(answer.as_bytes());
    })
}

fn speaks_tls(port: u16, config: Arc<ServerConfig>) -> IpAddr {
    other_server(port, move |stream| {
        let mut tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream);
        let _ = tls.read(&mut [0; 1]);
    })
}

/// A listener that takes no more connections: its queue is full.
fn blackhole(port: u16) -> (IpAddr, impl Drop) {
    use socket2::{Domain, Socket, Type};
    let address = SocketAddr::from((own_address(), port));
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&address.into()).unwrap();
    listener.listen(0).unwrap();
    let queue = (0..8).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok());
    let queue: Vec<_> = queue.collect();
    (address.ip(), Held(listener, queue))
}

/// Keeps sockets open until it is dropped.
struct Held(socket2::Socket, Vec<TcpStream>);

impl Drop for Held {
    fn drop(&mut self) {
        self.1.clear();
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn at(lines: &[Line], ip: IpAddr) -> &Line {
    lines.iter().find(|line| line.1.contains(&format!("{ip}:"))).unwrap_or_else(|| panic!("{ip} is not in {lines:?}"))
}

#[test]
fn where_all_is_well_nothing_fails_and_nothing_is_changed() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let Some(ca) = Pebble::start(&setup.place) else { return };
    let edge = setup.server(&ca.resolvers()).and(&ca.section("")).and(SITE).start();
    let first = issued(&edge, "shop.example");
    for _ in 0..2 {
        let (code, found) = doctor(&edge, &["shop.example"]);
        assert_eq!(code, Some(0), "{found:?}");
        let mark = |check: &str| found.iter().find(|f| f["check"] == check).map(|f| f["mark"].clone());
        for check in ["config", "caa", "http-01", "tls-alpn-01", "cdn", "directory", "clock", "limits"] {
            assert_eq!(mark(check), Some("ok".into()), "{check}: {found:?}");
        }
        assert_eq!(mark("dns"), Some("warn".into()), "a private address for a private authority: {found:?}");
    }
    assert_eq!(issued(&edge, "shop.example"), first);
    let ports = [edge.http(), edge.https()].map(|addr| addr.port().to_string());
    let shown =
        edge.admin(&["acme", "doctor", "shop.example", "--http-port", &ports[0], "--https-port", &ports[1]]).ok();
    let tls = format!("ok       shop.example: tls-alpn-01 at {}: leads to this process\n", edge.https());
    assert!(shown.stdout.contains(&tls), "{}", shown.stdout);
}

#[test]
fn the_doctor_asks_the_authority_for_nothing() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    let file = Identity::for_names(&["shop.example"]).section(setup.place.dir(), "shop");
    let section = ca.section("").replace("email", "#email");
    let edge = setup.server(&ca.resolvers()).and(&section).and(&file).and(SITE).start();
    let (mark, found, advice) = line(&edge, "config");
    assert_eq!(
        (mark.as_str(), advice.as_str()),
        ("warn", "set email in [acme]"),
        "the site has a certificate file: {found}"
    );
    for check in ["http-01", "tls-alpn-01", "directory"] {
        assert_eq!(line(&edge, check).0, "ok", "{check}: one failed check hides no other");
    }
    assert_eq!((ca.accounts(), ca.orders().len(), ca.looked()), (0, 0, 0));
    assert!(!edge.path("state/acme/accounts").exists());
}

#[test]
fn other_servers_that_answer_http_01_are_told_apart() {
    let Some((edge, _ca, names)) = with_names("challenges = [\"http-01\"]") else { return };
    let port = edge.http().port();
    let us = edge.http().ip();
    let nginx = answers(port, "HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n");
    let away = answers(port, "HTTP/1.1 301 -\r\nLocation: https://other.example/\r\nContent-Length: 0\r\n\r\n");
    let cloud = answers(port, "HTTP/1.1 522 -\r\nServer: cloudflare\r\nCF-RAY: 1\r\nContent-Length: 0\r\n\r\n");
    let other = answers(port, "SSH-2.0-OpenSSH_9.2\r\n");
    let silent = other_server(port, |_stream| thread::park());
    let refused = IpAddr::from(own_address());
    let (full, _held) = blackhole(port);
    let all = [us, nginx, away, cloud, other, silent, refused, full];
    names.set("add-a", &json!({ "host": "shop.example.", "addresses": all }));
    let lines = lines(&edge, "http-01");
    assert_eq!(at(&lines, us).0, "ok", "{lines:?}");
    for (ip, found, advice) in [
        (nginx, "\"nginx\" answers, with 404", "another server"),
        (away, "with 301 to https://other.example/", "without a redirect"),
        (cloud, "\"cloudflare\" answers, with 522", "another server"),
        (other, "someone else answers", "another server"),
        (silent, "no answer within 5 s", "firewall"),
        (full, "no connection within 3 s", "firewall"),
        (refused, "connection refused", "nothing listens there"),
    ] {
        let line = at(&lines, ip);
        assert!(line.0 == "fail" && line.1.contains(found) && line.2.contains(advice), "{line:?}");
    }
    let (mark, found, advice) = line(&edge, "cdn");
    assert!(mark == "warn" && found.contains("Cloudflare") && advice.contains("dns-01"), "{found}");
}

#[test]
fn other_servers_that_answer_tls_alpn_01_are_told_apart() {
    let Some((edge, _ca, names)) = with_names("challenges = [\"tls-alpn-01\"]") else { return };
    issued(&edge, "shop.example");
    let port = edge.https().port();
    let identity = Identity::for_names(&["shop.example"]);
    let refuses = speaks_tls(port, identity.server_config(&[b"http/1.1"]));
    let ends = speaks_tls(port, identity.server_config(&[]));
    let plain = answers(port, "HTTP/1.1 400 Bad Request\r\n\r\n");
    let us = edge.https().ip();
    names.set("add-a", &json!({ "host": "shop.example.", "addresses": [us, refuses, ends, plain] }));
    let lines = lines(&edge, "tls-alpn-01");
    assert_eq!(at(&lines, us).0, "ok", "{lines:?}");
    for (ip, found) in
        [(refuses, "refuses acme-tls/1"), (ends, "someone else's TLS, with a certificate"), (plain, "no TLS")]
    {
        let line = at(&lines, ip);
        assert!(line.0 == "fail" && line.1.contains(found), "{line:?}");
    }
    assert_eq!(line(&edge, "cdn").0, "skipped");
}

#[test]
fn another_process_with_the_same_name_is_not_this_one() {
    let Some((edge, _ca, names)) = with_names("") else { return };
    let (other, _other_ca) = with("");
    for edge in [&edge, &other] {
        issued(edge, "shop.example");
    }
    names.set("add-a", &json!({ "host": "shop.example.", "addresses": [other.http().ip()] }));
    let ports = [other.http(), other.https()].map(|addr: SocketAddr| addr.port());
    let body = json!({ "host": "shop.example", "http_port": ports[0], "https_port": ports[1] }).to_string();
    let (_, found) = ask(&edge, &body);
    for check in ["http-01", "tls-alpn-01"] {
        let finding = found["findings"].as_array().unwrap().iter().find(|f| f["check"] == check).unwrap();
        assert_eq!(finding["mark"], "fail", "{finding}");
    }
}

#[test]
fn an_aaaa_record_that_leads_elsewhere_is_reported() {
    let Some((edge, _ca, names)) = with_names("") else { return };
    issued(&edge, "shop.example");
    names.set("add-aaaa", &json!({ "host": "shop.example.", "addresses": ["::1"] }));
    for check in ["http-01", "tls-alpn-01"] {
        let lines = lines(&edge, check);
        let v6 = lines.iter().find(|line| line.1.contains("[::1]")).unwrap();
        assert!(v6.0 == "fail" && v6.2.contains("AAAA record leads elsewhere"), "{v6:?}");
        assert!(lines.iter().any(|line| line.0 == "ok"), "{lines:?}");
    }
}

#[test]
fn caa_forbids_allows_or_fails() {
    let Some((edge, ca, names)) = with_names("") else { return };
    assert_eq!(line(&edge, "caa").0, "ok", "none");
    // A record of the parent counts for all names below it.
    let policy = |value: &str| {
        names.set("clear-caa", &json!({ "host": "example." }));
        names.set("add-caa", &json!({ "host": "example.", "policies": [{ "tag": "issue", "value": value }] }));
    };
    policy("other.example");
    let (mark, found, _) = line(&edge, "caa");
    assert!(mark == "warn" && found.contains("does not say"), "{found}");
    ca.meta("caaIdentities", json!(["small.example"]));
    let (mark, found, advice) = line(&edge, "caa");
    assert!(mark == "fail" && advice == "add to example: CAA 0 issue \"small.example\"", "{found}: {advice}");
    policy("small.example");
    assert_eq!(line(&edge, "caa").0, "ok");
    issued(&edge, "shop.example");
    policy("small.example; accounturi=https://small.example/none");
    let (mark, _, advice) = line(&edge, "caa");
    assert!(mark == "fail" && advice.contains("accounturi names another account"), "{advice}");
    names.set("set-servfail", &json!({ "host": "shop.example." }));
    let (mark, found, _) = line(&edge, "caa");
    assert!(mark == "fail" && found.contains("SERVFAIL"), "{found}");
    let (mark, found, _) = line(&edge, "dns");
    assert!(mark == "fail" && found.contains("A SERVFAIL; AAAA SERVFAIL"), "{found}");
}

#[test]
fn a_name_that_does_not_exist_is_reported() {
    let (edge, _ca) = with("");
    let (code, found) = doctor(&edge, &["nowhere.example"]);
    assert_eq!(code, Some(1));
    let of = |check: &str| found.iter().find(|f| f["check"] == check).unwrap();
    assert!(of("dns")["found"].as_str().unwrap().contains("NXDOMAIN"), "{found:?}");
    assert_eq!(of("config")["found"], "no site has this name");
    assert_eq!(of("http-01")["mark"], "skipped");
}

#[test]
fn a_wrong_clock_is_found_by_the_authoritys_clock() {
    let (edge, ca) = with("");
    assert_eq!(line(&edge, "clock").0, "skipped", "it tells no time");
    for (ahead, mark) in [(0, "ok"), (60, "warn"), (-60, "warn"), (3600, "fail")] {
        ca.ahead(ahead);
        let (found, text, _) = line(&edge, "clock");
        assert_eq!(found, mark, "{ahead}: {text}");
    }
}

#[test]
fn what_the_directory_requires_is_reported() {
    let (edge, ca) = with("");
    ca.meta("externalAccountRequired", json!(true));
    let (mark, found, advice) = line(&edge, "directory");
    assert!(mark == "fail" && found.contains("external account") && advice.contains("eab_kid"), "{found}");
    ca.mood("/directory", 1, crate::support::Instead::Nonsense(200));
    let (mark, found, _) = line(&edge, "directory");
    assert!(mark == "fail" && found.contains("not a directory"), "{found}");
    drop(ca);
    let (mark, found, _) = line(&edge, "directory");
    assert!(mark == "fail" && found.contains("refused"), "{found}");
    assert_eq!(line(&edge, "clock").0, "skipped");
}

#[test]
fn a_directory_whose_root_is_unknown_needs_a_ca_file() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    let other = Identity::for_names(&["other.example"]);
    std::fs::write(setup.path("other.pem"), &other.cert_pem).unwrap();
    let section =
        ca.section("").replace(&ca.root_file().display().to_string(), &setup.path("other.pem").display().to_string());
    let edge = setup.server(&ca.resolvers()).and(&section).and(SITE).start();
    let (mark, found, advice) = line(&edge, "directory");
    assert!(mark == "fail" && found.contains("certificate") && advice.contains("acme.ca_file"), "{found}: {advice}");
}

#[test]
fn recent_failures_and_the_wait_for_the_next_attempt_are_reported() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    ca.blind(true);
    let edge = setup.server(&ca.resolvers()).and(&ca.section("")).and(SITE).start();
    eventually("a failure", &edge, || certificate(&edge, "shop.example")["error"].as_str().map(drop));
    let (mark, found, advice) = line(&edge, "limits");
    assert!(mark == "warn" && found.contains("1 of 5 failed validations") && found.contains("saw nothing"), "{found}");
    assert!(advice.contains("certs renew"), "{advice}");
    for _ in 0..4 {
        edge.admin(&["certs", "renew", "shop.example"]);
    }
    let looked = ca.looked();
    let (mark, found, _) = line(&edge, "limits");
    assert!(mark == "fail" && found.contains("none before"), "{found}");
    assert_eq!(ca.looked(), looked, "it orders nothing");
}

#[test]
fn without_a_name_every_name_that_wants_a_certificate_is_checked() {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let ca = Authority::start(&setup.place);
    // Files could cover the wildcard, but they do not.
    let files = Identity::for_names(&["other.example"]).section(setup.place.dir(), "other");
    let sites = "[[site]]\nhosts = [\"shop.example\", \"www.shop.example\", \"*.shop.example\"]\nservice = \"app\"\n";
    let edge = setup.server(&ca.resolvers()).and(&ca.section("")).and(&files).and(sites).start();
    let (code, found) = doctor(&edge, &[]);
    assert_eq!(code, Some(1));
    let configs =
        found.iter().filter(|f| f["check"] == "config").map(|f| (f["host"].as_str().unwrap(), f["mark"].clone()));
    let configs: Vec<_> = configs.collect();
    let expected = [("shop.example", "ok"), ("www.shop.example", "ok"), ("*.shop.example", "fail")];
    assert_eq!(configs, expected.map(|(host, mark)| (host, Value::from(mark))), "app.test is no public name");
    let wild = edge.admin(&["acme", "doctor", "*.shop.example"]);
    assert!(wild.stdout.contains("a wildcard needs dns-01"), "{wild:?}");
    let nonsense = edge.admin(&["acme", "doctor", "a b"]);
    assert_eq!(nonsense.code, Some(2), "{nonsense:?}");
    let (status, problem) = ask(&edge, "{\"port\": 1}");
    assert_eq!((status, &problem["code"]), (400, &Value::from("bad_request")), "{problem}");
}

#[test]
fn a_hook_that_is_not_there_is_reported() {
    let (edge, _ca) = with("challenges = [\"dns-01\"]\ndns_hook = \"/nowhere/hook\"");
    let (mark, found, advice) = line(&edge, "hook");
    assert_eq!(mark, "fail");
    assert!(found.starts_with("dns_hook /nowhere/hook: No such file"), "{found}");
    assert!(advice.contains("acme.dns_hook"), "{advice}");
}
