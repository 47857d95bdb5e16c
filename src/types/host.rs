//! Names that requests are addressed to, and the patterns by which sites claim them.
//!
//! Owns normal form: lower case, no trailing dot, IPv6 without brackets. Two names that mean the same host are equal.
//! A port is never part of a name.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::Invalid;

/// A DNS name (RFC 1123, and `_`) or an IP address, in normal form. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

/// What a site's `hosts` may hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    Exact(HostName),
    /// `*.example.com`, kept as `example.com`: any name below it, of any depth (as nginx), not itself.
    Wildcard(HostName),
    /// `*`: whatever no other site claims.
    Any,
}

/// Endings that no public authority signs: RFC 6761, RFC 6762, RFC 8375 and ICANN's `.internal`.
const LOCAL_ENDINGS: [&str; 3] = ["localhost", "test", "internal"];

impl HostName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, if the name is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// Whether the internal CA may sign it: an IP address, or a name at or below an ending reserved for local use
    /// (RFC 6761's `localhost` and `test`, ICANN's `internal`). The root is name-constrained to the same.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.ip().is_some() || self.has_local_ending()
    }

    fn has_local_ending(&self) -> bool {
        LOCAL_ENDINGS.iter().any(|ending| is_below(&self.0, ending))
    }
}

impl FromStr for HostName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(address) = ipv6(text) {
            return Ok(Self(address.to_string().into()));
        }
        let name = normal_name(text);
        if let Some(error) = misshapen(text, &name) {
            return Err(error);
        }
        Ok(Self(name.as_ref().into()))
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl HostPattern {
    /// Whether the internal CA may sign every name that it covers; `*` by the names asked for, one by one.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Exact(name) => name.is_local(),
            Self::Wildcard(suffix) => suffix.has_local_ending(),
            Self::Any => true,
        }
    }

    #[must_use]
    pub fn covers(&self, host: &HostName) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(suffix) => host != suffix && is_below(&host.0, &suffix.0),
            Self::Any => true,
        }
    }
}

impl FromStr for HostPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let Some(suffix) = wildcard_parent(text) else {
            return text.parse().map(Self::Exact);
        };
        let suffix: HostName = suffix.parse()?;
        if suffix.ip().is_some() {
            return Err(Invalid::new(format!("{text:?} puts a wildcard before an address")));
        }
        Ok(Self::Wildcard(suffix))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Wildcard(suffix) => f.pad(&format!("*.{suffix}")),
            Self::Any => f.pad("*"),
        }
    }
}

/// The normal form of a name that a client sends, in Host or as SNI: lower case, no trailing dot. Copies only what is not in it already.
#[must_use]
pub fn normal_name(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_ascii_lowercase()) }
}

/// Whether a name as certificates have it, `example.com` or `*.example.com`, is good for `host`. A wildcard is good for names
/// one label below (RFC 9525, 6.3), where that of a site takes any depth; for a wildcard only the very same is good. Both in
/// lower case.
#[must_use]
pub fn certificate_name_covers(name: &str, host: &str) -> bool {
    name == host || wildcard_parent(name).is_some_and(|parent| parent_of(host) == Some(parent))
}

/// `example.com` of `*.example.com`; `None`: it is no wildcard.
#[must_use]
pub fn wildcard_parent(name: &str) -> Option<&str> {
    name.strip_prefix("*.")
}

/// The name without its first label.
#[must_use]
pub fn parent_of(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok()
}

