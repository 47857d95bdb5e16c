use std::sync::Arc;

use http::Request;

use super::*;
use crate::types::TlsVersion;

const CONFIG: &str = r#"
[server]
https = ["127.0.0.1:8443"]
trusted_proxies = ["192.0.2.0/24"]
[limits]
body_size = "1KiB"
[[site]]
hosts = ["app.test", "www.app.test"]
canonical_host = "app.test"
service = "app"
[[site.route]]
path = "/admin/"
deny = ["198.51.100.1"]
service = "app"
[[site.route]]
path = "/old/"
redirect = { to = "/new/", status = 301 }
[[site.route]]
path = "/large/"
body_size = "2KiB"
service = "app"
[[site]]
hosts = ["plain.test"]
tls = "off"
respond = { status = 200, body = "hello" }
[service.app]
blue = ["127.0.0.1:1"]
green = ["127.0.0.1:2"]
"#;

fn snapshot() -> Snapshot {
    Snapshot::of_text(CONFIG)
}

/// A client that has come over TLS and asked for `sni`.
fn over_tls(sni: Option<&str>) -> Peer {
    Peer {
        ip: [203, 0, 113, 9].into(),
        tls: true,
        tls_version: Some(TlsVersion::V1_3),
        sni: sni.map(Into::into),
        proof: None,
        client_cert: None,
        port: 8443,
    }
}

fn over_plain() -> Peer {
    Peer { tls: false, tls_version: None, port: 80, ..over_tls(None) }
}

fn get(uri: &str, host: &str) -> Parts {
    head(Request::get(uri).header("host", host))
}

fn head(build: http::request::Builder) -> Parts {
    build.body(()).unwrap().into_parts().0
}

fn verdict(head: &Parts, peer: &Peer) -> RequestVerdict {
    decide(&snapshot(), head, peer).verdict
}

fn refuses(failure: Failure) -> RequestVerdict {
    RequestVerdict::Refuse(failure)
}

fn redirects(to: &str) -> RequestVerdict {
    RequestVerdict::Redirect(to.to_owned())
}

#[test]
fn a_known_host_passes_and_its_route_is_found() {
    let snapshot = snapshot();
    for (path, label) in [("/", "/"), ("/admin/x", "/admin/"), ("/%61dmin/x", "/admin/"), ("/administer", "/")] {
        let head = get(path, "app.test");
        let decision = decide(&snapshot, &head, &over_tls(Some("app.test")));
        assert_eq!(decision.verdict, RequestVerdict::Pass, "{path}");
        assert_eq!((&*decision.route.site, &*decision.route.label), ("app.test", label), "{path}");
    }
}

#[test]
fn an_unknown_host_is_misdirected_on_tls_and_not_found_on_plain() {
    assert_eq!(verdict(&get("/", "other.test"), &over_tls(None)), refuses(Failure::Misdirected));
    assert_eq!(verdict(&get("/", "other.test"), &over_plain()), refuses(Failure::NoSite));
    let snapshot = snapshot();
    let head = get("/", "other.test");
    assert!(Arc::ptr_eq(decide(&snapshot, &head, &over_plain()).route, &snapshot.stray));
}

#[test]
fn the_name_of_the_handshake_and_the_host_belong_to_one_site() {
    let host = get("/", "app.test");
    assert_eq!(verdict(&host, &over_tls(Some("www.app.test"))), RequestVerdict::Pass, "the same site");
    assert_eq!(verdict(&host, &over_tls(None)), RequestVerdict::Pass, "none was sent");
    assert_eq!(verdict(&host, &over_tls(Some("plain.test"))), refuses(Failure::Misdirected));
    assert_eq!(verdict(&host, &over_tls(Some("other.test"))), refuses(Failure::Misdirected));
}

#[test]
fn plain_requests_go_to_tls_unless_the_site_has_none() {
    assert_eq!(verdict(&get("/x?y", "app.test:80"), &over_plain()), redirects("https://app.test:8443/x?y"));
    assert_eq!(verdict(&get("/", "plain.test"), &over_plain()), RequestVerdict::Pass);
    assert_eq!(verdict(&get("/", "plain.test"), &over_tls(None)), refuses(Failure::Misdirected));
    // Where nothing listens for TLS, plain serves every site.
    let no_tls = Snapshot::of_text(&CONFIG.replace("[\"127.0.0.1:8443\"]", "[]"));
    assert_eq!(decide(&no_tls, &get("/", "app.test"), &over_plain()).verdict, RequestVerdict::Pass);
}

#[test]
fn other_hosts_go_to_the_canonical_one_whatever_their_path() {
    let peer = over_tls(Some("www.app.test"));
    assert_eq!(verdict(&get("/admin/", "www.app.test:8443"), &peer), redirects("https://app.test:8443/admin/"));
    assert_eq!(verdict(&get("/", "app.test"), &peer), RequestVerdict::Pass);
}

