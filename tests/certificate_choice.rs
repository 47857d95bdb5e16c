//! Several certificates for one name: each client is shown one that it can verify, and one that is never shown is warned of.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::{CertificateParams, CustomExtension, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{Edge, Identity, Origin, Root, Setup, is_there, wait_until};

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";

/// A key with an RSA key instead of an EC one.
fn rsa(root: &Root, names: &[&str]) -> Identity {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    root.sign_key(names, &key, |_| ())
}

fn site(hosts: &[&str]) -> String {
    format!("[[site]]\nhosts = {hosts:?}\nservice = \"app\"\n")
}

/// A daemon with a root, sites for `hosts`, and these pairs in this order: `0.pem`, `1.pem`, ...
fn start(origin: &Origin, root: &Root, hosts: &[&str], pairs: &[Identity]) -> Edge {
    let setup = Setup::to(origin);
    fs::write(setup.path("root.pem"), &root.pem).unwrap();
    let dir = setup.place.dir().to_owned();
    let sections = pairs.iter().enumerate().map(|(number, pair)| pair.section(&dir, &number.to_string()));
    let text = site(hosts) + &sections.collect::<String>();
    setup.and(&text).start()
}

/// What openssl is shown: the type of the key; `None`: no handshake.
fn shown(edge: &Edge, arguments: &[&str]) -> Option<String> {
    let run = Command::new("openssl")
        .args(["s_client", "-connect", &edge.https().to_string()])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let (_, pem) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (pem, _) = pem.split_once("-----END CERTIFICATE-----")?;
    let pem = format!("-----BEGIN CERTIFICATE-----{pem}-----END CERTIFICATE-----\n");
    let der = Identity { cert_pem: pem, key_pem: String::new() }.cert();
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    Some(certificate.public_key().algorithm.algorithm.to_id_string())
}

