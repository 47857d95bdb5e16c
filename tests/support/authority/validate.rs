//! Looks at the daemon as an authority does, at the address of the test's place.

use std::net::TcpStream;

use rustls::RootCertStore;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::super::client::Client;
use super::super::setup::Place;
use super::super::tls::Hello;
use super::jose::{sha256, sha256_text};

/// What is wrong, if anything.
pub fn look(place: &Place, kind: &str, name: &str, token: &str, expected: &str) -> Result<(), String> {
    match kind {
        "http-01" => http(place, name, token, expected),
        "tls-alpn-01" => tls_alpn(place, name, expected),
        "dns-01" => dns(place, name, expected),
        other => Err(format!("what is {other}?")),
    }
}

/// RFC 8555, 8.3.
fn http(place: &Place, name: &str, token: &str, expected: &str) -> Result<(), String> {
    let stream = TcpStream::connect(place.http).map_err(|e| e.to_string())?;
    let mut client = Client::on(stream, name);
    client.begin("GET", &format!("/.well-known/acme-challenge/{token}"), "");
    let answer = client.try_answer().ok_or("no answer")?;
    let is_right = answer.status == 200 && answer.text() == expected;
    if is_right { Ok(()) } else { Err(format!("got {}", answer.status)) }
}

/// RFC 8737, 3: one certificate, self-signed, with the digest in a critical extension and the name as the only one.
fn tls_alpn(place: &Place, name: &str, expected: &str) -> Result<(), String> {
    let hello = Hello::new(place.https, name, RootCertStore::empty());
    let der = hello.shown(&[b"acme-tls/1"]).map_err(|e| e.to_string())?;
    let (_, leaf) = X509Certificate::from_der(&der).map_err(|e| e.to_string())?;
    let names = leaf.subject_alternative_name().ok().flatten().map(|names| names.value.general_names.len());
    let wanted = [&[4, 32][..], &sha256(expected)].concat();
    let extension = leaf.extensions().iter().find(|found| found.oid.to_id_string() == "1.3.6.1.5.5.7.1.31");
    match extension {
        Some(found) if found.critical && found.value == wanted && names == Some(1) => Ok(()),
        Some(_) => Err("another digest".to_owned()),
        None => Err("no acmeIdentifier".to_owned()),
    }
}

/// RFC 8555, 8.4: a record that the hook was called to present and not yet to clean up.
fn dns(place: &Place, name: &str, expected: &str) -> Result<(), String> {
    let told = std::fs::read_to_string(place.path("hook.log")).unwrap_or_default();
    let record = format!("_acme-challenge.{name} {}", sha256_text(expected));
    let count = |verb: &str| told.lines().filter(|line| *line == format!("{verb} {record}")).count();
    if count("present") > count("cleanup") { Ok(()) } else { Err("no such record".to_owned()) }
}
