//! Where a redirect leads, as its Location says it.

use std::borrow::Cow;

use http::Uri;

use super::host::Host;
use crate::site::Route;

/// The same host and path over TLS.
pub(super) fn to_tls(https_port: u16, host: &Host<'_>, uri: &Uri) -> String {
    match https_port {
        443 => format!("https://{}{}", in_url(&host.name), path_and_query(uri)),
        port => format!("https://{}:{port}{}", in_url(&host.name), path_and_query(uri)),
    }
}

/// The same path, and the port that the client named, at the site's canonical host.
pub(super) fn to_host(canonical: &str, host: &Host<'_>, is_tls: bool, uri: &Uri) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let port = host.port.map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{}{port}{}", in_url(canonical), path_and_query(uri))
}

/// A prefix route whose target ends with `/` carries the rest of the path over, as the client wrote it; the query goes along.
pub(super) fn by_route(route: &Route, to: &str, path: &str, query: Option<&str>) -> String {
    let rest = to.ends_with('/').then(|| route.behind_prefix(path));
    with_rest(to, rest.as_deref().unwrap_or_default().trim_start_matches('/'), query)
}

fn with_rest(to: &str, rest: &str, query: Option<&str>) -> String {
    let query = query.filter(|_| !to.contains('?')).map(|query| format!("?{query}")).unwrap_or_default();
    format!("{to}{rest}{query}")
}

/// As a URL writes it: IPv6 in brackets.
fn in_url(name: &str) -> Cow<'_, str> {
    if name.contains(':') { Cow::Owned(format!("[{name}]")) } else { Cow::Borrowed(name) }
}

fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |p| p.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: Option<u16>) -> Host<'_> {
        Host { name: name.into(), port }
    }

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn tls_is_at_its_own_port_and_keeps_the_path_as_written() {
        let client = host("app.test", Some(8080));
        assert_eq!(to_tls(443, &client, &uri("/a%20b?x=%41")), "https://app.test/a%20b?x=%41");
        assert_eq!(to_tls(8443, &client, &uri("/")), "https://app.test:8443/");
        assert_eq!(to_tls(443, &host("::1", None), &uri("/x")), "https://[::1]/x");
        assert_eq!(to_tls(443, &client, &uri("http://app.test")), "https://app.test/");
    }

    #[test]
    fn the_canonical_host_keeps_scheme_and_port() {
        assert_eq!(to_host("app.test", &host("www.app.test", None), true, &uri("/a?b")), "https://app.test/a?b");
        assert_eq!(to_host("app.test", &host("w.test", Some(81)), false, &uri("/")), "http://app.test:81/");
        assert_eq!(to_host("::1", &host("w.test", None), true, &uri("/")), "https://[::1]/");
    }

    #[test]
    fn the_rest_stays_as_it_was_written_and_the_query_goes_along_once() {
        assert_eq!(with_rest("/new/", "a%20b", Some("x=1")), "/new/a%20b?x=1");
        assert_eq!(with_rest("/new/", "", None), "/new/");
        assert_eq!(with_rest("https://app.test/?from=old", "", Some("x=1")), "https://app.test/?from=old");
    }
}
