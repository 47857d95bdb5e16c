//! What is asked of the doctor, and what it answers: a line for each thing looked at.

use serde::{Deserialize, Serialize};

/// `POST /v1/acme/doctor`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoctorQuestion {
    /// A name, or `*.` and a name; without it, every name that wants a certificate of an authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where the authority looks for http-01, if not at 80: a private one may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// Where it looks for tls-alpn-01, if not at 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https_port: Option<u16>,
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The name it is about; null: all of them.
    pub host: Option<String>,
    pub check: Check,
    pub mark: Mark,
    /// What was looked at: `port 80 at 192.0.2.10:80`.
    pub subject: String,
    pub found: String,
    /// What to do; null where there is nothing to be done.
    pub advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Ok,
    /// Worth a look; an order may succeed all the same.
    Warn,
    /// An order would fail.
    Fail,
    /// Not looked at: `found` says why.
    Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    Config,
    Hook,
    Dns,
    Caa,
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    Cdn,
    Directory,
    Clock,
    Limits,
}

impl Diagnosis {
    pub fn has_failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.mark == Mark::Fail)
    }
}

impl Finding {
    pub fn new(check: Check, mark: Mark, subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { host: None, check, mark, subject: subject.into(), found: found.into(), advice: None }
    }

    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    #[must_use]
    pub fn of(self, host: &str) -> Self {
        Self { host: Some(host.to_owned()), ..self }
    }
}
