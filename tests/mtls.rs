//! Clients that show certificates: which are let in, which are refused, and what the backend gets to know. No way leads around it.

use std::fs;

use rcgen::DnType;
use rustls::version::{TLS12, TLS13};

use crate::support::tls::Hello;
use crate::support::{Edge, Identity, Origin, Root, Setup, wait_until};

/// `one.test` and `two.test` ask for certificates of their own authorities, `maybe.test` takes what it gets, `app.test`
/// asks for none.
struct Stage {
    origin: Origin,
    setup: Option<Setup>,
    one: Root,
    two: Root,
}

impl Stage {
    fn build() -> Self {
        let origin = Origin::start("blue");
        let (one, two) = (Root::named("One CA"), Root::named("Two CA"));
        let setup = Setup::to(&origin);
        fs::write(setup.path("one.pem"), &one.pem).unwrap();
        fs::write(setup.path("two.pem"), &two.pem).unwrap();
        let site = |host: &str, ca: &str, mode: &str| {
            let ca = setup.path(ca);
            format!(
                "[[site]]\nhosts = [\"{host}\"]\nservice = \"app\"\nclient_ca = \"{}\"\nclient_auth = \"{mode}\"\n",
                ca.display()
            )
        };
        let sites = [
            site("one.test", "one.pem", "require"),
            site("uno.test", "one.pem", "require"),
            site("two.test", "two.pem", "require"),
            site("maybe.test", "one.pem", "request"),
        ];
        let setup = setup.and(&sites.concat());
        Self { origin, setup: Some(setup), one, two }
    }

    fn start(&mut self) -> Edge {
        self.setup.take().unwrap().start()
    }
}

fn gets_in(hello: &Hello) -> bool {
    hello.status(hello.host(), "/") == Some(200)
}

const FORGED: &str = "X-Client-Cert-Subject: CN=root\r\nX-Client-Cert-Issuer: CN=root\r\nx-client-cert-SHA256: 00\r\n\
                      X-Client-Cert-Serial: 1\r\nX-Client-Cert-Verified: yes\r\nX_Client_Cert_Subject: CN=root\r\n";

/// The client certificate's fields in the request that the backend got, in lower case.
fn cert_fields(origin: &Origin, path: &str) -> Vec<String> {
    let raw = origin.saw(path).head.raw.to_ascii_lowercase().replace('_', "-");
    raw.lines().filter(|line| line.starts_with("x-client")).map(str::to_owned).collect()
}

#[test]
fn a_good_certificate_is_let_in_and_the_backend_gets_its_fields() {
    let mut stage = Stage::build();
    let edge = stage.start();
    let alice = stage.one.client("alice", |params| params.serial_number = Some(vec![0x0a, 0xbc].into()));
    for version in [&TLS12, &TLS13] {
        let hello = edge.hello("one.test").version(version).showing(&alice);
        let path = format!("/alice/{version:?}").replace(['(', ')', ' '], "");
        let path = &path[..8.min(path.len())];
        let request = format!("GET {path} HTTP/1.1\r\nHost: one.test\r\n{FORGED}\r\n");
        assert_eq!(hello.ask(&request).unwrap().0.status, 200);
        let sha256 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &alice.cert());
        let sha256: String = sha256.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut fields = cert_fields(&stage.origin, path);
        fields.sort();
        assert_eq!(
            fields,
            [
                "x-client-cert-issuer: cn=one ca".to_owned(),
                "x-client-cert-serial: 0abc".to_owned(),
                format!("x-client-cert-sha256: {sha256}"),
                "x-client-cert-subject: cn=alice,o=example\\, inc.".to_owned(),
            ]
        );
    }
    let mut h2 = crate::support::h2::H2::connect(&edge.hello("one.test").showing(&alice));
    let request = h2.request("GET", "/h2").header("x-client-cert-subject", "CN=root");
    assert_eq!(h2.ask(request, b"", None).unwrap().status, 200);
    assert!(
        cert_fields(&stage.origin, "/h2").contains(&"x-client-cert-subject: cn=alice,o=example\\, inc.".to_owned())
    );
}

