//! What every answer carries: the site's header preset and its changes, compiled once per snapshot.
//!
//! Owns the presets of `headers = "secure" | "strict" | "off"` and how a `[headers.NAME]` table changes them. Each
//! field ends in one of four lists (remove, set, add if absent, the stricter of both), so that an answer costs one look-up per field and
//! as a rule no formatting. Strict-Transport-Security is sent on TLS only (RFC 6797 section 7.2), even if `[headers]` sets it.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::config::{HeaderPolicy, Hsts, Preset};

mod stricter;

/// A policy, ready to be applied.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SecurityHeaders {
    remove: Vec<HeaderName>,
    /// Over what the backend sent.
    set: Vec<(HeaderName, HeaderValue)>,
    /// Where the backend sent none.
    add: Vec<(HeaderName, HeaderValue)>,
    /// What is stricter of the backend's value and this one.
    tighten: Vec<(HeaderName, HeaderValue)>,
    hsts: HstsRule,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum HstsRule {
    #[default]
    Untouched,
    Remove,
    Set(HeaderValue),
    Add(HeaderValue),
    /// The backend's promise and this one together.
    Tighten(HeaderValue),
}

impl SecurityHeaders {
    /// `hsts` is the site's, `None`: not sent. The preset `off` sends none either.
    pub fn compile(policy: &HeaderPolicy, hsts: Option<Hsts>) -> Self {
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
        for (name, value) in &self.tighten {
            tighten(headers, name, value);
        }
        self.apply_hsts(headers, tls);
    }

    /// Whether [`SecurityHeaders::apply`] sets or removes this field.
    pub fn concerns(&self, name: &HeaderName) -> bool {
        let pairs = self.set.iter().chain(&self.add).chain(&self.tighten).map(|(name, _)| name);
        pairs.chain(&self.remove).any(|ours| ours == name)
    }

    fn apply_hsts(&self, headers: &mut HeaderMap, tls: bool) {
        match &self.hsts {
            HstsRule::Untouched => {}
            _ if !tls => drop(headers.remove(header::STRICT_TRANSPORT_SECURITY)),
            HstsRule::Remove => drop(headers.remove(header::STRICT_TRANSPORT_SECURITY)),
            HstsRule::Set(value) => {
                headers.insert(header::STRICT_TRANSPORT_SECURITY, value.clone());
            }
            HstsRule::Add(value) => {
                let entry = headers.entry(header::STRICT_TRANSPORT_SECURITY);
                entry.or_insert_with(|| value.clone());
            }
            HstsRule::Tighten(value) => {
                let backend = headers.get(header::STRICT_TRANSPORT_SECURITY);
                let both = backend.map_or_else(|| value.clone(), |backend| stricter::merged_hsts(backend, value));
                headers.insert(header::STRICT_TRANSPORT_SECURITY, both);
            }
        }
    }

    fn preset(preset: Preset, hsts: Option<Hsts>) -> Self {
        let hsts = hsts.and_then(hsts_value);
        match preset {
            Preset::Off => Self::default(),
            Preset::Secure => Self {
                remove: unspoken(),
                add: fields(SECURE),
                hsts: hsts.map_or(HstsRule::Untouched, HstsRule::Add),
                ..Self::default()
            },
            Preset::Strict => Self {
                remove: unspoken(),
                set: fields(STRICT),
                add: fields(STRICT_WHERE_NONE),
                tighten: fields(STRICT_AT_LEAST),
                hsts: hsts.map_or(HstsRule::Untouched, HstsRule::Tighten),
            },
        }
    }

    /// A change wins over the preset and over the backend.
    fn change(&mut self, name: &HeaderName, value: Option<&HeaderValue>) {
        self.remove.retain(|other| other != name);
        self.set.retain(|(other, _)| other != name);
        self.add.retain(|(other, _)| other != name);
        self.tighten.retain(|(other, _)| other != name);
        match (value, *name == header::STRICT_TRANSPORT_SECURITY) {
            (Some(value), true) => self.hsts = HstsRule::Set(value.clone()),
            (None, true) => self.hsts = HstsRule::Remove,
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

/// Where the backend sets none.
const SECURE: Fields = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "SAMEORIGIN"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// The strictest values there are, so they can replace whatever the backend sets.
const STRICT: Fields = &[
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
];

/// No policy is stricter than any other: the backend's stays.
const STRICT_WHERE_NONE: Fields = &[("content-security-policy", "default-src 'self'")];

/// The least: what the backend sets may be stricter.
const STRICT_AT_LEAST: Fields = &[
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// The stricter of the backend's value and ours, which is one of [`STRICT_AT_LEAST`].
fn tighten(headers: &mut HeaderMap, name: &HeaderName, ours: &HeaderValue) {
    let Some(backend) = headers.get(name) else {
        headers.insert(name, ours.clone());
        return;
    };
    if *name == header::REFERRER_POLICY {
        if !stricter::keeps_referrer_policy(backend, ours) {
            headers.insert(name, ours.clone());
        }
    } else {
        let merged = stricter::merged_permissions(backend, ours);
        headers.insert(name, merged);
    }
}

fn fields(fields: Fields) -> Vec<(HeaderName, HeaderValue)> {
    let pairs = fields.iter();
    pairs.map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn hsts_value(hsts: Hsts) -> Option<HeaderValue> {
    let subdomains = if hsts.include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if hsts.preload { "; preload" } else { "" };
    HeaderValue::try_from(format!("max-age={}{subdomains}{preload}", hsts.max_age.as_secs())).ok()
}

#[cfg(test)]
mod tests;
