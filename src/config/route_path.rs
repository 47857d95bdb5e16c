//! Which paths a route takes.

use http::HeaderValue;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoutePath {
    /// On segment borders; ends with `/` or is matched as if it did.
    Prefix(String),
    Exact(String),
}

impl RoutePath {
    /// As X-Forwarded-Prefix names it: without a slash at its end. `None` for the root.
    pub fn as_prefix(&self) -> Option<HeaderValue> {
        let (Self::Prefix(path) | Self::Exact(path)) = self;
        let path = path.trim_end_matches('/');
        if path.is_empty() { None } else { HeaderValue::try_from(path).ok() }
    }
}
