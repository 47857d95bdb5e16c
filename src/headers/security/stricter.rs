//! Which of two values of a security field is the stricter one: the backend's, or the preset's.
//!
//! Pure. A value that is not understood is not strict.

use http::HeaderValue;

/// From lax to strict (Referrer Policy, 3).
const REFERRER_POLICIES: [&str; 8] = [
    "unsafe-url",
    "no-referrer-when-downgrade",
    "origin-when-cross-origin",
    "origin",
    "strict-origin-when-cross-origin",
    "strict-origin",
    "same-origin",
    "no-referrer",
];

/// Whether the backend's Referrer-Policy is at least as strict as ours. Of a list, the last one that is understood counts.
pub(super) fn keeps_referrer_policy(backend: &HeaderValue, ours: &HeaderValue) -> bool {
    let rank = |value: &HeaderValue| {
        let mut members = value.as_bytes().rsplit(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        members.find_map(|member| {
            REFERRER_POLICIES.iter().position(|policy| policy.as_bytes().eq_ignore_ascii_case(member))
        })
    };
    rank(backend).is_some_and(|backend| rank(ours).is_none_or(|ours| backend >= ours))
}

/// Both policies together: of a feature that both name, ours, which turns it off.
pub(super) fn merged_permissions(backend: &HeaderValue, ours: &HeaderValue) -> HeaderValue {
    let (Ok(backend), Ok(off)) = (backend.to_str(), ours.to_str()) else { return ours.clone() };
    let feature = |directive: &str| directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
    let named: Vec<_> = off.split(',').map(feature).collect();
    let theirs = directives(backend).filter(|directive| !named.contains(&feature(directive)));
    let merged = theirs.chain(off.split(',').map(str::trim)).collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(merged).unwrap_or_else(|_| ours.clone())
}

/// The directives of a policy. A comma inside parentheses or quotes is no border between two.
fn directives(policy: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut is_quoted) = (0_usize, false);
    policy
        .split(move |letter| {
            match letter {
                '"' => is_quoted = !is_quoted,
                '(' if !is_quoted => depth += 1,
                ')' if !is_quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            letter == ',' && depth == 0 && !is_quoted
        })
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
}

/// Both promises together: the longer time, and what either adds to it (RFC 6797, 6.1).
pub(super) fn merged_hsts(backend: &HeaderValue, ours: &HeaderValue) -> HeaderValue {
    let (Some(theirs), Some(own)) = (Hsts::parse(backend), Hsts::parse(ours)) else { return ours.clone() };
    let merged = Hsts {
        max_age: theirs.max_age.max(own.max_age),
        has_subdomains: theirs.has_subdomains || own.has_subdomains,
        has_preload: theirs.has_preload || own.has_preload,
    };
    if merged == theirs { backend.clone() } else { merged.value().unwrap_or_else(|| ours.clone()) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hsts {
    max_age: u64,
    has_subdomains: bool,
    has_preload: bool,
}

impl Hsts {
    fn parse(value: &HeaderValue) -> Option<Self> {
        let mut parsed = Self { max_age: 0, has_subdomains: false, has_preload: false };
        let mut has_age = false;
        for directive in value.to_str().ok()?.split(';').map(str::trim) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "max-age" => {
                    parsed.max_age = value.trim().trim_matches('"').parse().ok()?;
                    has_age = true;
                }
                "includesubdomains" => parsed.has_subdomains = true,
                "preload" => parsed.has_preload = true,
                _ => {}
            }
        }
        has_age.then_some(parsed)
    }

    fn value(self) -> Option<HeaderValue> {
        let subdomains = if self.has_subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.has_preload { "; preload" } else { "" };
        HeaderValue::try_from(format!("max-age={}{subdomains}{preload}", self.max_age)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> HeaderValue {
        HeaderValue::from_str(text).unwrap()
    }

    #[test]
    fn a_stricter_referrer_policy_stays() {
        let ours = value("strict-origin-when-cross-origin");
        for (backend, stays) in [
            ("no-referrer", true),
            ("Same-Origin", true),
            ("strict-origin-when-cross-origin", true),
            ("origin", false),
            ("unsafe-url", false),
            ("no-referrer, unsafe-url", false),
            ("unsafe-url, no-referrer", true),
            ("no-referrer, new-policy", true),
            ("nonsense", false),
            ("", false),
        ] {
            assert_eq!(keeps_referrer_policy(&value(backend), &ours), stays, "{backend}");
        }
    }

    #[test]
    fn permissions_are_what_both_allow() {
        let ours = value("camera=(), geolocation=()");
        for (backend, merged) in [
            ("camera=(self)", "camera=(), geolocation=()"),
            ("usb=()", "usb=(), camera=(), geolocation=()"),
            ("usb=(self \"https://a.test,b\"), Camera=*", "usb=(self \"https://a.test,b\"), camera=(), geolocation=()"),
            ("usb=self;report-to=\"a,(b\", camera=*", "usb=self;report-to=\"a,(b\", camera=(), geolocation=()"),
            (
                "usb=(self;report-to=\")\"), camera=*, hid=()",
                "usb=(self;report-to=\")\"), hid=(), camera=(), geolocation=()",
            ),
            ("", "camera=(), geolocation=()"),
        ] {
            assert_eq!(merged_permissions(&value(backend), &ours), merged, "{backend}");
        }
    }

    #[test]
    fn hsts_is_what_both_promise() {
        let ours = value("max-age=100; includeSubDomains");
        for (backend, merged) in [
            ("max-age=1", "max-age=100; includeSubDomains"),
            ("max-age=200", "max-age=200; includeSubDomains"),
            ("max-age=1; preload", "max-age=100; includeSubDomains; preload"),
            ("MAX-AGE=\"200\" ; includesubdomains", "MAX-AGE=\"200\" ; includesubdomains"),
            ("nonsense", "max-age=100; includeSubDomains"),
        ] {
            assert_eq!(merged_hsts(&value(backend), &ours), merged, "{backend}");
        }
    }
}