#[test]
fn a_client_with_a_bad_certificate_or_none_is_refused() {
    let mut stage = Stage::build();
    let edge = stage.start();
    for version in [&TLS12, &TLS13] {
        let one = || edge.hello("one.test").version(version);
        assert!(!gets_in(&one()), "none");
        assert!(!gets_in(&one().showing(&stage.two.client("bob", |_| ()))), "another site's authority");
        assert!(
            !gets_in(&one().showing(&Root::named("One CA").client("eve", |_| ()))),
            "an authority of the same name"
        );
        assert!(!gets_in(&one().showing(&Identity::for_names(&["alice"]))), "self-signed");
        let late = stage.one.client("late", |params| Identity::valid(params, -9, -1));
        assert!(!gets_in(&one().showing(&late)), "expired");
        let early = stage.one.client("early", |params| Identity::valid(params, 1, 9));
        assert!(!gets_in(&one().showing(&early)), "not yet valid");
        assert!(
            !gets_in(&one().showing(&stage.one.sign_with(&["x.test"], |params| {
                params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
            }))),
            "a server certificate"
        );
        assert!(gets_in(&one().showing(&stage.one.client("alice", |_| ()))), "the good one");
        assert!(gets_in(&edge.hello("two.test").version(version).showing(&stage.two.client("bob", |_| ()))));
    }
    assert_eq!(edge.tls("app.test").get("/").status, 200, "other sites are not affected");
}

#[test]
fn without_a_requested_certificate_the_backend_gets_no_fields() {
    let mut stage = Stage::build();
    let edge = stage.start();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: maybe.test\r\n{FORGED}\r\n");
    assert_eq!(edge.hello("maybe.test").ask(&request("/nobody")).unwrap().0.status, 200);
    assert_eq!(cert_fields(&stage.origin, "/nobody"), [""; 0]);
    let alice = stage.one.client("alice", |_| ());
    assert_eq!(edge.hello("maybe.test").showing(&alice).ask(&request("/alice")).unwrap().0.status, 200);
    assert_eq!(cert_fields(&stage.origin, "/alice").len(), 4);
    let stranger = stage.two.client("bob", |_| ());
    assert!(!gets_in(&edge.hello("maybe.test").showing(&stranger)), "a bad one is worse than none");
}

#[test]
fn a_client_can_not_claim_anothers_certificate() {
    let stage = Stage::build();
    let setup = stage.setup.unwrap().server("trusted_proxies = [\"127.0.0.0/8\"]");
    let edge = setup.start();
    let mut plain = edge.plain();
    assert_eq!(plain.ask("GET", "/plain", FORGED, "").status, 200);
    assert_eq!(edge.tls("app.test").ask("GET", "/tls", FORGED, "").status, 200);
    for path in ["/plain", "/tls"] {
        assert_eq!(cert_fields(&stage.origin, path), [""; 0], "{path}, though the peer is trusted");
    }
    let body = "Transfer-Encoding: chunked\r\nTrailer: X-Client-Cert-Subject\r\n";
    let chunks = "2\r\nhi\r\n0\r\nX-Client-Cert-Subject: CN=root\r\nX-Sum: 7\r\n\r\n";
    assert_eq!(edge.tls("app.test").ask("POST", "/trailers", body, chunks).status, 200);
    assert_eq!(cert_fields(&stage.origin, "/trailers"), [""; 0]);
    let named = edge.tls("app.test").ask("GET", "/", "Connection: X-Client-Cert-Subject\r\n", "");
    assert_eq!(named.status, 400, "nor can the client have the field removed");
}

#[test]
fn a_connection_made_for_another_site_is_refused() {
    let mut stage = Stage::build();
    let edge = stage.start();
    let alice = stage.one.client("alice", |_| ());
    for host in ["one.test", "two.test", "maybe.test"] {
        assert_eq!(edge.hello("app.test").status(host, "/"), Some(421), "{host} from a site that asks for nothing");
    }
    for host in ["two.test", "app.test", "maybe.test", "uno.test"] {
        assert_eq!(
            edge.hello("one.test").showing(&alice).status(host, "/"),
            Some(421),
            "{host} with alice's certificate"
        );
    }
    assert_eq!(
        edge.hello("maybe.test").status("one.test", "/"),
        Some(421),
        "a certificate was requested, not required"
    );
    let mut h2 = edge.h2("app.test");
    for (host, status) in [("one.test", 421), ("app.test", 200), ("two.test", 421), ("maybe.test", 421)] {
        let request = http::Request::get(format!("https://{host}/"));
        assert_eq!(h2.ask(request, b"", None).unwrap().status, status, "{host} coalesced");
    }
    let mut h2 = crate::support::h2::H2::connect(&edge.hello("one.test").showing(&alice));
    for (host, status) in [("one.test", 200), ("two.test", 421), ("uno.test", 421)] {
        let request = http::Request::get(format!("https://{host}/"));
        assert_eq!(h2.ask(request, b"", None).unwrap().status, status, "{host} coalesced, with alice's certificate");
    }
    assert_eq!(stage.origin.count("/"), 2);
}

