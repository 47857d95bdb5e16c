//! TLS handshakes, by version and result.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::text::{MetricKind, Text};
use crate::types::TlsVersion;

/// How a handshake ended: label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HandshakeResult {
    Ok(TlsVersion),
    /// An authority has validated a name (RFC 8737): nothing else was wanted.
    Validated,
    Failed,
}

impl HandshakeResult {
    /// `version` is empty where none was negotiated.
    fn labels(self) -> [(&'static str, &'static str); 2] {
        let (version, result) = match self {
            Self::Ok(version) => (version.as_str(), "ok"),
            Self::Validated => ("", "acme"),
            Self::Failed => ("", "failed"),
        };
        [("version", version), ("result", result)]
    }
}

/// A handshake costs hundreds of microseconds: a lock is nothing to it.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Mutex<BTreeMap<HandshakeResult, u64>>);

impl Handshakes {
    pub fn count(&self, result: HandshakeResult) {
        *self.0.lock().entry(result).or_default() += 1;
    }

    pub fn render(&self, text: &mut Text) {
        text.family("edge_tls_handshakes_total", "TLS handshakes.", MetricKind::Counter);
        for (result, &count) in &*self.0.lock() {
            text.sample(&result.labels(), count);
        }
    }
}
