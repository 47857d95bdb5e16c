//! What one path of a site does, with everything prepared that a request would otherwise compute.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

use super::path::behind_segments;
use crate::config::{self, Balance, BufferSizes, RoutePath, ZoneKey};
use crate::headers::SecurityHeaders;
use crate::limit::Limiter;
use crate::metrics::{Series, ServiceSeries, ZoneSeries};
use crate::policy::cors::Cors;
use crate::policy::methods::AllowedMethods;
use crate::policy::pages::ErrorPages;
use crate::service::Service;

/// A route with its zones, headers and counters at hand.
#[derive(Debug)]
pub struct Route {
    /// The name of the site it belongs to.
    pub site: Arc<str>,
    pub path: RoutePath,
    /// The path as text, for the log.
    pub label: Arc<str>,
    pub action: RouteAction,
    pub limits: Vec<Limit>,
    pub allow: Vec<IpNet>,
    pub deny: Vec<IpNet>,
    pub body_size: u64,
    pub body_timeout: Duration,
    pub buffers: BufferSizes,
    pub security: SecurityHeaders,
    /// `None`: all.
    pub methods: Option<AllowedMethods>,
    /// `None`: the app's own business.
    pub cors: Option<Cors>,
    pub errors: ErrorPages,
    /// HTTP/1.1 clients get them too.
    pub early_hints: bool,
    /// What is cut off the path before it goes to the service, and told as X-Forwarded-Prefix; `None`: nothing.
    pub stripped: Option<HeaderValue>,
    /// The site asks clients for certificates, and its backends are told of them.
    pub tells_client_cert: bool,
    pub series: Arc<Series>,
}

#[derive(Debug)]
pub enum RouteAction {
    Service(ServiceTarget),
    Redirect { to: String, status: StatusCode },
    Respond { status: StatusCode, body: Bytes, content_type: HeaderValue },
}

/// A service, with this snapshot's settings for it.
#[derive(Debug)]
pub struct ServiceTarget {
    pub service: Arc<Service>,
    pub settings: Arc<config::ServiceConfig>,
    pub series: Arc<ServiceSeries>,
}

/// A zone that the route's requests are taken from.
#[derive(Debug)]
pub struct Limit {
    pub limiter: Arc<Limiter>,
    pub series: Arc<ZoneSeries>,
}

impl Route {
    /// The service's name, for the log.
    pub fn service_name(&self) -> Option<&str> {
        match &self.action {
            RouteAction::Service(target) => Some(target.service.name()),
            RouteAction::Redirect { .. } | RouteAction::Respond { .. } => None,
        }
    }

    /// Prefixes match on segment borders: `/api/` takes `/api`, `/api/` and `/api/x`, not `/apis`.
    pub fn matches(&self, path: &str) -> bool {
        match &self.path {
            RoutePath::Exact(exact) => path == exact,
            RoutePath::Prefix(prefix) => rest_after(prefix, path).is_some(),
        }
    }

    /// What follows the route's prefix in a path that the route matches, as the client wrote it, with one slash before it.
    pub fn behind_prefix(&self, path: &str) -> String {
        match &self.path {
            RoutePath::Exact(_) => "/".to_owned(),
            RoutePath::Prefix(prefix) => {
                let segments = prefix.split('/').filter(|segment| !segment.is_empty());
                behind_segments(path, segments.count())
            }
        }
    }

    /// Whether a request's field decides something here: a zone's key, or the backend.
    pub fn reads(&self, name: &HeaderName) -> bool {
        let is_key = |limit: &Limit| matches!(&limit.limiter.zone().key, ZoneKey::Header(key) if key == name);
        let is_hashed =
            |target: &ServiceTarget| matches!(&target.settings.balance, Balance::HashHeader(key) if key == name);
        self.limits.iter().any(is_key) || matches!(&self.action, RouteAction::Service(target) if is_hashed(target))
    }

    /// Whether a request that has met this route's rules has met those of `other`, which would send it to the same place.
    pub fn covers(&self, other: &Self) -> bool {
        let is_limited = |limit: &Limit| self.limits.iter().any(|own| Arc::ptr_eq(&own.limiter, &limit.limiter));
        std::ptr::eq(self, other)
            || self.service_name().is_none()
            || self.service_name() == other.service_name()
                && other.limits.iter().all(is_limited)
                && other.deny.iter().all(|net| self.deny.contains(net))
                && (other.allow.is_empty() || self.allow == other.allow)
                && self.methods_cover(other)
                && self.body_size <= other.body_size
    }

    /// Whether a method may come.
    pub fn takes(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| methods.has(method))
    }

    fn methods_cover(&self, other: &Self) -> bool {
        let within = |others: &AllowedMethods| self.methods.as_ref().is_some_and(|own| own.is_within(others));
        other.methods.as_ref().is_none_or(within)
    }

    /// `deny` first, then `allow` if there is any.
    pub fn admits(&self, client: IpAddr) -> bool {
        if self.deny.is_empty() && self.allow.is_empty() {
            return true;
        }
        let within = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&client));
        !within(&self.deny) && (self.allow.is_empty() || within(&self.allow))
    }
}

fn rest_after<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::rest_after;

    #[test]
    fn prefixes_match_on_segment_borders() {
        assert_eq!(rest_after("/api/", "/api"), Some(""));
        assert_eq!(rest_after("/api/", "/api/x"), Some("/x"));
        assert_eq!(rest_after("/api", "/api/x"), Some("/x"));
        assert_eq!(rest_after("/api/", "/apis"), None);
        assert_eq!(rest_after("/", "/anything"), Some("/anything"));
    }
}