fn is_below(name: &str, ending: &str) -> bool {
    name.strip_suffix(ending).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// What keeps `name` (the normal form of `text`) from being a host.
fn misshapen(text: &str, name: &str) -> Option<Invalid> {
    let invalid = |why: &str| Invalid::new(format!("{text:?} {why}"));
    if name.is_empty() {
        return Some(invalid("is not a host name").help("write a name such as \"example.com\""));
    }
    if name.contains("://") {
        return Some(invalid("is an URL, not a host name").help("leave the scheme and the path out"));
    }
    if name.contains('*') {
        return Some(
            invalid("has a wildcard in the wrong place")
                .help("a wildcard stands alone (\"*\") or first (\"*.example.com\")"),
        );
    }
    if !name.is_ascii() {
        return Some(invalid("is not ASCII").help("write an international name in its \"xn--\" form"));
    }
    if name.contains(':') || name.contains('/') {
        return Some(invalid("is not a host name").help("leave the port and the path out"));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Some(
            invalid("is not a host name")
                .help("labels of letters, digits, \"-\" and \"_\", 63 characters each, 253 in all"),
        );
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let like_an_address = last.bytes().all(|b| b.is_ascii_digit()) && name.parse::<IpAddr>().is_err();
    like_an_address.then(|| invalid("looks like an IPv4 address and is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> HostName {
        text.parse().unwrap()
    }

    #[test]
    fn names_have_one_form() {
        for (text, normal) in [
            ("Example.COM.", "example.com"),
            ("[::1]", "::1"),
            ("0:0::1", "::1"),
            ("10.0.0.7", "10.0.0.7"),
            ("my_app", "my_app"),
        ] {
            assert_eq!(host(text).as_str(), normal);
        }
    }

    #[test]
    fn a_name_that_a_client_sends_has_the_same_form() {
        for (text, normal) in [
            ("App.TEST.", "app.test"),
            ("app.test", "app.test"),
            ("XN--BCHER-KVA.test", "xn--bcher-kva.test"),
            (".", ""),
        ] {
            assert_eq!(normal_name(text), normal);
        }
        assert!(matches!(normal_name("app.test."), Cow::Borrowed(_)), "nothing is copied");
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_to_do() {
        for (text, help) in [
            ("example.com:443", "leave the port"),
            ("https://example.com", "scheme"),
            ("bücher.de", "xn--"),
            ("a.*.com", "wildcard"),
            ("-a.com", "labels"),
            ("a..com", "labels"),
            ("", "example.com"),
            ("256.1.1.1", "IPv4"),
        ] {
            let error = text.parse::<HostName>().unwrap_err();
            assert!(error.to_string().contains(help), "{text}: {error}");
        }
    }

    #[test]
    fn local_names_are_those_no_public_authority_signs() {
        for text in ["localhost", "app.localhost", "shop.test", "db.internal", "127.0.0.1", "::1"] {
            assert!(host(text).is_local(), "{text}");
        }
        for text in ["example.com", "mylocalhost.com", "contest.org", "xtest.de", "app", "nas.local"] {
            assert!(!host(text).is_local(), "{text}");
        }
    }

    #[test]
    fn patterns_cover_what_they_say() {
        let wildcard: HostPattern = "*.Example.com".parse().unwrap();
        assert_eq!(wildcard.to_string(), "*.example.com");
        assert!(wildcard.covers(&host("a.b.example.com")));
        assert!(!wildcard.covers(&host("example.com")));
        assert!(!wildcard.covers(&host("badexample.com")));
        assert!(HostPattern::Any.covers(&host("example.com")));
        assert!("*.10.0.0.1".parse::<HostPattern>().is_err());
    }

    #[test]
    fn a_wildcard_in_a_certificate_is_good_for_one_label() {
        let covers = certificate_name_covers;
        assert!(covers("example.com", "example.com") && covers("*.example.com", "a.example.com"));
        assert!(covers("*.example.com", "*.example.com") && covers("*.b.example.com", "a.b.example.com"));
        for host in ["example.com", "a.b.example.com", "aexample.com", "com", "*.b.example.com"] {
            assert!(!covers("*.example.com", host), "{host}");
        }
        assert!(!covers("a.example.com", "*.example.com"));
        assert_eq!((wildcard_parent("*.a.b"), wildcard_parent("*"), parent_of("a")), (Some("a.b"), None, None));
    }
}