#[test]
fn a_client_without_sni_does_not_get_around_the_rules() {
    let mut stage = Stage::build();
    let edge = stage.start();
    let alice = stage.one.client("alice", |_| ());
    let unnamed = || edge.hello(&edge.https().ip().to_string()).without_sni();
    assert_eq!(unnamed().status("app.test", "/"), Some(200), "a site without rules is served");
    for host in ["one.test", "two.test", "maybe.test"] {
        assert_eq!(unnamed().status(host, "/"), Some(421), "{host}");
        assert_eq!(
            unnamed().showing(&alice).status(host, "/"),
            Some(421),
            "{host}: alice's certificate was not asked for"
        );
    }
}

#[test]
fn without_a_tls_listener_sites_with_client_auth_refuse_every_request() {
    let stage = Stage::build();
    let edge = stage.setup.unwrap().server("https = []").start();
    for (host, status) in [("app.test", 200), ("one.test", 421), ("maybe.test", 421)] {
        let mut client = edge.plain();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n{FORGED}\r\n"));
        assert_eq!(client.answer().status, status, "{host}");
    }
    assert_eq!(cert_fields(&stage.origin, "/"), [""; 0]);
}

#[test]
fn the_rules_for_all_sites_hold_without_sni_and_a_site_can_opt_out() {
    let origin = Origin::start("blue");
    let authority = Root::named("Corporate CA");
    let setup = Setup::to(&origin);
    let ca = setup.path("ca.pem");
    fs::write(&ca, &authority.pem).unwrap();
    let edge = setup
        .and("[[site]]\nhosts = [\"open.test\"]\nservice = \"app\"\nclient_ca = \"\"\n")
        .and(&format!("[tls]\nclient_ca = \"{}\"\n", ca.display()))
        .start();
    let alice = authority.client("alice", |_| ());
    assert!(!gets_in(&edge.hello("app.test")));
    assert!(gets_in(&edge.hello("app.test").showing(&alice)));
    assert!(gets_in(&edge.hello("open.test")));
    assert_eq!(edge.plain().get("/").status, 200, "with tls = off there is no handshake");
    let unnamed = || edge.hello(&edge.https().ip().to_string()).without_sni();
    assert_eq!(unnamed().status("app.test", "/"), None);
    assert_eq!(unnamed().showing(&alice).status("app.test", "/"), Some(200));
}

