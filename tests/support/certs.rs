//! What the daemon shows of its certificates, and what it keeps of those that an authority has issued.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::edge::Edge;

/// What a certificate says about itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub issuer: String,
    pub names: Vec<String>,
    pub serial: String,
    pub key: Vec<u8>,
}

pub fn shown(edge: &Edge, name: &str) -> Shown {
    let der = edge.hello(name).shown(&[b"http/1.1"]).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (_, leaf) = X509Certificate::from_der(&der).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.iter();
    let mut names: Vec<String> = names
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    names.sort();
    Shown {
        issuer: leaf.issuer().to_string(),
        names,
        serial: leaf.raw_serial_as_string(),
        key: leaf.public_key().raw.to_vec(),
    }
}

/// Waits longer than [`super::wait_for`]: an authority, its network and a busy machine take longer than one process.
pub fn eventually<T>(what: &str, edge: &Edge, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(it) = found() {
            return it;
        }
        assert!(Instant::now() < until, "waited in vain for {what}; {}", edge.admin(&["certs"]).stdout);
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn issued(edge: &Edge, name: &str) -> Shown {
    eventually(&format!("{name}'s certificate"), edge, || {
        edge.hello(name).shown(&[b"http/1.1"]).ok()?;
        Some(shown(edge, name)).filter(|shown| !shown.issuer.contains("internal CA"))
    })
}

pub fn certificate(edge: &Edge, name: &str) -> Value {
    let found = edge.admin(&["certs", "--json"]).ok().json()["certificates"].clone();
    let has = |certificate: &&Value| certificate["names"].as_array().unwrap().iter().any(|other| other == name);
    found.as_array().unwrap().iter().find(has).cloned().unwrap_or_else(|| panic!("{name} is not in {found}"))
}

/// A file that is kept on disk for a certificate.
pub fn kept(edge: &Edge, file: &str) -> Option<Value> {
    let text = fs::read(edge.path("state/acme/certificates/shop.example").join(file)).ok()?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Checks what is below `folder`: 0700 for folders, 0600 for files, nothing half-written.
pub fn private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let path = entry.path();
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        assert!(path.extension().is_none_or(|extension| extension != "tmp"), "{}", path.display());
        if path.is_dir() {
            private(&path);
        }
    }
}
