//! What every answer carries, from a backend or from the proxy itself.

use http::{HeaderMap, HeaderValue, header};

use crate::headers::X_REQUEST_ID;
use crate::http::exchange::Exchange;

/// Adds the security fields, who may read it, the cookies of a known client, the request's id, and `Connection: close` to the connection's last
/// answer.
pub fn finish_headers(exchange: &Exchange, headers: &mut HeaderMap) {
    let conn = exchange.conn();
    exchange.route().security.apply(headers, exchange.request.client.is_https);
    if let Some(cors) = &exchange.route().cors {
        cors.apply(exchange.request.origin(), headers);
    }
    if let Some(visitor) = &exchange.progress.visitor {
        let service = exchange.route().service_name().unwrap_or_default();
        let backend = exchange.progress.in_flight.as_ref().and_then(|in_flight| in_flight.backend());
        let answered = backend.filter(|_| exchange.progress.upstream.is_some());
        visitor.tell(service, &conn.worker().shared.signer, answered.map(|backend| &**backend), headers);
    }
    let mut id = exchange.request.id_value.clone();
    // Never indexed (RFC 7541, 6.2.3): each value is new, and would push repeated fields out of the compression table.
    id.set_sensitive(exchange.request.is_h2());
    headers.insert(X_REQUEST_ID, id);
    if conn.is_finishing() && !exchange.request.is_h2() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
