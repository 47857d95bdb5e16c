//! Our own answers: refusals, redirects, and what a route answers by itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

use super::body::AnswerBody;
use super::fields::finish_headers;
use crate::error::Failure;
use crate::http::exchange::Exchange;
use crate::http::visit::SeeOther;
use crate::pages;
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
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
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
        fields.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
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
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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

/// A preview's link was followed.
pub fn see_other(exchange: Box<Exchange>, to: SeeOther) -> Response<AnswerBody> {
    let mut fields = HeaderMap::new();
    fields.insert(header::LOCATION, to.location);
    fields.insert(header::SET_COOKIE, to.cookie);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    own(exchange, StatusCode::SEE_OTHER, Bytes::new(), None, fields)
}

/// A failure's page, in the form that suits the client.
fn problem(
    mut exchange: Box<Exchange>,
    failure: Failure,
    status: StatusCode,
    text: &str,
    fields: HeaderMap,
) -> Response<AnswerBody> {
    exchange.outcome.failed(failure);
    let request = &exchange.request;
    let page = pages::problem(status, failure.reason(), text, request.id.as_str(), request.wants_json());
    own(exchange, status, page.body, Some(page.content_type), fields)
}
