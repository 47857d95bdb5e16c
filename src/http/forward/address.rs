//! A request's target, version, Host and upgrade fields in the form that the chosen connection speaks.

use http::uri::{PathAndQuery, Scheme as UriScheme};
use http::{HeaderValue, Request, Uri, Version, header};

use crate::config::UpstreamHost;
use crate::headers::Hop;
use crate::service::Backend;

/// To be called anew for each try: the next connection may speak another version.
pub(super) fn address<B>(request: &mut Request<B>, is_h2: bool, backend: &Backend, host: &UpstreamHost, hop: &Hop) {
    match host {
        UpstreamHost::Preserve => {}
        UpstreamHost::Literal(host) => {
            request.headers_mut().insert(header::HOST, host.clone());
        }
        UpstreamHost::Backend => {
            if let Ok(host) = HeaderValue::from_str(&backend.addr().authority()) {
                request.headers_mut().insert(header::HOST, host);
            }
        }
    }
    if is_h2 {
        address_h2(request, hop);
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() || request.uri().path_and_query().is_none() {
        *request.uri_mut() = origin_form(request.uri());
    }
    if let Some(upgrade) = &hop.upgrade {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        request.headers_mut().insert(header::UPGRADE, upgrade.clone());
    }
    if hop.te_trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("TE"));
    }
}

fn address_h2<B>(request: &mut Request<B>, hop: &Hop) {
    let authority = request.headers_mut().remove(header::HOST);
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(UriScheme::HTTP);
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
