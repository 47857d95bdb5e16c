//! Our cookies: their names, and the form in which they are set.

use std::time::Duration;

use http::HeaderValue;

/// Every cookie of ours begins with this; the service's name follows after the rest of its prefix.
pub const OURS: &str = "edge_";

const PREVIEW: &str = "edge_preview_";
const CANARY: &str = "edge_canary_";
const STICKY: &str = "edge_sticky_";

/// One of ours, and the service that it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OurCookie<'n> {
    Preview(&'n str),
    Canary(&'n str),
    Sticky(&'n str),
}

impl<'n> OurCookie<'n> {
    /// `None`: a cookie of the app.
    pub fn of(name: &'n str) -> Option<Self> {
        let preview = name.strip_prefix(PREVIEW).map(Self::Preview);
        let canary = || name.strip_prefix(CANARY).map(Self::Canary);
        let sticky = || name.strip_prefix(STICKY).map(Self::Sticky);
        preview.or_else(canary).or_else(sticky)
    }

    /// The field that sets it. Without an age it lives as long as the browser. `None`: `value` is nothing that a field can hold.
    pub fn set(self, value: &str, age: Option<Duration>, is_https: bool) -> Option<HeaderValue> {
        let (name, service) = match self {
            Self::Preview(service) => (PREVIEW, service),
            Self::Canary(service) => (CANARY, service),
            Self::Sticky(service) => (STICKY, service),
        };
        let age = age.map(|age| format!("; Max-Age={}", age.as_secs().max(1))).unwrap_or_default();
        // A browser does not send a secure cookie back over plain HTTP.
        let secure = if is_https { "; Secure" } else { "" };
        let text = format!("{name}{service}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cookies_are_known_by_their_prefix() {
        assert_eq!(OurCookie::of("edge_preview_app"), Some(OurCookie::Preview("app")));
        assert_eq!(OurCookie::of("edge_canary_a_b"), Some(OurCookie::Canary("a_b")));
        assert_eq!(OurCookie::of("edge_sticky_"), Some(OurCookie::Sticky("")));
        for not_ours in ["edge_", "edge_theme", "my_edge_canary_app", "Edge_canary_app", ""] {
            assert_eq!(OurCookie::of(not_ours), None, "{not_ours}");
        }
    }

    #[test]
    fn a_cookie_says_how_long_and_over_what() {
        let set = |age, is_https| OurCookie::Preview("app").set("v", age, is_https);
        assert_eq!(
            set(Some(Duration::from_mins(1)), true).unwrap(),
            "edge_preview_app=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(set(None, false).unwrap(), "edge_preview_app=v; Path=/; HttpOnly; SameSite=Lax");
        assert!(set(Some(Duration::ZERO), false).unwrap().to_str().unwrap().contains("; Max-Age=1;"));
        assert_eq!(OurCookie::Sticky("app").set("a\nb", None, true), None);
    }
}
