//! Our own answers: refusals, redirects, and what a route answers by itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use super::body::AnswerBody;
use super::fields::finish_headers;
use crate::error::Failure;
use crate::http::exchange::Exchange;
use crate::http::visit::SeeOther;
use crate::policy::methods::{ALLOW_ALL, AllowedMethods};
use crate::policy::pages::{Page, Said, grpc_status, page};
use crate::service::Maintenance;
use crate::site::RouteAction;

/// A zone that refused, and what its fields say.
pub struct Limited {
    pub status: StatusCode,
    pub fields: HeaderMap,
}

/// What edgectl answers with instead of a backend.
pub fn own(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    body: Bytes,
    content_type: Option<HeaderValue>,
    fields: HeaderMap,
) -> Response<AnswerBody> {
    exchange.outcome.status = status.as_u16();
    if exchange.progress.unread {
        exchange.conn().linger_and_close();
    }
    let mut headers = fields;
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    // RFC 9110, 8.6.
    if status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    finish_headers(&exchange, &mut headers);
    let mut response = Response::new(AnswerBody::own(body, exchange));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The answer of one row of the failure table.
pub fn refuse(exchange: Box<Exchange>, failure: Failure) -> Response<AnswerBody> {
    let status = failure.status();
    let mut fields = HeaderMap::new();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = exchange.route().methods.as_ref();
        fields.insert(header::ALLOW, methods.map_or(ALLOW_ALL, AllowedMethods::allow));
    }
    if failure.closes() && !exchange.request.is_h2() || failure.outdates_connection() {
        exchange.conn().finish();
    }
    problem(exchange, failure, status, failure.text(), fields)
}

/// A zone's refusal, under the zone's own status.
pub fn refuse_limited(exchange: Box<Exchange>, limited: Limited) -> Response<AnswerBody> {
    let failure = Failure::Limited;
    problem(exchange, failure, limited.status, failure.text(), limited.fields)
}

/// Maintenance: the operator's words, where there are any.
pub fn refuse_for_maintenance(exchange: Box<Exchange>, maintenance: &Maintenance) -> Response<AnswerBody> {
    let failure = Failure::Maintenance;
    let text = maintenance.message.as_deref().unwrap_or(failure.text());
    let mut fields = HeaderMap::new();
    fields.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    problem(exchange, failure, failure.status(), text, fields)
}

/// To another place, as the route or the site has it.
pub fn redirect(exchange: Box<Exchange>, to: &str) -> Response<AnswerBody> {
    let keeps_method = !matches!(*exchange.request.method(), Method::GET | Method::HEAD);
    let status = match &exchange.route().action {
        RouteAction::Redirect { status, .. } => *status,
        _ if keeps_method => StatusCode::PERMANENT_REDIRECT,
        _ => StatusCode::MOVED_PERMANENTLY,
    };
    let Ok(location) = HeaderValue::from_str(to) else { return refuse(exchange, Failure::BadPath) };
    let mut fields = HeaderMap::new();
    fields.insert(header::LOCATION, location);
    own(exchange, status, Bytes::new(), None, fields)
}

/// What a page of another origin may do; the browser asks before it sends what the page wants.
pub fn preflight(exchange: Box<Exchange>) -> Response<AnswerBody> {
    let asked = exchange.head.as_ref().map(|head| &head.headers);
    let fields = exchange.route().cors.as_ref().zip(asked).map(|(cors, asked)| cors.preflight(asked));
    own(exchange, StatusCode::NO_CONTENT, Bytes::new(), None, fields.unwrap_or_default())
}

/// A preview's link was followed.
pub fn see_other(exchange: Box<Exchange>, to: SeeOther) -> Response<AnswerBody> {
    let mut fields = HeaderMap::new();
    fields.insert(header::LOCATION, to.location);
    fields.insert(header::SET_COOKIE, to.cookie);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    own(exchange, StatusCode::SEE_OTHER, Bytes::new(), None, fields)
}

/// Our page in the place of a backend's answer, with those of its fields that are not about the body that goes.
pub fn intercept(exchange: Box<Exchange>, status: StatusCode, from: &HeaderMap) -> Response<AnswerBody> {
    let mut fields = HeaderMap::new();
    for (name, value) in from {
        if is_kept(name) {
            fields.append(name.clone(), value.clone());
        }
    }
    let text = if status.is_server_error() { "the server could not answer" } else { "the server has refused this" };
    with_page(exchange, status, "intercepted", text, fields)
}

/// What a client acts upon (RFC 9110, 11.6.1, 10.2.1, 10.2.3), its cookies, and who may read the answer.
fn is_kept(name: &HeaderName) -> bool {
    const KEPT: [HeaderName; 5] =
        [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ALLOW, header::SET_COOKIE, header::VARY];
    KEPT.contains(name) || name.as_str().starts_with("access-control-")
}

/// A failure's page.
fn problem(
    mut exchange: Box<Exchange>,
    failure: Failure,
    status: StatusCode,
    text: &str,
    fields: HeaderMap,
) -> Response<AnswerBody> {
    exchange.outcome.failed(failure);
    with_page(exchange, status, failure.reason(), text, fields)
}

/// A page in the form that suits the client. No cache may keep it: what it is about is soon over.
fn with_page(
    exchange: Box<Exchange>,
    status: StatusCode,
    reason: &str,
    text: &str,
    mut fields: HeaderMap,
) -> Response<AnswerBody> {
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let request = &exchange.request;
    if let Some(content_type) = request.grpc() {
        let content_type = content_type.clone();
        return refuse_call(exchange, status, text, content_type, fields);
    }
    fields.append(header::VARY, HeaderValue::from_static("Accept"));
    let pages = &exchange.route().errors;
    let is_maintenance = reason == Failure::Maintenance.reason();
    let html = if is_maintenance { pages.of_maintenance(status) } else { pages.of_status(status) };
    let said = Said { status, reason, text, request_id: request.id.as_str() };
    let Page { content_type, body } = page(&said, request.page_form(), html);
    own(exchange, status, body, Some(content_type), fields)
}

/// An answer that is one head (gRPC over HTTP/2, "Trailers-Only"). The log and the metrics have the HTTP status.
fn refuse_call(
    exchange: Box<Exchange>,
    status: StatusCode,
    text: &str,
    content_type: HeaderValue,
    mut fields: HeaderMap,
) -> Response<AnswerBody> {
    fields.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(grpc_status(status))));
    // Our own sentences have nothing in them that had to be encoded; an operator's may.
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(text)) {
        fields.insert(HeaderName::from_static("grpc-message"), message);
    }
    let mut response = own(exchange, status, Bytes::new(), Some(content_type), fields);
    *response.status_mut() = StatusCode::OK;
    response
}

/// gRPC over HTTP/2, "Percent-Encoded".
fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}
