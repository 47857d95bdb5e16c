//! What a site and its routes have in common, and how a route inherits it.
//!
//! A route's own key replaces the site's, lists as a whole (as nginx's `limit_req` does). `allow` and `deny` are
//! inherited each by itself: a route's `deny` never opens what the site's `allow` closed.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use ipnet::IpNet;

use super::context::SiteContext;
use super::{action, cors};
use crate::config::model::{ActionConfig, BufferSizes, HeaderPolicy, Hsts, Preset, RouteConfig};
use crate::config::policy::cors::CorsConfig;
use crate::config::policy::error_folder::{self, ErrorFolder};
use crate::config::read::{Mistake, Table, Value};
use crate::config::resolve::parse::{method, network, request_path, status};
use crate::config::resolve::service::{BUFFERS, Services};
use crate::config::resolve::{headers, process};
use crate::config::route_path::RoutePath;
use crate::types::parse_duration;

const YEAR: Duration = Duration::from_hours(365 * 24);

/// RFC 6797, 6.1.1.
const FORGET: Hsts = Hsts { max_age: Duration::ZERO, include_subdomains: false, preload: false };

/// The keys that a site and a route share; what is not given is filled in from above.
#[derive(Clone)]
pub struct InheritedKeys {
    pub action: Option<ActionConfig>,
    limit: Vec<Arc<str>>,
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    body_size: u64,
    body_timeout: Duration,
    buffer_requests: Option<usize>,
    buffer_responses: Option<usize>,
    headers: HeaderPolicy,
    hsts: Option<Hsts>,
    early_hints: bool,
    methods: Vec<Method>,
    cors: CorsConfig,
    errors: Option<Arc<ErrorFolder>>,
    errors_intercept: Vec<StatusCode>,
}

impl InheritedKeys {
    /// What a site inherits.
    pub fn above(context: &SiteContext<'_>) -> Self {
        Self {
            action: None,
            limit: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            body_size: context.limits.body_size,
            body_timeout: context.limits.body_timeout,
            buffer_requests: None,
            buffer_responses: None,
            headers: HeaderPolicy { preset: Preset::Secure, changes: Vec::new() },
            hsts: Some(Hsts { max_age: YEAR, include_subdomains: false, preload: false }),
            early_hints: false,
            methods: Vec::new(),
            cors: CorsConfig::default(),
            errors: None,
            errors_intercept: Vec::new(),
        }
    }

    /// What is given in the table, over `self`.
    pub fn overlaid(self, t: &mut Table<'_>, context: &SiteContext<'_>) -> Self {
        warn_of_compress(t);
        let read_file = t.document().outside().file;
        Self {
            action: action::read(t, context.services).or(self.action),
            limit: t.list("limit", |v| zone(v, context)).unwrap_or(self.limit),
            allow: t.list("allow", network).unwrap_or(self.allow),
            deny: t.list("deny", network).unwrap_or(self.deny),
            body_size: t.read("body_size", self.body_size, process::body_size),
            body_timeout: t.read("body_timeout", self.body_timeout, Value::duration_above_zero),
            buffer_requests: t.optional("buffer_requests", process::buffer_size).or(self.buffer_requests),
            buffer_responses: t.optional("buffer_responses", process::buffer_size).or(self.buffer_responses),
            headers: t.read("headers", self.headers, |v| headers::choose(v, context.policies)),
            hsts: t.read("hsts", self.hsts, hsts),
            early_hints: t.read("early_hints", self.early_hints, Value::boolean),
            methods: t.list("methods", method).unwrap_or(self.methods),
            cors: cors::read(t).unwrap_or(self.cors),
            errors: t
                .read("errors", self.errors, |v| v.unless_empty(|v| error_folder::read(v, read_file).map(Arc::new))),
            errors_intercept: t.list("errors_intercept", |v| status(v, 400, 599)).unwrap_or(self.errors_intercept),
        }
    }