#[test]
fn a_redirect_carries_the_rest_of_the_path() {
    let peer = over_tls(None);
    assert_eq!(verdict(&get("/old/a%20b?x", "app.test"), &peer), redirects("/new/a%20b?x"));
    assert_eq!(verdict(&get("/old/../old/a", "app.test"), &peer), redirects("/new/a"));
}

#[test]
fn paths_that_can_not_be_understood_are_refused() {
    for path in ["/%", "/%zz", "/a%00", "/../x"] {
        assert_eq!(verdict(&get(path, "app.test"), &over_tls(None)), refuses(Failure::BadPath), "{path}");
    }
}

#[test]
fn some_methods_are_never_served() {
    for (method, served) in [("TRACE", false), ("CONNECT", false), ("PUT", true), ("PURGE", true)] {
        let head = head(Request::builder().method(method).uri("/").header("host", "app.test"));
        let passes = verdict(&head, &over_tls(None)) == RequestVerdict::Pass;
        assert_eq!(passes, served, "{method}");
    }
}

#[test]
fn an_address_is_denied_by_its_route() {
    let denied = Peer { ip: [198, 51, 100, 1].into(), ..over_tls(None) };
    assert_eq!(verdict(&get("/admin/", "app.test"), &denied), refuses(Failure::Denied));
    assert_eq!(verdict(&get("/", "app.test"), &denied), RequestVerdict::Pass);
}

#[test]
fn a_trusted_peer_speaks_for_its_client_and_no_other_does() {
    let snapshot = snapshot();
    let head = head(Request::get("/admin/").header("host", "app.test").header("x-forwarded-for", "198.51.100.1"));
    let trusted = Peer { ip: [192, 0, 2, 7].into(), ..over_tls(None) };
    let decision = decide(&snapshot, &head, &trusted);
    assert_eq!((decision.client.is_trusted, decision.client.ip), (true, [198, 51, 100, 1].into()));
    assert_eq!(decision.verdict, refuses(Failure::Denied));
    let decision = decide(&snapshot, &head, &over_tls(None));
    assert_eq!((decision.client.is_trusted, decision.client.ip), (false, [203, 0, 113, 9].into()));
    assert_eq!(decision.verdict, RequestVerdict::Pass);
}

#[test]
fn an_announced_length_is_bounded_by_its_route() {
    let post = |path: &str, length: &str| {
        let head = head(Request::post(path).header("host", "app.test").header("content-length", length));
        verdict(&head, &over_tls(None))
    };
    assert_eq!(post("/", "1024"), RequestVerdict::Pass);
    assert_eq!(post("/", "1025"), refuses(Failure::BodyTooLarge));
    assert_eq!(post("/large/", "2048"), RequestVerdict::Pass);
    assert_eq!(post("/large/", "2049"), refuses(Failure::BodyTooLarge));
    assert_eq!(post("/", "none"), RequestVerdict::Pass, "the scan has judged it");
    for no_length in ["none", "", "+1", "-1", "1, 1", "0x1"] {
        let post = Request::post("https://app.test/").version(Version::HTTP_2).header("content-length", no_length);
        assert_eq!(verdict(&head(post), &over_tls(None)), refuses(Failure::BadFraming), "{no_length:?}");
    }
}

#[test]
fn the_handshake_must_have_asked_for_what_the_site_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let text = CONFIG.replacen("canonical_host", &format!("client_ca = \"{}\"\ncanonical_host", path.display()), 1);
    let root = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        let mut params = rcgen::CertificateParams::default();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), key);
        (root, params.signed_by(&rcgen::KeyPair::generate().unwrap(), &issuer).unwrap())
    };
    let ((first, leaf), (second, _)) = (root(), root());
    let written = |roots: &[&String]| {
        std::fs::write(&path, roots.iter().map(|root| root.as_str()).collect::<String>()).unwrap();
        Snapshot::of_text(&text)
    };
    let (before, kept, taken) = (written(&[&first]), written(&[&second, &first]), written(&[&second]));
    let clients = before.sites.iter().find_map(|site| site.clients.as_ref()).unwrap();
    let chain = [leaf.der().clone()];
    let proof = || Some(Box::new(crate::trust::ClientProof::new(clients.roots.clone().unwrap(), &chain)));
    let head = get("/", "app.test");
    let shown = |sni| Peer { proof: proof(), ..over_tls(sni) };
    let verdict = |snapshot: &Snapshot, peer: &Peer| decide(snapshot, &head, peer).verdict;
    assert_eq!(verdict(&before, &over_tls(None)), refuses(Failure::Misdirected), "it may serve others");
    let asked_nothing = over_tls(Some("app.test"));
    assert_eq!(verdict(&before, &asked_nothing), refuses(Failure::ClientRulesChanged), "as of late");
    for sni in [None, Some("app.test")] {
        assert_eq!(verdict(&before, &shown(sni)), RequestVerdict::Pass);
        assert_eq!(verdict(&kept, &shown(sni)), RequestVerdict::Pass, "its root is still there");
        assert_eq!(verdict(&taken, &shown(sni)), refuses(Failure::ClientRulesChanged));
    }
    let same = shown(None);
    for (snapshot, passes) in [(&taken, false), (&kept, true), (&taken, false), (&before, true)] {
        assert_eq!(verdict(snapshot, &same) == RequestVerdict::Pass, passes, "each verdict is about its own roots");
        assert_eq!(same.still_fits(snapshot, "app.test"), passes);
    }
    std::fs::write(&path, "nonsense").unwrap();
    assert_eq!(verdict(&Snapshot::of_text(&text), &same), refuses(Failure::ClientRulesChanged), "shut");
}

