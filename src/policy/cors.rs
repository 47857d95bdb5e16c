//! Which pages of other origins may read the answers (Fetch, 3.3): their preflights are answered here, and every answer says it.
//!
//! Where it is on, it alone decides: what the backend says of the origin and of credentials is replaced.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::config::{CorsConfig, OriginPattern};

/// What a preflight is told where nothing is listed: all that a page may ask for.
const ALL_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// The rules of a route, their values ready to be sent.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<OriginPattern>,
    methods: HeaderValue,
    /// `None`: those that are asked for.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

impl Cors {
    /// `None`: no origin is listed. `methods`: those of the route, if it has a list.
    pub fn compile(config: &CorsConfig, methods: Option<HeaderValue>) -> Option<Self> {
        let CorsConfig { origins, expose, credentials, max_age, .. } = config;
        let own = listed(config.methods.iter().map(Method::as_str));
        (!origins.is_empty()).then(|| Self {
            origins: origins.clone(),
            methods: own.or(methods).unwrap_or(ALL_METHODS),
            headers: listed(config.headers.iter().map(HeaderName::as_str)),
            expose: listed(expose.iter().map(HeaderName::as_str)),
            credentials: *credentials,
            max_age: HeaderValue::from(max_age.as_secs()),
        })
    }

    /// Says in an answer's head whether the page of this origin may read it.
    pub fn apply(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        match self.allowed(origin) {
            Some(allowed) => drop(headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed)),
            None => drop(headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN)),
        }
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            if self.credentials {
                headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            if let Some(expose) = &self.expose {
                headers.append(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
            }
        }
        if !self.is_fixed() && !varies_by_origin(headers) {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// What the answer to a preflight has besides what every answer has.
    pub fn preflight(&self, asked: &HeaderMap) -> HeaderMap {
        const ASKED_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;
        const ASKED_HEADERS: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
        let mut fields = HeaderMap::new();
        let headers = self.headers.clone().or_else(|| asked.get(ASKED_HEADERS).cloned());
        if self.headers.is_none() {
            fields.append(header::VARY, HeaderValue::from_name(ASKED_HEADERS));
        }
        if self.allowed(asked.get(header::ORIGIN)).is_none() || !asked.contains_key(ASKED_METHOD) {
            return fields;
        }
        fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        fields.extend(headers.map(|headers| (header::ACCESS_CONTROL_ALLOW_HEADERS, headers)));
        fields.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        fields
    }

    /// The value of Access-Control-Allow-Origin.
    fn allowed(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        if self.is_fixed() {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = origin?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|pattern| pattern.matches(text)).then(|| origin.clone())
    }

    /// One answer for all origins.
    fn is_fixed(&self) -> bool {
        self.origins.contains(&OriginPattern::Any)
    }
}

/// Whether a browser asks before it sends the request that it is about (Fetch, 4.8). Any other OPTIONS is the app's.
pub fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && head.headers.contains_key(header::ORIGIN)
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|name| matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("origin"))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let text = names.collect::<Vec<_>>().join(", ");
    HeaderValue::from_str(&text).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        let origins = origins.iter().map(|text| text.parse().unwrap()).collect();
        let config = CorsConfig { origins, credentials, max_age: Duration::from_mins(1), ..CorsConfig::default() };
        Cors::compile(&config, None).unwrap()
    }

    fn answered(cors: &Cors, origin: Option<&'static str>, fields: &[(HeaderName, &'static str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        cors.apply(origin.map(HeaderValue::from_static).as_ref(), &mut headers);
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn an_origin_is_echoed_if_it_is_listed_and_every_answer_varies() {
        let cors = cors(&["https://app.test", "https://*.pages.test"], true);
        let good =
            ["access-control-allow-credentials: true", "access-control-allow-origin: https://app.test", "vary: Origin"];
        assert_eq!(answered(&cors, Some("https://app.test"), &[]), good);
        for origin in [None, Some("https://evil.test"), Some("null")] {
            assert_eq!(answered(&cors, origin, &[]), ["vary: Origin"], "{origin:?}");
        }
    }

    #[test]
    fn the_apps_own_fields_are_not_doubled_and_what_it_exposes_stays() {
        let cors = cors(&["https://app.test"], false);
        let own = [
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "X-Total"),
            (header::VARY, "Accept, origin"),
        ];
        let expected = [
            "access-control-allow-origin: https://app.test",
            "access-control-expose-headers: X-Total",
            "vary: Accept, origin",
        ];
        assert_eq!(answered(&cors, Some("https://app.test"), &own), expected);
        assert_eq!(answered(&cors, Some("https://evil.test"), &own), expected[1..]);
    }

    #[test]
    fn any_origin_is_one_answer_for_all() {
        let cors = cors(&["*"], false);
        for origin in [None, Some("https://app.test")] {
            assert_eq!(answered(&cors, origin, &[]), ["access-control-allow-origin: *"]);
        }
    }
}