#[test]
fn no_session_is_resumed_past_newer_rules() {
    let origin = Origin::start("blue");
    let (old, new) = (Root::named("Old CA"), Root::named("New CA"));
    let setup = Setup::to(&origin);
    let ca = setup.path("ca.pem");
    fs::write(&ca, &old.pem).unwrap();
    let open = setup.text();
    let shut = open.clone() + &format!("[tls]\nclient_ca = \"{}\"\n", ca.display());
    let edge = setup.start();
    let alice = old.client("alice", |_| ());
    for version in [&TLS12, &TLS13] {
        edge.rewrite(&open);
        edge.admin(&["reload"]).ok();
        fs::write(&ca, &old.pem).unwrap();
        let hello = edge.hello("app.test").version(version).resuming();
        let ask = |hello: &Hello| hello.ask("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        assert!(!ask(&hello).unwrap().1.resumed);
        assert!(ask(&hello).unwrap().1.resumed, "tickets work at all");
        let mut before = edge.hello("app.test").version(version).connect().unwrap();
        assert_eq!(before.get("/").status, 200);
        edge.admin(&["reload"]).ok();
        assert!(ask(&hello).unwrap().1.resumed, "a reload keeps sessions");
        edge.rewrite(&shut);
        edge.admin(&["reload"]).ok();
        assert!(ask(&hello).is_err(), "that session began without a certificate");
        assert_eq!(before.get("/").status, 421, "this connection began without a certificate");

        let hello = edge.hello("app.test").version(version).showing(&alice).resuming();
        assert!(!ask(&hello).unwrap().1.resumed);
        assert!(ask(&hello).unwrap().1.resumed);
        origin.saw("/");
        fs::write(&ca, &new.pem).unwrap();
        wait_until("the new authority to be taken up", || ask(&hello).is_err());
        let bob = new.client("bob", |_| ());
        assert!(gets_in(&edge.hello("app.test").version(version).showing(&bob)));
    }
}

#[test]
fn a_resumed_session_still_names_its_client() {
    let mut stage = Stage::build();
    let edge = stage.start();
    let alice = stage.one.client("alice", |params| {
        params.distinguished_name.push(DnType::OrganizationalUnitName, "a+b\r\nX-Admin: 1");
    });
    let hello = edge.hello("one.test").showing(&alice).resuming();
    let ask = |path: &str| hello.ask(&format!("GET {path} HTTP/1.1\r\nHost: one.test\r\n\r\n")).unwrap().1.resumed;
    assert!(!ask("/first"));
    assert!(ask("/second"));
    assert_eq!(cert_fields(&stage.origin, "/first"), cert_fields(&stage.origin, "/second"));
    let subject = "x-client-cert-subject: ou=a\\+b\\0d\\0ax-admin: 1,cn=alice,o=example\\, inc.";
    assert!(
        cert_fields(&stage.origin, "/second").iter().any(|line| line == subject),
        "{:?}",
        cert_fields(&stage.origin, "/second")
    );
}

#[test]
fn an_expired_certificate_ends_its_sessions() {
    let mut stage = Stage::build();
    let edge = stage.start();
    for version in [&TLS12, &TLS13] {
        assert!(gets_in(&edge.hello("maybe.test").version(version)), "a client without a certificate is not affected");
    }
    // Long enough for two handshakes on a machine that has other things to do.
    let soon = stage.one.client("soon", |params| {
        params.not_after = (std::time::SystemTime::now() + crate::support::seconds(6)).into();
    });
    let hellos = [&TLS12, &TLS13].map(|version| edge.hello("one.test").version(version).showing(&soon).resuming());
    let ask = |hello: &Hello| hello.ask("GET / HTTP/1.1\r\nHost: one.test\r\nConnection: close\r\n\r\n");
    for hello in &hellos {
        assert!(!ask(hello).unwrap().1.resumed);
    }
    for hello in &hellos {
        wait_until("the certificate to expire", || {
            ask(hello).map_or(true, |(_, shaken)| {
                assert!(shaken.resumed);
                false
            })
        });
    }
}

#[test]
fn a_missing_client_ca_shuts_its_own_sites_alone() {
    let mut stage = Stage::build();
    let setup = stage.setup.as_ref().unwrap();
    let path = setup.path("one.pem");
    fs::remove_file(&path).unwrap();
    let edge = stage.start();
    edge.said("cannot read");
    let status = || edge.admin(&["status"]).ok().stdout;
    assert!(status().contains("one.pem: No such file or directory (os error 2); its sites are SHUT"), "{}", status());
    let alice = stage.one.client("alice", |_| ());
    assert!(edge.hello("one.test").showing(&alice).connect().is_err());
    assert!(edge.hello("maybe.test").connect().is_err(), "no client is let in without being asked");
    assert!(gets_in(&edge.hello("two.test").showing(&stage.two.client("bob", |_| ()))));
    assert_eq!(edge.tls("app.test").get("/").status, 200);
    fs::write(&path, &stage.one.pem).unwrap();
    wait_until("the authority to be taken up", || gets_in(&edge.hello("one.test").showing(&alice)));
    assert!(!status().contains("one.pem"), "{}", status());
    fs::write(&path, "nonsense").unwrap();
    edge.said("the roots read before go on");
    assert!(status().contains("the roots read before go on"), "{}", status());
    let reloaded = edge.admin(&["reload", "--json"]).ok().json();
    assert!(reloaded["warnings"].to_string().contains("holds no certificate"), "{reloaded}");
    assert!(gets_in(&edge.hello("one.test").showing(&alice)));
    let check =
        std::process::Command::new(env!("CARGO_BIN_EXE_edgectl")).arg("check").arg(edge.path("edge.toml")).output();
    let said = String::from_utf8_lossy(&check.unwrap().stderr).into_owned();
    assert!(said.contains("client_ca"), "{said}");
}

#[test]
fn new_roots_are_taken_up_even_with_a_broken_config() {
    let mut stage = Stage::build();
    let edge = stage.start();
    let next = Root::named("Next CA");
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    fs::write(edge.path("one.pem"), &next.pem).unwrap();
    edge.rewrite(&format!("{text}\nnonsense"));
    assert_eq!(edge.admin(&["reload"]).code, Some(2));
    assert!(gets_in(&edge.hello("one.test").showing(&next.client("alice", |_| ()))));
}