    /// `None` when nothing answers.
    pub fn into_route(self, path: RoutePath, strip_prefix: bool, services: &Services) -> Option<RouteConfig> {
        let action = self.action?;
        let of_service = match &action {
            ActionConfig::Service(name) => services.get(name).map(|service| service.buffers),
            ActionConfig::Redirect { .. } | ActionConfig::Respond { .. } => None,
        };
        let above = of_service.unwrap_or(BUFFERS);
        Some(RouteConfig {
            path,
            action,
            limit: self.limit,
            allow: self.allow,
            deny: self.deny,
            body_size: self.body_size,
            body_timeout: self.body_timeout,
            buffers: BufferSizes {
                requests: self.buffer_requests.unwrap_or(above.requests),
                responses: self.buffer_responses.unwrap_or(above.responses),
            },
            headers: self.headers,
            hsts: self.hsts,
            early_hints: self.early_hints,
            methods: self.methods,
            cors: self.cors,
            errors: self.errors,
            errors_intercept: self.errors_intercept,
            strip_prefix,
        })
    }
}

/// `"/api/"` or `"=/exact"`.
pub fn path(value: &Value<'_>) -> Result<RoutePath, Mistake> {
    let text = value.text()?;
    let (exact, path) = match text.strip_prefix('=') {
        Some(path) => (true, path),
        None => (false, text.as_ref()),
    };
    if !path.starts_with('/') {
        let equals = if exact { "=" } else { "" };
        return Err(
            Mistake::new(format!("{text:?} does not start with \"/\"")).help(format!("write \"{equals}/{path}\""))
        );
    }
    request_path(path)?;
    if path.contains(['?', '#', '*']) {
        return Err(Mistake::new(format!("{text:?} is more than a path"))
            .help("a prefix (\"/api/\") or one path (\"=/exact\"); no query, no wildcard"));
    }
    if path.contains("//") || path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(Mistake::new(format!("{text:?} is not in normal form"))
            .help("leave \"//\", \".\" and \"..\" out: no request would match"));
    }
    Ok(if exact { RoutePath::Exact(path.to_owned()) } else { RoutePath::Prefix(path.to_owned()) })
}

/// A zone that exists.
fn zone(value: &Value<'_>, context: &SiteContext<'_>) -> Result<Arc<str>, Mistake> {
    let name = value.text()?;
    if let Some((name, _)) = context.zones.get_key_value(name.as_ref()) {
        return Ok(name.clone());
    }
    let known = context.zones.keys().map(AsRef::as_ref);
    let mistake = Mistake::unknown(format!("there is no zone {name:?}"), &name, known);
    Err(if mistake.help.is_some() { mistake } else { mistake.help(format!("add [zone.{name}]")) })
}

/// `"off"` sends nothing; `"0s"` tells browsers to forget (RFC 6797). `"1y; includeSubDomains; preload"`.
fn hsts(value: &Value<'_>) -> Result<Option<Hsts>, Mistake> {
    const DIRECTIVES: [&str; 2] = ["includeSubDomains", "preload"];
    let Ok(text) = value.text() else { return value.duration().map(|max_age| Some(Hsts { max_age, ..FORGET })) };
    if text == "off" {
        return Ok(None);
    }
    let mut parts = text.split(';').map(str::trim);
    let mut hsts = Hsts { max_age: parse_duration(parts.next().unwrap_or_default())?, ..FORGET };
    for directive in parts {
        match DIRECTIVES.iter().position(|known| known.eq_ignore_ascii_case(directive)) {
            Some(0) => hsts.include_subdomains = true,
            Some(_) => hsts.preload = true,
            None => return Err(Mistake::unknown(format!("{directive:?} is no part of HSTS"), directive, DIRECTIVES)),
        }
    }
    if hsts.preload && (!hsts.include_subdomains || hsts.max_age < YEAR) {
        let mistake = Mistake::new("`preload` needs a year and the subdomains");
        return Err(mistake.help("\"1y; includeSubDomains; preload\" (hstspreload.org)"));
    }
    Ok(Some(hsts))
}

fn warn_of_compress(t: &mut Table<'_>) {
    let on = t.read("compress", false, Value::boolean);
    if let Some(span) = t.key_span("compress").filter(|_| on) {
        t.warn("`compress` has no effect yet", span, "answers go out as the backend encoded them");
    }
}
