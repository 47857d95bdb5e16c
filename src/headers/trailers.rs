//! Which fields may come in a trailer section (RFC 9110, 6.5.1).
//!
//! Some servers merge trailers into the fields of the head. So nothing may come there that frames a message, routes it, modifies
//! the request or the answer, authenticates, or says what the content is; and nothing that we set, read or act on.

use http::header::{self, HeaderMap, HeaderName};

use super::names;
use super::vouched::is_vouched;

/// `is_ours`: what the configuration has us read from the head.
pub fn strip_request_trailers(trailers: &mut HeaderMap, is_ours: impl Fn(&HeaderName) -> bool) {
    strip(trailers, |name| is_for_all(name) || is_for_requests(name) || is_vouched(name) || is_ours(name));
}

/// `is_ours`: what the configuration has us set or remove in the head.
pub fn strip_answer_trailers(trailers: &mut HeaderMap, is_ours: impl Fn(&HeaderName) -> bool) {
    strip(trailers, |name| is_for_all(name) || is_for_answers(name) || is_ours(name));
}

fn strip(trailers: &mut HeaderMap, is_refused: impl Fn(&HeaderName) -> bool) {
    let refused: Vec<HeaderName> = trailers.keys().filter(|name| is_refused(name)).cloned().collect();
    for name in &refused {
        trailers.remove(name);
    }
}

/// Framing, the connection, and what the content is.
fn is_for_all(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 15] = [
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::DATE,
        header::PRAGMA,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::VIA,
        names::X_REQUEST_ID,
    ];
    NAMES.contains(name) || begins(name, &["keep-alive", "proxy-", "http2-settings"])
}

/// Routing, controls and conditions, authentication, and what is told about the client.
fn is_for_requests(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 15] = [
        header::AUTHORIZATION,
        header::COOKIE,
        header::EXPECT,
        header::FORWARDED,
        header::FROM,
        header::HOST,
        header::MAX_FORWARDS,
        header::ORIGIN,
        header::RANGE,
        header::REFERER,
        header::USER_AGENT,
        header::UPGRADE_INSECURE_REQUESTS,
        names::TRACEPARENT,
        names::TRACESTATE,
        names::X_REAL_IP,
    ];
    let prefixes =
        ["accept", "access-control-", "if-", "sec-", "x-forwarded", "x-http-method", "x-method", "x-original-"];
    NAMES.contains(name) || begins(name, &prefixes)
}

/// Control data, authentication and cookies, and what tells a browser how to treat the answer.
fn is_for_answers(name: &HeaderName) -> bool {
    const NAMES: [HeaderName; 16] = [
        header::ACCEPT_RANGES,
        header::AGE,
        header::ALLOW,
        header::ALT_SVC,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::LOCATION,
        header::REFERRER_POLICY,
        header::REFRESH,
        header::RETRY_AFTER,
        header::SERVER,
        header::SET_COOKIE,
        header::STRICT_TRANSPORT_SECURITY,
        header::VARY,
        header::WARNING,
        header::WWW_AUTHENTICATE,
    ];
    let prefixes = [
        "access-control-",
        "clear-site-data",
        "content-disposition",
        "content-security-policy",
        "cross-origin-",
        "permissions-policy",
        "x-accel-",
        "x-content-type-options",
        "x-frame-options",
        "x-powered-by",
        "x-sendfile",
    ];
    NAMES.contains(name) || begins(name, &prefixes)
}

fn begins(name: &HeaderName, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.as_str().starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::tests::{map, names};

    const KEPT: [&str; 6] = ["content-digest", "etag", "grpc-message", "grpc-status", "server-timing", "x-sum"];

    fn with_kept(others: &[&str]) -> HeaderMap {
        map(&KEPT.iter().chain(others).map(|name| (*name, "1")).collect::<Vec<_>>())
    }

    #[test]
    fn a_request_s_trailers_carry_nothing_that_is_read_acted_on_or_set() {
        let refused = [
            "accept",
            "accept-encoding",
            "authorization",
            "cache-control",
            "connection",
            "content-encoding",
            "content-length",
            "content-type",
            "cookie",
            "expect",
            "forwarded",
            "host",
            "if-match",
            "if-none-match",
            "keep-alive",
            "max-forwards",
            "origin",
            "proxy-authorization",
            "proxy-connection",
            "range",
            "te",
            "trailer",
            "traceparent",
            "tracestate",
            "transfer-encoding",
            "upgrade",
            "via",
            "x-client-cert-subject",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-http-method-override",
            "x-real-ip",
            "x-request-id",
            "x_client_cert_subject",
            "x_forwarded_for",
            "proxy",
        ];
        let mut trailers = with_kept(&refused);
        strip_request_trailers(&mut trailers, |_| false);
        assert_eq!(names(&trailers), KEPT);
    }

    #[test]
    fn an_answer_s_trailers_do_not_change_its_head() {
        let refused = [
            "age",
            "cache-control",
            "connection",
            "content-encoding",
            "content-length",
            "content-range",
            "content-security-policy",
            "content-type",
            "date",
            "expires",
            "location",
            "proxy-authenticate",
            "retry-after",
            "server",
            "set-cookie",
            "strict-transport-security",
            "transfer-encoding",
            "vary",
            "www-authenticate",
            "x-frame-options",
            "x-request-id",
        ];
        let mut trailers = with_kept(&refused);
        strip_answer_trailers(&mut trailers, |_| false);
        assert_eq!(names(&trailers), KEPT);
    }

    #[test]
    fn what_the_configuration_names_may_not_come_later() {
        let is_ours = |name: &HeaderName| name == "x-sum";
        let (mut request, mut answer) = (with_kept(&[]), with_kept(&[]));
        strip_request_trailers(&mut request, is_ours);
        strip_answer_trailers(&mut answer, is_ours);
        assert_eq!(names(&request), KEPT[..5]);
        assert_eq!(names(&answer), KEPT[..5]);
    }
}
