//! A request's target, version, Host and upgrade fields in the form that the chosen connection speaks.

use http::uri::{PathAndQuery, Scheme as UriScheme};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use http_body::Body;

use crate::config::UpstreamHost;
use crate::headers::Hop;
use crate::service::Backend;
use crate::types::Scheme;

/// Call it again for each try: the next connection may speak another version.
pub(super) fn address<B: Body>(
    request: &mut Request<B>,
    is_h2: bool,
    backend: &Backend,
    host: &UpstreamHost,
    hop: &Hop,
) {
    match host {
        UpstreamHost::Preserve if request.headers().contains_key(header::HOST) => {}
        UpstreamHost::Literal(host) => {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        // A client that speaks HTTP/1.0 may have named none.
        UpstreamHost::Preserve | UpstreamHost::Backend => {
            if let Ok(host) = HeaderValue::from_str(&backend.addr().authority()) {
                request.headers_mut().insert(header::HOST, host);
            }
        }
    }
    if is_h2 {
        address_h2(request, uri_scheme(backend), hop);
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() || request.uri().path_and_query().is_none() {
        *request.uri_mut() = origin_form(request.uri());
    }
    frame(request);
    ask_hop(request.headers_mut(), hop);
}

/// The codec frames every body but those of GET and HEAD whose length is not known: it would drop them.
fn frame<B: Body>(request: &mut Request<B>) {
    let is_unusual = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_unusual
        && request.body().size_hint().exact().is_none()
        && !request.headers().contains_key(header::CONTENT_LENGTH)
    {
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Asks the backend for what the client has asked us for; Connection names each of these fields (RFC 9110, 7.6.1).
fn ask_hop(headers: &mut HeaderMap, hop: &Hop) {
    let options = match (&hop.upgrade, hop.te_trailers) {
        (None, false) => return,
        (Some(_), false) => "upgrade",
        (None, true) => "TE",
        (Some(_), true) => "upgrade, TE",
    };
    headers.insert(header::CONNECTION, HeaderValue::from_static(options));
    if let Some(upgrade) = &hop.upgrade {
        headers.insert(header::UPGRADE, upgrade.clone());
    }
    if hop.te_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// What `:scheme` says: how the backend itself is reached.
fn uri_scheme(backend: &Backend) -> UriScheme {
    if backend.addr().scheme == Scheme::Https { UriScheme::HTTPS } else { UriScheme::HTTP }
}

fn address_h2<B>(request: &mut Request<B>, scheme: UriScheme, hop: &Hop) {
    let authority = request.headers_mut().remove(header::HOST);
    request.headers_mut().remove(header::TRANSFER_ENCODING);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = authority.and_then(|host| http::uri::Authority::try_from(host.as_bytes()).ok());
    parts.path_and_query = request.uri().path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = Version::HTTP_2;
    if hop.te_trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Endpoint;
    use crate::upstream::Outgoing;

    fn backend() -> Backend {
        Backend::new("app.internal:8000".parse().unwrap(), Endpoint::Tcp("127.0.0.1:8000".parse().unwrap()))
    }

    fn request(uri: &str) -> Request<Outgoing> {
        Request::get(uri).version(Version::HTTP_2).header(header::HOST, "app.test").body(Outgoing::Empty).unwrap()
    }

    fn hop(upgrade: Option<&'static str>, te_trailers: bool) -> Hop {
        Hop { upgrade: upgrade.map(HeaderValue::from_static), te_trailers }
    }

    fn field<'r>(request: &'r Request<Outgoing>, name: &str) -> Option<&'r str> {
        request.headers().get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn http_1_gets_the_origin_form_and_keeps_the_clients_host() {
        for (sent, target) in [("https://app.test/a?b", "/a?b"), ("/a?b", "/a?b"), ("https://app.test", "/")] {
            let mut request = request(sent);
            address(&mut request, false, &backend(), &UpstreamHost::Preserve, &hop(None, false));
            assert_eq!((request.uri().to_string().as_str(), request.version()), (target, Version::HTTP_11));
            assert_eq!(field(&request, "host"), Some("app.test"));
            assert_eq!((field(&request, "connection"), field(&request, "te")), (None, None));
        }
    }

    #[test]
    fn http_2_gets_the_host_as_authority_and_never_an_upgrade() {
        let mut request = request("/a?b");
        address(&mut request, true, &backend(), &UpstreamHost::Preserve, &hop(Some("websocket"), true));
        assert_eq!((request.uri().to_string().as_str(), request.version()), ("http://app.test/a?b", Version::HTTP_2));
        assert_eq!((field(&request, "host"), field(&request, "te")), (None, Some("trailers")));
        assert_eq!((field(&request, "connection"), field(&request, "upgrade")), (None, None));
    }

    #[test]
    fn http_2_says_by_which_scheme_the_backend_is_reached() {
        for (written, scheme) in [("h2c://app:1", "http"), ("https://app:1", "https")] {
            let backend = Backend::new(written.parse().unwrap(), Endpoint::Tcp("127.0.0.1:1".parse().unwrap()));
            let mut request = request("http://app.test/");
            address(&mut request, true, &backend, &UpstreamHost::Preserve, &hop(None, false));
            assert_eq!(request.uri().scheme_str(), Some(scheme));
        }
    }

    #[test]
    fn the_host_is_what_the_service_says() {
        let sent = |host: &UpstreamHost, is_h2| {
            let mut request = request("/");
            address(&mut request, is_h2, &backend(), host, &hop(None, false));
            let authority = request.uri().authority().map(ToString::to_string);
            authority.or(field(&request, "host").map(str::to_owned)).unwrap()
        };
        for is_h2 in [false, true] {
            assert_eq!(sent(&UpstreamHost::Backend, is_h2), "app.internal:8000");
            assert_eq!(sent(&UpstreamHost::Literal(HeaderValue::from_static("x.test")), is_h2), "x.test");
        }
    }

    #[test]
    fn hop_by_hop_fields_are_made_anew() {
        let mut upgrade = request("/");
        address(&mut upgrade, false, &backend(), &UpstreamHost::Preserve, &hop(Some("websocket"), false));
        assert_eq!((field(&upgrade, "connection"), field(&upgrade, "upgrade")), (Some("upgrade"), Some("websocket")));
        let mut trailers = request("/");
        address(&mut trailers, false, &backend(), &UpstreamHost::Preserve, &hop(None, true));
        assert_eq!((field(&trailers, "connection"), field(&trailers, "te")), (Some("TE"), Some("trailers")));
        let mut both = request("/");
        address(&mut both, false, &backend(), &UpstreamHost::Preserve, &hop(Some("websocket"), true));
        assert_eq!(field(&both, "connection"), Some("upgrade, TE"));
    }

    #[test]
    fn a_client_that_names_no_host_asks_the_backend_s() {
        for is_h2 in [false, true] {
            let mut nameless = request("/");
            nameless.headers_mut().remove(header::HOST);
            address(&mut nameless, is_h2, &backend(), &UpstreamHost::Preserve, &hop(None, false));
            let authority = nameless.uri().authority().map(http::uri::Authority::as_str);
            assert_eq!(authority.or(field(&nameless, "host")), Some("app.internal:8000"));
        }
    }
}