/// How clients limit what they can verify, and what they are to be shown.
const CLIENTS: [(&[&str], &str); 8] = [
    (&[], EC),
    (&["-tls1_2"], EC),
    (&["-sigalgs", "RSA-PSS+SHA256:ECDSA+SHA256"], EC),
    (&["-sigalgs", "ECDSA+SHA256"], EC),
    (&["-sigalgs", "RSA-PSS+SHA256"], RSA),
    (&["-tls1_2", "-sigalgs", "RSA+SHA256"], RSA),
    (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"], RSA),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], EC),
];

#[test]
fn each_client_is_shown_what_it_can_verify_whichever_is_written_first() {
    if !is_there("openssl") {
        return;
    }
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let (ec, rsa) = (root.sign(&["a.example"]), rsa(&root, &["a.example"]));
    for pairs in [[rsa.clone(), ec.clone()], [ec, rsa]] {
        let edge = start(&origin, &root, &["a.example"], &pairs);
        for (arguments, expected) in CLIENTS {
            let named = [&["-servername", "a.example"], arguments].concat();
            assert_eq!(shown(&edge, &named).as_deref(), Some(expected), "{arguments:?}");
            let unnamed = [&["-noservername"], arguments].concat();
            assert_eq!(shown(&edge, &unnamed).as_deref(), Some(expected), "{arguments:?} without SNI");
        }
        let only_rsa = ["--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"];
        for arguments in [&[][..], &only_rsa] {
            assert_eq!(curl(&edge, "a.example", arguments), "200", "{arguments:?}");
        }
        assert!(!edge.admin(&["certs"]).ok().stdout.contains("no client is shown it"));
        assert!(!edge.stderr().contains("no client is shown it"));
    }
}

/// The status that curl gets, with the certificate verified.
fn curl(edge: &Edge, host: &str, arguments: &[&str]) -> String {
    let (ip, port) = (edge.https().ip(), edge.https().port());
    let run = Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"])
        .arg(edge.path("root.pem"))
        .args(["--resolve", &format!("{host}:{port}:{ip}")])
        .args(arguments)
        .arg(format!("https://{host}:{port}/"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[test]
fn a_wildcard_stands_in_for_what_the_exact_one_can_not_do() {
    if !is_there("openssl") {
        return;
    }
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let pairs = [rsa(&root, &["*.example.com"]), root.sign(&["a.example.com"])];
    let edge = start(&origin, &root, &["a.example.com", "b.example.com"], &pairs);
    let of = |name: &str, more: &[&str]| shown(&edge, &[&["-servername", name], more].concat());
    assert_eq!(of("a.example.com", &[]).as_deref(), Some(EC), "the exact one goes first");
    assert_eq!(of("a.example.com", &["-sigalgs", "RSA-PSS+SHA256"]).as_deref(), Some(RSA));
    assert_eq!(of("b.example.com", &[]).as_deref(), Some(RSA));
    // A client that can verify nothing there is gets no handshake, and no other name's certificate.
    assert_eq!(of("b.example.com", &["-sigalgs", "ECDSA+SHA256", "-tls1_2"]), None);
}

#[test]
fn the_default_of_a_catch_all_is_chosen_too() {
    if !is_there("openssl") {
        return;
    }
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let pairs = [root.sign(&["a.example"]), rsa(&root, &["a.example"])];
    let edge = start(&origin, &root, &["*"], &pairs);
    for (arguments, expected) in CLIENTS {
        let named = [&["-servername", "any.example"], arguments].concat();
        assert_eq!(shown(&edge, &named).as_deref(), Some(expected), "{arguments:?}");
    }
}

#[test]
fn what_has_expired_gives_way_to_what_has_not() {
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let over = root.sign_with(&["a.example"], |params| Identity::valid(params, -9, -1));
    let valid = root.sign(&["*.example", "a.example"]);
    let edge = start(&origin, &root, &["a.example"], &[over, valid.clone()]);
    assert_eq!(edge.hello("a.example").trusting_root(&root.pem).certificate().unwrap(), valid.cert());
    let certs = edge.admin(&["certs"]).ok().stdout;
    assert!(certs.contains("it has expired, and") && certs.contains("1.pem serves its names"), "{certs}");
    let metric = edge.metric("edge_certificate_not_after_seconds{host=\"a.example\"}");
    assert!(metric > std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64(), "no alarm for what is not shown");
}

/// What `check`, the log and `certs` say; each has to say it, the log once.
fn warned(edge: &Edge, words: &str) {
    let check = Command::new(env!("CARGO_BIN_EXE_edgectl")).arg("check").arg(edge.path("edge.toml")).output().unwrap();
    let check = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.contains(words), "check: {check}");
    let certs = edge.admin(&["certs"]).ok().stdout;
    assert!(certs.contains(words), "certs: {certs}");
    edge.admin(&["reload"]).ok();
    assert_eq!(edge.stderr().matches(words).count(), 1, "{}", edge.stderr());
}

#[test]
fn one_that_can_never_be_shown_is_warned_of() {
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let first = || root.sign(&["a.example", "b.example"]);
    let cases: Vec<(&[&str], [Identity; 2], Option<&str>)> = vec![
        (
            &["a.example"],
            [first(), root.sign(&["a.example"])],
            Some("0.pem goes first for all of its names (a.example)"),
        ),
        (&["a.example"], [first(), rsa(&root, &["a.example"])], None),
        (&["a.example", "c.example"], [first(), root.sign(&["a.example", "c.example"])], None),
        (
            &["a.example"],
            [root.sign(&["*.example"]), root.sign(&["a.example"])],
            Some("0.pem: no client is shown it: "),
        ),
        (&["a.example"], [rsa(&root, &["*.example"]), root.sign(&["a.example"])], None),
        (&["a.example", "b.example"], [root.sign(&["*.example"]), root.sign(&["a.example"])], None),
        (&["*.example"], [root.sign(&["*.example"]), root.sign(&["a.example"])], None),
        (
            &["*.example"],
            [root.sign(&["*.example"]), root.sign(&["*.example"])],
            Some("1.pem: no client is shown it: "),
        ),
        (&["*"], [first(), root.sign(&["a.example"])], Some("1.pem: no client is shown it: ")),
        (&["a.example"], [first(), root.sign(&["c.example"])], Some("no site has a host that fits it (c.example)")),
    ];
    for (hosts, pairs, words) in cases {
        let edge = start(&origin, &root, hosts, &pairs);
        match words {
            Some(words) => warned(&edge, words),
            None => {
                let certs = edge.admin(&["certs", "--json"]).ok().stdout;
                assert!(!certs.contains("no client is shown it"), "{hosts:?}: {certs}");
            }
        }
    }
}

#[test]
fn one_for_a_site_without_tls_is_warned_of() {
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let setup = Setup::to(&origin);
    let section = root.sign(&["off.example"]).section(setup.place.dir(), "off");
    let edge = setup.and(&format!("{}tls = \"off\"\n{section}", site(&["off.example"]))).start();
    warned(&edge, "only sites with tls = \"off\" have a host that fits it");
}

#[test]
fn must_staple_is_warned_of() {
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let stapled = |number| {
        root.sign_with(&["a.example"], |params: &mut CertificateParams| {
            let feature = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 24], vec![0x30, 3, 2, 1, number]);
            params.custom_extensions.push(feature);
        })
    };
    for (number, is_warned) in [(5, true), (17, true), (6, false)] {
        let edge = start(&origin, &root, &["a.example"], &[stapled(number)]);
        match is_warned {
            true => warned(&edge, "0.pem asks for a stapled OCSP response (must-staple)"),
            false => assert!(!edge.admin(&["certs"]).ok().stdout.contains("must-staple")),
        }
        assert!(edge.hello("a.example").trusting_root(&root.pem).certificate().is_ok(), "it is served all the same");
    }
}

/// The status of a request for `host` on a connection whose SNI is exactly `sni`.
fn asked(edge: &Edge, sni: &str, host: &str) -> Option<u16> {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut run = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect", &edge.https().to_string(), "-servername", sni])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(run.stdin.as_mut().unwrap(), request.as_bytes()).unwrap();
    let output = run.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()
}

#[test]
fn sni_is_compared_as_host_is() {
    if !is_there("openssl") {
        return;
    }
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let names = ["a.example", "xn--bcher-kva.example", "*.wild.example"];
    let edge = start(&origin, &root, &names, &[root.sign(&names)]);
    for (sni, host, status) in [
        ("a.example", "A.EXAMPLE.", 200),
        ("A.Example", "a.example", 200),
        ("a.example.", "a.example", 200),
        ("A.EXAMPLE.", "A.example.:443", 200),
        ("XN--BCHER-KVA.example.", "xn--bcher-kva.EXAMPLE", 200),
        ("X.wild.example.", "x.Wild.example", 200),
        ("app.test.", "APP.TEST.", 200),
        ("app.test.", "a.example", 421),
        ("A.EXAMPLE.", "app.test", 421),
    ] {
        assert_eq!(asked(&edge, sni, host), Some(status), "{sni} {host}");
    }
    assert_eq!(asked(&edge, "other.example.", "a.example"), None);
    // As if there were none: the address that it has come to decides.
    let address = edge.https().ip().to_string();
    assert_eq!(asked(&edge, &address, "a.example"), Some(200));
}

#[test]
fn a_new_pair_of_the_other_kind_is_taken_up() {
    let (origin, root) = (Origin::start("blue"), Root::named("Some CA"));
    let edge = start(&origin, &root, &["a.example"], &[rsa(&root, &["a.example"])]);
    let ec = root.sign(&["a.example"]);
    let section = ec.section(Path::new(&edge.path("")), "next");
    let text = fs::read_to_string(edge.path("edge.toml")).unwrap();
    edge.rewrite(&(text + &section));
    wait_until("the new one", || {
        edge.hello("a.example").trusting_root(&root.pem).certificate().is_ok_and(|shown| shown == ec.cert())
    });
}
