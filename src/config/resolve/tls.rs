//! `[tls]` and its certificates. The files are opened later, by the certificate store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::model::{CertificateFiles, ClientAuth, ClientAuthMode, SiteTls, TlsConfig};
use crate::config::read::{Mistake, Table, Value};
use crate::types::TlsVersion;

pub(super) struct ReadTls {
    pub tls: TlsConfig,
    /// Whether any was asked for, well-formed or not.
    pub has_certificates: bool,
    /// `client_auth` where a site with a `client_ca` says nothing of it.
    pub client_auth: ClientAuthMode,
}

pub(super) fn read(root: &mut Table<'_>) -> ReadTls {
    let mut t = root.table("tls", "tls");
    let min_version = t.read("min_version", TlsVersion::V1_2, version);
    let client_ca = t.read("client_ca", None, client_ca);
    let mode = t.read("client_auth", ClientAuthMode::Require, client_auth_mode);
    let client_auth = client_ca.map(|ca| Arc::new(ClientAuth { ca, mode }));
    let tables = t.tables("certificate", "tls.certificate");
    let has_certificates = t.has("certificate");
    let certificates = tables.into_iter().filter_map(certificate).collect();
    ReadTls { tls: TlsConfig { min_version, client_auth, certificates }, has_certificates, client_auth: mode }
}

/// What a site asks of its clients: its own keys over those of `[tls]`, one by one. `client_ca = ""` turns it off.
pub(super) fn site_client_auth(t: &mut Table<'_>, above: &ReadTls, tls: SiteTls) -> Option<Arc<ClientAuth>> {
    let inherited = above.tls.client_auth.clone();
    let own_mode = t.optional("client_auth", client_auth_mode);
    let mode = own_mode.unwrap_or(above.client_auth);
    let found = match t.optional("client_ca", client_ca) {
        Some(own) => own.map(|ca| Arc::new(ClientAuth { ca, mode })),
        // The same object as in [tls] if nothing differs: sites that share it share a TLS config.
        None => inherited.map(|all| match all.mode == mode {
            true => all,
            false => Arc::new(ClientAuth { ca: all.ca.clone(), mode }),
        }),
    };
    if own_mode.is_some() && found.is_none() {
        t.warn(
            "`client_auth` without a `client_ca`: no client is asked for a certificate",
            t.key_span("client_auth").unwrap_or_else(|| t.span()),
            "give client_ca = \"FILE\": PEM, the roots that sign your clients' certificates",
        );
    }
    if tls == SiteTls::Off {
        if let Some(span) = t.key_span("client_ca").filter(|_| found.is_some()) {
            t.error("client certificates need TLS, and this site has tls = \"off\"", span, "drop one of the two keys");
        }
        return None;
    }
    found
}

fn client_ca(value: &Value<'_>) -> Result<Option<PathBuf>, Mistake> {
    value.unless_empty(Value::path)
}

fn client_auth_mode(value: &Value<'_>) -> Result<ClientAuthMode, Mistake> {
    value.choice(&[("require", ClientAuthMode::Require), ("request", ClientAuthMode::Request)])
}

fn version(value: &Value<'_>) -> Result<TlsVersion, Mistake> {
    if ["1.0", "1.1"].contains(&value.text()?.as_ref()) {
        return Err(Mistake::new("TLS 1.0 and 1.1 are not spoken (RFC 8996)").help("\"1.2\" or \"1.3\""));
    }
    value.choice(&[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)])
}

fn certificate(mut t: Table<'_>) -> Option<CertificateFiles> {
    let cert = t.required("cert", "add cert = \"FILE\": PEM, the certificate and then its chain", Value::path);
    let key = t.required("key", "add key = \"FILE\": PEM, the certificate's private key", Value::path);
    Some(CertificateFiles { cert: cert?, key: key? })
}
