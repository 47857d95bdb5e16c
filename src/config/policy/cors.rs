//! `cors`: which origins may read the answers, and what they may ask for.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, Method};

/// Chromium remembers no preflight for longer.
pub(in crate::config) const MAX_AGE: Duration = Duration::from_hours(2);

/// No origins: off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsConfig {
    pub origins: Vec<OriginPattern>,
    /// Empty: those of the route.
    pub methods: Vec<Method>,
    /// Empty: those that are asked for.
    pub headers: Vec<HeaderName>,
    pub expose: Vec<HeaderName>,
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight.
    pub max_age: Duration,
}

impl Default for CorsConfig {
    fn default() -> Self {
        let (origins, methods, headers, expose) = Default::default();
        Self { origins, methods, headers, expose, credentials: false, max_age: MAX_AGE }
    }
}

/// One origin, or many (RFC 6454, 6.2). Compared as a whole, scheme and port included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// `"*"`.
    Any,
    /// `"https://app.example.com"`, and `"null"` where that is written.
    Exact(String),
    /// `"https://*.example.com"`: every name below it.
    Below { scheme: String, rest: String },
}

/// Why a text is no origin, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadOrigin {
    pub text: String,
    pub help: String,
}

impl OriginPattern {
    pub fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => text == origin,
            Self::Below { scheme, rest } => {
                let name = origin.strip_prefix(scheme.as_str()).and_then(|host| host.strip_suffix(rest.as_str()));
                name.is_some_and(is_name)
            }
        }
    }
}

impl FromStr for OriginPattern {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text == "null" {
            return Ok(Self::Exact(text.to_owned()));
        }
        let bad = |help: String| BadOrigin { text: text.to_owned(), help };
        let Some((scheme, host)) = text.split_once("://") else {
            return Err(bad(format!("write its scheme, too: \"https://{text}\"")));
        };
        if let Some((host, _)) = host.split_once('/') {
            return Err(bad(format!("an origin has no path: \"{scheme}://{host}\"")));
        }
        if text.chars().any(|letter| letter.is_ascii_uppercase()) {
            return Err(bad(format!("browsers send it in small letters: \"{}\"", text.to_ascii_lowercase())));
        }
        if let Some(usual) =
            [("https", ":443"), ("http", ":80")].iter().find(|(s, port)| scheme == *s && host.ends_with(port))
        {
            let without = host.trim_end_matches(usual.1);
            return Err(bad(format!("browsers leave the usual port out: \"{scheme}://{without}\"")));
        }
        let (name, port) = host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
        let is_address = host.starts_with('[') && host.contains(']');
        let scheme_is_good =
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if let Some(below) = name.strip_prefix("*.") {
            if !below.contains('.') || !is_name(below) || !is_port || !scheme_is_good {
                return Err(bad("such as \"https://*.example.com\": names below one of yours".to_owned()));
            }
            let rest = format!(".{}", &host[2..]);
            return Ok(Self::Below { scheme: format!("{scheme}://"), rest });
        }
        if !scheme_is_good || !(is_address || is_name(name) && is_port) {
            return Err(bad("such as \"https://app.example.com\", \"https://*.example.com\" or \"*\"".to_owned()));
        }
        Ok(Self::Exact(text.to_owned()))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Below { scheme, rest } => write!(f, "{scheme}*{rest}"),
        }
    }
}

/// One or more labels.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_matched_as_a_whole() {
        for (pattern, origin, is_match) in [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://app.example.com.evil.net", false),
            ("https://app.example.com", "https://appxexample.com", false),
            ("https://app.example.com:8443", "https://app.example.com:8443", true),
            ("https://*.example.com", "https://a.example.com", true),
            ("https://*.example.com", "https://a.b.example.com", true),
            ("https://*.example.com", "https://example.com", false),
            ("https://*.example.com", "https://.example.com", false),
            ("https://*.example.com", "https://evil.net/.example.com", false),
            ("https://*.example.com", "https://evil.net#.example.com", false),
            ("https://*.example.com", "https://a.example.com.evil.net", false),
            ("https://*.example.com", "https://aexample.com", false),
            ("https://*.example.com", "https://a.example.com:8443", false),
            ("https://*.example.com:8443", "https://a.example.com:8443", true),
            ("https://*.example.com", "http://a.example.com", false),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("http://[::1]:3000", "http://[::1]:3000", true),
            ("capacitor://localhost", "capacitor://localhost", true),
            ("null", "null", true),
            ("https://app.example.com", "null", false),
            ("*", "https://any.test", true),
        ] {
            let parsed: OriginPattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(origin), is_match, "{pattern} and {origin}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn what_no_browser_would_send_is_refused_with_what_to_write() {
        for (text, help) in [
            ("app.example.com", "\"https://app.example.com\""),
            ("https://app.example.com/", "\"https://app.example.com\""),
            ("https://app.example.com/x", "\"https://app.example.com\""),
            ("https://App.example.com", "\"https://app.example.com\""),
            ("https://app.example.com:443", "\"https://app.example.com\""),
            ("http://app.example.com:80", "\"http://app.example.com\""),
            ("https://*", "\"https://*.example.com\""),
            ("https://*.com", "names below one of yours"),
            ("https://*example.com", "\"https://*.example.com\""),
            ("https://a.*.example.com", "\"https://*.example.com\""),
            ("https://", "such as"),
            ("https://a b", "such as"),
            ("https://app.example.com:port", "such as"),
            ("", "scheme"),
        ] {
            let bad = text.parse::<OriginPattern>().unwrap_err();
            assert!(bad.help.contains(help), "{text:?}: {}", bad.help);
        }
    }
}
