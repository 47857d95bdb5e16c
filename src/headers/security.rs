//! What every answer carries: the site's header preset and its changes, compiled once per snapshot.
//!
//! Owns the presets of `headers = "secure" | "strict" | "off"` and how a `[headers.NAME]` table changes them. Each
//! field ends in one of three lists (remove, set, add if absent), so that an answer costs one look-up per field and
//! no formatting. Strict-Transport-Security is sent on TLS only (RFC 6797 section 7.2), even if `[headers]` sets it.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::config::{HeaderPolicy, Preset};

/// A policy, ready to be applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SecurityHeaders {
    remove: Vec<HeaderName>,
    /// Over what the backend sent.
    set: Vec<(HeaderName, HeaderValue)>,
    /// Where the backend sent none.
    add: Vec<(HeaderName, HeaderValue)>,
    hsts: Hsts,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Hsts {
    #[default]
    Untouched,
    Remove,
    Set(HeaderValue),
    Add(HeaderValue),
}

impl SecurityHeaders {
    /// `hsts` is the site's max-age, `None`: not sent. The preset `off` sends none either.
    pub fn compile(policy: &HeaderPolicy, hsts: Option<Duration>) -> Self {
        let mut compiled = Self::preset(policy.preset, hsts);
        for (name, change) in &policy.changes {
            compiled.change(name, change.as_ref());
        }
        compiled
    }

    /// Edits an answer. `tls`: whether the client came over TLS.
    pub fn apply(&self, headers: &mut HeaderMap, tls: bool) {
        for name in &self.remove {
            headers.remove(name);
        }
        headers.reserve(self.set.len() + self.add.len() + 1);
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        self.apply_hsts(headers, tls);
    }

    /// Whether [`SecurityHeaders::apply`] sets or removes this field.
    pub fn concerns(&self, name: &HeaderName) -> bool {
        let pairs = self.set.iter().chain(&self.add).map(|(name, _)| name);
        pairs.chain(&self.remove).any(|ours| ours == name)
    }

    fn apply_hsts(&self, headers: &mut HeaderMap, tls: bool) {
        match &self.hsts {
            Hsts::Untouched => {}
            _ if !tls => drop(headers.remove(header::STRICT_TRANSPORT_SECURITY)),
            Hsts::Remove => drop(headers.remove(header::STRICT_TRANSPORT_SECURITY)),
            Hsts::Set(value) => {
                headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
            }
            Hsts::Add(value) => {
                let entry = headers.entry(header::STRICT_TRANSPORT_SECURITY);
                entry.or_insert_with(|| value.clone());
            }
        }
    }

    fn preset(preset: Preset, hsts: Option<Duration>) -> Self {
        let age = hsts.map(|age| age.as_secs());
        match preset {
            Preset::Off => Self::default(),
            Preset::Secure => Self {
                remove: unspoken(),
                set: Vec::new(),
                add: fields(SECURE),
                hsts: hsts_value(age, "").map_or(Hsts::Untouched, Hsts::Add),
            },
            Preset::Strict => Self {
                remove: unspoken(),
                set: fields(STRICT),
                add: Vec::new(),
                hsts: hsts_value(age, "; includeSubDomains; preload").map_or(Hsts::Untouched, Hsts::Set),
            },
        }
    }

    /// A change wins over the preset and over the backend.
    fn change(&mut self, name: &HeaderName, value: Option<&HeaderValue>) {
        self.remove.retain(|other| other != name);
        self.set.retain(|(other, _)| other != name);
        self.add.retain(|(other, _)| other != name);
        match (value, *name == header::STRICT_TRANSPORT_SECURITY) {
            (Some(value), true) => self.hsts = Hsts::Set(value.clone()),
            (None, true) => self.hsts = Hsts::Remove,
            (Some(value), false) => self.set.push((name.clone(), value.clone())),
            (None, false) => self.remove.push(name.clone()),
        }
    }
}

/// What an answer needn't tell about the software behind it.
fn unspoken() -> Vec<HeaderName> {
    vec![header::SERVER, HeaderName::from_static("x-powered-by")]
}

type Fields = &'static [(&'static str, &'static str)];

const SECURE: Fields = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cross-origin-opener-policy", "same-origin"),
];

const STRICT: Fields = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("content-security-policy", "default-src 'self'"),
];

fn fields(fields: Fields) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = fields.iter();
    pairs.map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn hsts_value(age: Option<u64>, directives: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("max-age={}{directives}", age?)).ok()
}

#[cfg(test)]
mod tests;
