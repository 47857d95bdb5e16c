//! Certificate files of the user: a mistake is reported with its file and what to do, and the last good pair serves on.

use std::fs;
use std::path::Path;

use rcgen::CertificateParams;
use serde_json::Value;

use crate::support::edge::replace;
use crate::support::{Edge, Identity, Origin, Root, Setup, wait_for, wait_until};

const SITE: &str = "[[site]]\nhosts = [\"one.example\"]\nservice = \"app\"\n";

/// A daemon with `one.pem` and `one.key`, whatever they hold.
fn start(cert: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> (Origin, Edge) {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let (cert_path, key_path) = (setup.path("one.pem"), setup.path("one.key"));
    fs::write(&cert_path, cert).unwrap();
    fs::write(&key_path, key).unwrap();
    let (cert, key) = (cert_path.display(), key_path.display());
    let section = format!("[[tls.certificate]]\ncert = \"{cert}\"\nkey = \"{key}\"\n");
    let edge = setup.and(SITE).and(&section).start();
    (origin, edge)
}

/// The row of the certificate in the status.
fn row(edge: &Edge) -> Value {
    let status = edge.admin(&["status", "--json"]).json();
    let rows = status["certificates"].as_array().unwrap().clone();
    rows.into_iter().find(|row| row["source"] == "file").unwrap()
}

fn error(edge: &Edge) -> String {
    row(edge)["error"].as_str().unwrap_or_default().to_owned()
}

fn warnings(edge: &Edge) -> String {
    row(edge)["warnings"].to_string()
}

fn shows(edge: &Edge, identity: &Identity) -> bool {
    edge.hello("one.example").trusting(identity).certificate().is_ok_and(|shown| shown == identity.cert())
}

fn not_after(edge: &Edge) -> f64 {
    edge.metric("edge_certificate_not_after_seconds{host=\"one.example\"}")
}

#[test]
fn each_mistake_is_named_with_its_file_and_what_to_do() {
    let (good, other) = (Identity::for_names(&["one.example"]), Identity::for_names(&["one.example"]));
    let nameless = Root::named("No Names");
    let nameless = nameless.sign(&[]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n\
                 -----END RSA PRIVATE KEY-----\n";
    let cut = &good.cert_pem[..good.cert_pem.len() / 2];
    let text = |text: &str| text.as_bytes().to_vec();
    let cases: Vec<(Vec<u8>, Vec<u8>, &[&str])> = vec![
        (text(&good.cert_pem), text(&other.key_pem), &["one.key does not belong to the certificate in", "one.pem"]),
        (text("hello"), text(&good.key_pem), &["one.pem holds no certificate", "BEGIN CERTIFICATE"]),
        (text(""), text(&good.key_pem), &["one.pem holds no certificate"]),
        (text(cut), text(&good.key_pem), &["one.pem is not PEM", "cut off"]),
        (good.cert().to_vec(), text(&good.key_pem), &["one.pem is DER", "openssl x509 -inform der"]),
        (text(&good.key_pem), text(&good.cert_pem), &["one.pem holds a private key", "exchanged"]),
        (text(&good.cert_pem), text(""), &["one.key holds no private key"]),
        (text(&good.cert_pem), text(encrypted), &["one.key is encrypted", "openssl pkey"]),
        (text(&good.cert_pem), text(older), &["one.key is encrypted", "openssl pkey"]),
        (text(&good.cert_pem), text(&good.cert_pem), &["one.key holds a certificate", "exchanged"]),
        (text(&nameless.cert_pem), text(&nameless.key_pem), &["one.pem", "subjectAltName"]),
        (
            text(&(other.cert_pem.clone() + &good.cert_pem)),
            text(&good.key_pem),
            &["one.pem is in the wrong order", "certificate 2", "first"],
        ),
    ];
    let (_origin, edge) = start("", "");
    let (cert_path, key_path) = (edge.path("one.pem"), edge.path("one.key"));
    for (cert, key, words) in cases {
        fs::write(&cert_path, &cert).unwrap();
        fs::write(&key_path, &key).unwrap();
        wait_until(&format!("{words:?}"), || words.iter().all(|word| error(&edge).contains(word)));
        assert!(edge.hello("one.example").certificate().is_err());
    }
    assert_eq!(edge.tls("app.test").get("/").status, 200, "other sites are not affected");
    let check =
        std::process::Command::new(env!("CARGO_BIN_EXE_edgectl")).arg("check").arg(edge.path("edge.toml")).output();
    assert!(String::from_utf8_lossy(&check.unwrap().stderr).contains("wrong order"));
    good.write(&cert_path, &key_path);
    wait_until("the right pair to be taken up", || shows(&edge, &good));
    assert_eq!(error(&edge), "");
}

#[test]
fn a_certificate_written_before_its_key_waits_for_it() {
    let [first, second, third] = [(); 3].map(|()| Identity::for_names(&["one.example"]));
    let (_origin, edge) = start(&first.cert_pem, &first.key_pem);
    assert!(shows(&edge, &first));
    let (cert, key) = (edge.path("one.pem"), edge.path("one.key"));
    let mut open = edge.hello("one.example").trusting(&first).connect().unwrap();
    assert_eq!(open.get("/").status, 200);

    fs::write(&cert, &second.cert_pem).unwrap();
    wait_until("the status to say so", || error(&edge).starts_with("waiting for the key: "));
    assert!(error(&edge).contains("the pair before goes on"));
    assert!(shows(&edge, &first), "the old pair serves until both fit");
    assert!(not_after(&edge) > 0.0);
    fs::write(&key, &second.key_pem).unwrap();
    wait_until("the new pair", || shows(&edge, &second));
    assert_eq!(error(&edge), "");

    replace(&key, &third.key_pem);
    wait_until("the status to say so", || error(&edge).starts_with("waiting for the certificate: "));
    assert!(shows(&edge, &second));
    replace(&cert, &third.cert_pem);
    wait_until("the newer pair", || shows(&edge, &third));
    assert_eq!(open.get("/").status, 200, "an open connection stays open");
}

#[test]
fn no_handshake_fails_while_pairs_are_rewritten() {
    let pairs = [(); 6].map(|()| Identity::for_names(&["one.example"]));
    let (_origin, edge) = start(&pairs[0].cert_pem, &pairs[0].key_pem);
    let (cert, key) = (edge.path("one.pem"), edge.path("one.key"));
    for (round, pair) in pairs.iter().enumerate() {
        let write =
            |path: &Path, text: &str| if round % 2 == 0 { fs::write(path, text).unwrap() } else { replace(path, text) };
        write(&cert, &pair.cert_pem);
        let mut hello = edge.hello("one.example");
        for known in &pairs {
            hello = hello.trusting(known);
        }
        let until = std::time::Instant::now() + std::time::Duration::from_millis(400);
        while std::time::Instant::now() < until {
            hello.certificate().expect("a handshake");
        }
        write(&key, &pair.key_pem);
        wait_until("the pair", || hello.certificate().expect("a handshake") == pair.cert());
    }
}

#[test]
fn a_damaged_or_expired_pair_keeps_the_old_one() {
    let good = Identity::for_names(&["one.example"]);
    let (_origin, edge) = start(&good.cert_pem, &good.key_pem);
    let before = not_after(&edge);
    let (cert, key) = (edge.path("one.pem"), edge.path("one.key"));
    let authority = Root::named("Some CA");
    let dated = |from, to| authority.sign_with(&["one.example"], |params| Identity::valid(params, from, to));
    for (pair, words) in [(dated(-9, -1), "has expired on"), (dated(1, 9), "is not valid before")] {
        pair.write(&cert, &key);
        wait_until(words, || error(&edge).contains(words) && error(&edge).contains("the pair before goes on"));
        assert!(shows(&edge, &good));
    }
    fs::write(&cert, "garbage").unwrap();
    wait_until("the error in the status", || error(&edge).contains("holds no certificate"));
    fs::remove_file(&cert).unwrap();
    wait_until("the error in the status", || error(&edge).contains("cannot read"));
    assert!(shows(&edge, &good));
    assert_eq!(not_after(&edge), before, "the metric is about what serves");
}

#[test]
fn an_expired_certificate_serves_if_there_is_no_other_and_is_reported() {
    let authority = Root::named("Some CA");
    let old = authority.sign_with(&["one.example"], |params| Identity::valid(params, -9, -1));
    let (_origin, edge) = start(&old.cert_pem, &old.key_pem);
    edge.said("has expired on");
    assert!(error(&edge).contains("has expired on") && error(&edge).contains("renew it"));
    assert!(not_after(&edge) > 0.0 && not_after(&edge) < 4e9);
    let text = edge.admin(&["status"]).ok().stdout;
    assert!(text.contains("has expired on"), "{text}");
}

#[test]
fn a_chain_with_a_gap_is_served_with_a_warning() {
    let root = Root::named("Root");
    let (middle, stale) = (root.below("Middle"), root.below("Elsewhere"));
    let leaf = middle.sign(&["one.example"]);
    let (_origin, edge) = start(&leaf.cert_pem, &leaf.key_pem);
    let (cert, key) = (edge.path("one.pem"), edge.path("one.key"));
    edge.said("the issuer of its certificate 1 is missing (CN=Middle)");
    assert!(warnings(&edge).contains("append it"), "{}", warnings(&edge));
    assert_eq!(error(&edge), "");
    assert!(edge.admin(&["status"]).ok().stdout.contains("CN=Middle"));

    fs::write(&cert, leaf.cert_pem.clone() + &stale.pem + &middle.pem).unwrap();
    wait_until("the warning about the order", || warnings(&edge).contains("wrong order"));
    fs::write(&cert, leaf.cert_pem.clone() + &middle.pem).unwrap();
    wait_until("all to be well", || row(&edge).get("warnings").is_none());
    let trusting = Identity { cert_pem: root.pem.clone(), key_pem: String::new() };
    assert_eq!(edge.hello("one.example").trusting(&trusting).certificate().unwrap(), leaf.cert());

    let useless = root.sign_with(&["elsewhere.example"], |_: &mut CertificateParams| ());
    fs::write(&key, &useless.key_pem).unwrap();
    fs::write(&cert, useless.cert_pem + &root.pem).unwrap();
    wait_until("the warning about the names", || warnings(&edge).contains("no site has a host that fits it"));
}

#[test]
fn a_mistake_that_lasts_is_logged_once() {
    let good = Identity::for_names(&["one.example"]);
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let section = |name: &str| {
        let (cert, key) = (setup.path(&format!("{name}.pem")), setup.path(&format!("{name}.key")));
        good.write(&cert, &key);
        format!("[[tls.certificate]]\ncert = \"{}\"\nkey = \"{}\"\n", cert.display(), key.display())
    };
    let sections = section("one") + &section("two");
    fs::write(setup.path("one.pem"), "").unwrap();
    let edge = setup.and(SITE).and(&sections).start();
    edge.said("holds no certificate");
    for round in 0..3 {
        // The pair beside it is good, and says that all files were read again.
        fs::write(edge.path("one.key"), format!("{}\n{round}\n", good.key_pem)).unwrap();
        Identity::for_names(&["one.example"]).write(&edge.path("two.pem"), &edge.path("two.key"));
        wait_for("the files to be read again", || {
            (edge.stderr().matches("certificates taken up").count() > round).then_some(())
        });
    }
    assert_eq!(edge.stderr().matches("holds no certificate").count(), 1, "{}", edge.stderr());
}

#[test]
fn one_from_a_file_is_not_renewed_and_renew_says_where_it_is() {
    let good = Identity::for_names(&["one.example"]);
    let (_origin, edge) = start(&good.cert_pem, &good.key_pem);
    let ran = edge.admin(&["certs", "renew", "ONE.example."]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("one.pem, and is taken up when you write a new one there"), "{ran:?}");
    let ran = edge.admin(&["certs", "renew", "other.example"]);
    assert!(ran.stderr.contains("no site has the name") && ran.stderr.contains("there is none"), "{ran:?}");
}