#[test]
fn only_chunked_alone_frames_a_body() {
    let with = |value: &str| head(Request::builder().uri("/").header("transfer-encoding", value));
    assert!(check_framing(&with("chunked")).is_ok());
    for bad in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", ""] {
        assert_eq!(check_framing(&with(bad)), Err(Failure::BadFraming), "{bad}");
    }
    let old = head(Request::builder().version(Version::HTTP_10).uri("/").header("transfer-encoding", "chunked"));
    assert_eq!(check_framing(&old), Err(Failure::BadFraming), "RFC 9112, 6.1: HTTP/1.0 knows none");
    let twice =
        head(Request::builder().uri("/").header("transfer-encoding", "chunked").header("transfer-encoding", "chunked"));
    assert_eq!(check_framing(&twice), Err(Failure::BadFraming));
    let both = head(Request::builder().uri("/").header("transfer-encoding", "chunked").header("content-length", "3"));
    assert_eq!(check_framing(&both), Err(Failure::BadFraming));
}

#[test]
fn a_trusted_proxy_that_has_terminated_tls_is_not_redirected_again() {
    let proxy = Peer { ip: [192, 0, 2, 7].into(), ..over_plain() };
    let claim = |name: &str, value: &str| head(Request::get("/").header("host", "app.test").header(name, value));
    for (name, value) in [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-proto", "HTTPS, http"),
        ("x-forwarded-proto", "wss"),
        ("forwarded", "for=198.51.100.1;proto=https"),
    ] {
        assert_eq!(verdict(&claim(name, value), &proxy), RequestVerdict::Pass, "{name}: {value}");
        assert_eq!(verdict(&claim(name, value), &over_plain()), redirects("https://app.test:8443/"), "untrusted");
    }
    for value in ["http", "gopher"] {
        assert_eq!(verdict(&claim("x-forwarded-proto", value), &proxy), redirects("https://app.test:8443/"), "{value}");
    }
    let www = head(Request::get("/a").header("host", "www.app.test").header("x-forwarded-proto", "https"));
    assert_eq!(verdict(&www, &proxy), redirects("https://app.test/a"), "to the canonical host, over TLS");
}

#[test]
fn an_asterisk_is_for_options_and_an_authority_for_connect() {
    for (method, target, refused) in [
        (Method::OPTIONS, "*", false),
        (Method::GET, "*", true),
        (Method::POST, "*", true),
        (Method::GET, "app.test", true),
        (Method::GET, "app.test:8443", true),
        (Method::GET, "https://app.test/", false),
    ] {
        let head = head(Request::builder().method(method.clone()).uri(target).header("host", "app.test"));
        let is_refused = verdict(&head, &over_tls(None)) == refuses(Failure::BadRequest);
        assert_eq!(is_refused, refused, "{method} {target}");
    }
}

#[test]
fn a_path_whose_readings_lead_to_different_routes_is_refused() {
    for (path, expected) in [
        ("/large%2Fx", refuses(Failure::BadPath)),
        ("/large;x", refuses(Failure::BadPath)),
        ("/x/..%2flarge/", refuses(Failure::BadPath)),
        ("/large/x%2Fy;z", RequestVerdict::Pass),
        ("/x%2Fy", RequestVerdict::Pass),
    ] {
        assert_eq!(verdict(&get(path, "app.test"), &over_tls(None)), expected, "{path}");
    }
}

#[test]
fn http_2_may_have_as_many_fields_as_http_1_and_its_cookies_are_one() {
    let with = |fields: usize, cookies: usize| {
        let mut request = Request::get("https://app.test/").version(Version::HTTP_2);
        for number in 0..fields {
            request = request.header(format!("x-{number}"), "1");
        }
        for _ in 0..cookies {
            request = request.header("cookie", "a=b");
        }
        verdict(&head(request), &over_tls(None))
    };
    let most = snapshot().config.limits.headers;
    for (fields, cookies, passes) in [
        (most, 0, true),
        (most + 1, 0, false),
        (most - 1, 1, true),
        (most - 1, 50, true),
        (most, 1, false),
        (most, 50, false),
    ] {
        let expected = if passes { RequestVerdict::Pass } else { refuses(Failure::HeadTooLarge) };
        assert_eq!(with(fields, cookies), expected, "{fields} fields, {cookies} cookies");
    }
}
