//! The head that goes to the backend: hop-by-hop fields out, forwarded fields in, the route's prefix off.

use http::request::Parts;
use http::{HeaderValue, Uri, Version, header};

use crate::error::Failure;
use crate::headers::{self, Forward, Hop};
use crate::http::exchange::Exchange;
use crate::site::Route;

/// Makes the client's head the proxy's own: hop-by-hop fields out, forwarded fields in.
pub(super) fn prepare(exchange: &mut Exchange, head: &mut Parts) -> Result<Hop, Failure> {
    if let (None, Some(authority)) = (head.headers.get(header::HOST), head.uri.authority()) {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadHost)?;
        head.headers.insert(header::HOST, host);
    }
    if exchange.route().stripped.is_some() {
        head.uri = without_prefix(exchange.route(), &head.uri)?;
    }
    let mut hop = headers::strip_request(&mut head.headers).map_err(|_| Failure::BadConnectionHeader)?;
    if head.version != Version::HTTP_11 {
        // RFC 9110, 7.8: an Upgrade in HTTP/1.0 is ignored; HTTP/2 has none.
        hop.upgrade = None;
    }
    if head.version == Version::HTTP_2 {
        headers::join_cookies(&mut head.headers);
    }
    head.headers.remove(header::EXPECT);
    let conn = exchange.conn().clone();
    let host = head.headers.get(header::HOST).cloned();
    let forward = Forward {
        sender: conn.sender(),
        trusted: exchange.request.client.is_trusted,
        client: exchange.request.client.ip,
        request_id: &exchange.request.id_value,
        host: host.as_ref(),
        stripped: exchange.route().stripped.as_ref(),
        client_cert: conn.peer().client_cert.as_deref().filter(|_| exchange.route().tells_client_cert),
    };
    exchange.request.trace = Some(forward.apply(&mut head.headers));
    Ok(hop)
}

/// nginx's `proxy_pass http://app/` in a `location /prefix/`: what follows the prefix, as the client wrote it.
fn without_prefix(route: &Route, uri: &Uri) -> Result<Uri, Failure> {
    let mut target = route.behind_prefix(uri.path());
    if let Some(query) = uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().map_err(|_| Failure::BadPath)?);
    Uri::from_parts(parts).map_err(|_| Failure::BadPath)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    const CONFIG: &str = r#"
[[site]]
hosts = ["app.test"]
service = "app"
[[site.route]]
path = "/api/"
strip_prefix = true
service = "app"
[service.app]
backends = ["127.0.0.1:1"]
"#;

    #[test]
    fn what_follows_the_prefix_is_sent_as_it_was_written() {
        let snapshot = Snapshot::of_text(CONFIG);
        let sites = &snapshot.sites;
        let route = sites.find("app.test").map(|site| sites.at(site).route("/api/")).unwrap();
        for (sent, left) in [
            ("/api/", "/"),
            ("/api", "/"),
            ("/api/a%20b?x=%41&y", "/a%20b?x=%41&y"),
            ("/api//a", "/a"),
            ("/%61pi/a b".replace(' ', "%20").as_str(), "/a%20b"),
            ("https://app.test/api/a?b", "https://app.test/a?b"),
        ] {
            let uri = without_prefix(route, &sent.parse().unwrap()).unwrap();
            assert_eq!(uri.to_string(), left, "{sent}");
        }
    }
}
