//! `[tls]` and its certificates. The files are opened later, by the certificate store.

use crate::config::model::{CertificateFiles, Tls, TlsVersion};
use crate::config::read::{Mistake, Table, Value};

pub(super) struct ReadTls {
    pub tls: Tls,
    /// Whether any was asked for, well-formed or not.
    pub has_certificates: bool,
}

pub(super) fn read(root: &mut Table<'_>) -> ReadTls {
    let mut t = root.table("tls", "tls");
    let min_version = t.read("min_version", TlsVersion::Tls12, version);
    let tables = t.tables("certificate", "tls.certificate");
    let has_certificates = t.has("certificate");
    let certificates = tables.into_iter().filter_map(certificate).collect();
    ReadTls { tls: Tls { min_version, certificates }, has_certificates }
}

fn version(value: &Value<'_>) -> Result<TlsVersion, Mistake> {
    if ["1.0", "1.1"].contains(&value.text()?.as_ref()) {
        return Err(Mistake::new("TLS 1.0 and 1.1 are not spoken (RFC 8996)").help("\"1.2\" or \"1.3\""));
    }
    value.choice(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)])
}

fn certificate(mut t: Table<'_>) -> Option<CertificateFiles> {
    let cert = t.required("cert", "add cert = \"FILE\": PEM, the certificate and then its chain", Value::path);
    let key = t.required("key", "add key = \"FILE\": PEM, the certificate's private key", Value::path);
    Some(CertificateFiles { cert: cert?, key: key? })
}
