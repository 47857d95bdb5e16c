//! The internal CA: a root that can vouch for local names alone, leafs that live for a week, and how to trust it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{Edge, Origin, Root, Setup};

/// A root as an older version may have left it: our name, no constraints.
fn unconstrained(not_after: SystemTime) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "edgectl internal CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.not_after = not_after.into();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn start_with(root: &str, key: &str) -> (Origin, Edge) {
    let origin = Origin::start("blue");
    let setup = Setup::to(&origin);
    let folder = setup.path("state/ca");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("root.pem"), root).unwrap();
    fs::write(folder.join("root.key"), key).unwrap();
    (origin, setup.start())
}

fn openssl(args: &[&str]) -> String {
    let output = Command::new("openssl").args(args).output().expect("openssl");
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

fn root(edge: &Edge) -> String {
    fs::read_to_string(edge.path("state/ca/root.pem")).unwrap()
}

fn asides(edge: &Edge) -> usize {
    let entries = fs::read_dir(edge.path("state/ca")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("damaged")).count()
}

#[test]
fn the_root_vouches_for_local_names_alone() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let path = edge.path("state/ca/root.pem");
    let path = path.to_str().unwrap();
    let text = openssl(&["x509", "-in", path, "-noout", "-text"]);
    let constraints = &text[text.find("X509v3 Name Constraints: critical").expect("critical name constraints")..];
    for permitted in ["DNS:localhost", "DNS:test", "DNS:internal", "IP:0.0.0.0/0.0.0.0", "IP:0:0:0:0:0:0:0:0/"] {
        assert!(constraints.contains(permitted), "{permitted}: {text}");
    }
    assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");

    // With the key one can sign any name, but clients accept local names alone.
    let key = KeyPair::from_pem(&fs::read_to_string(edge.path("state/ca/root.key")).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "edgectl internal CA");
    let issuer = Issuer::new(params, key);
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let path = edge.path(&format!("{}.pem", name.replace(':', "_")));
        fs::write(&path, cert.pem()).unwrap();
        openssl(&["verify", "-CAfile", self::path(&edge).as_str(), path.to_str().unwrap()])
    };
    for name in ["app.test", "localhost", "x.localhost", "db.internal", "10.1.2.3", "fd00::1"] {
        assert!(signed(name).ends_with(": OK\n"), "{name}: {}", signed(name));
    }
    for name in ["example.com", "test.example.com", "mytest", "localhost.example"] {
        assert!(signed(name).contains("permitted subtree violation"), "{name}: {}", signed(name));
    }
}

fn path(edge: &Edge) -> String {
    edge.path("state/ca/root.pem").display().to_string()
}

#[test]
fn leafs_live_for_a_week() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let leaf = edge.hello("app.test").certificate().unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let left = leaf.validity().time_to_expiration().unwrap();
    assert!((6 * 86_400..=7 * 86_400).contains(&left.whole_seconds()), "{left:?}");
    let told = edge.metric("edge_certificate_not_after_seconds{host=\"app.test\"}");
    assert_eq!(told as i64, leaf.validity().not_after.timestamp());
}

#[test]
fn a_root_without_constraints_is_kept_and_reported() {
    let (pem, key) = unconstrained(SystemTime::now() + Duration::from_hours(24 * 400));
    let (_origin, edge) = start_with(&pem, &key);
    edge.said("may sign for ANY name");
    assert_eq!(root(&edge), pem);
    assert_eq!(edge.tls("app.test").get("/").status, 200);
    let ran = edge.admin(&["certs", "ca"]).ok();
    assert!(ran.stderr.contains("could vouch for any name"), "{ran:?}");
}

#[test]
fn a_root_that_cannot_sign_is_set_aside_and_replaced() {
    let later = SystemTime::now() + Duration::from_hours(24 * 400);
    let (pem, key) = unconstrained(later);
    let (_, other) = unconstrained(later);
    let (expiring, its_key) = unconstrained(SystemTime::now() + Duration::from_hours(24));
    let foreign = Root::named("Somebody Else");
    for (root_pem, key, why) in [
        (pem.as_str(), other.as_str(), "does not belong"),
        ("garbage", key.as_str(), "can't be parsed"),
        (pem.as_str(), "garbage", "root.key can't be used"),
        (expiring.as_str(), its_key.as_str(), "has expired"),
        (foreign.pem.as_str(), its_key.as_str(), "does not belong"),
    ] {
        let (_origin, edge) = start_with(root_pem, key);
        edge.said("THE INTERNAL CA WAS REPLACED");
        edge.said(why);
        assert_ne!(root(&edge), root_pem);
        assert_eq!(asides(&edge), 2);
        assert_eq!(edge.tls("app.test").get("/").status, 200);
    }
}

#[test]
fn the_root_is_printed_with_how_to_trust_it() {
    let origin = Origin::start("blue");
    let edge = Setup::to(&origin).start();
    let ran = edge.admin(&["certs", "ca"]).ok();
    assert_eq!(ran.stdout.trim_end(), root(&edge).trim_end());
    for word in ["curl --cacert", "Debian", "Fedora", "macOS", "Firefox", "SHA-256", "and for nothing else"] {
        assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
    }
    let fingerprint = openssl(&["x509", "-in", &path(&edge), "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = fingerprint.trim().rsplit('=').next().unwrap();
    assert!(ran.stderr.contains(fingerprint), "{fingerprint}: {}", ran.stderr);
    assert_eq!(edge.admin(&["certs", "ca", "--quiet"]).ok().stderr, "");
    let json = edge.admin(&["certs", "ca", "--json"]).ok().json();
    assert_eq!(json["sha256"], fingerprint);
    assert_eq!(json["constrained"], true);
    assert!(json["trust"]["curl"].as_str().unwrap().contains("--cacert"));
    let der = CertificateDer::from_pem_slice(json["pem"].as_str().unwrap().as_bytes()).unwrap();
    let file = CertificateDer::from_pem_file(Path::new(&path(&edge))).unwrap();
    assert_eq!(der, file);
    // A client that trusts the file trusts the site, as the text says.
    let trusting = edge.path("edgectl-ca.pem");
    fs::write(&trusting, &ran.stdout).unwrap();
    let url = format!("https://app.test:{}/", edge.https().port());
    let resolve = format!("app.test:{}:{}", edge.https().port(), edge.https().ip());
    let curl =
        ["-sS", "--resolve", &resolve, "--cacert", trusting.to_str().unwrap(), "-o", "/dev/null", "-w", "%{http_code}"];
    let output = Command::new("curl").args(curl).arg(&url).output().expect("curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "{}", String::from_utf8_lossy(&output.stderr));
}
