//! What to do about a probe that does not pass, where the answer tells. Pure.
//!
//! For the refusal of a gate, which a person reads who has just deployed.

use crate::config::HealthConfig;
use crate::service::{Backend, ProbeOutcome};

/// What to set, if the answer is one of the usual ones of an app that does not know the proxy yet.
pub fn advice(outcome: &ProbeOutcome, backend: &Backend, health: &HealthConfig) -> Option<String> {
    let ProbeOutcome::Status(status, what) = outcome else { return None };
    let host = match &health.host {
        Some(host) => String::from_utf8_lossy(host.as_bytes()).into_owned(),
        None => backend.addr().authority(),
    };
    match status {
        301 | 302 | 307 | 308 if what.contains("\"https://") => Some(
            "it redirects to https although the probe says X-Forwarded-Proto: https: let it believe that field (Django's \
             SECURE_SSL_REDIRECT needs SECURE_PROXY_SSL_HEADER), or name the field that it reads in health.send_headers"
                .to_owned(),
        ),
        300..=399 => Some("set health.path to where it leads, or add its status to health.status".to_owned()),
        400 | 421 => Some(format!(
            "it may not serve the probe's Host, {host:?}: set health.host to a name that it serves, or let it serve this one \
             (Django's ALLOWED_HOSTS)"
        )),
        401 | 403 => Some("the probe brings no credentials: let health.path be answered without".to_owned()),
        404 => Some(format!("set health.path, now {:?}, to a path that it has", health.path)),
        _ => None,
    }
}
