//! One exchange, readable from top to bottom: receive, decide, limit, then forward or answer.

use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::answer::Answer;
use super::conn::Conn;
use super::exchange::Exchange;
use super::forward;
use super::visit::{self, SeeOther};
use crate::config::ZoneKey;
use crate::decide::{Verdict, decide, host_of};
use crate::error::Failure;
use crate::headers::X_REQUEST_ID;
use crate::limit::{self, LimitVerdict};
use crate::metrics::LimitMode;
use crate::pages;
use crate::service::Maintenance;
use crate::site::{Action, Limit, Route};
use crate::types::RequestId;

/// hyper's service. Never fails: whatever happens is an answer. What can be answered at once makes no future of its own.
pub fn handle(
    conn: &Rc<Conn>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<> {
    let bad_head = conn.begin_exchange();
    let (head, body) = request.into_parts();
    let (mut exchange, verdict, trusted) = receive(conn, head, bad_head);
    exchange.unread = !http_body::Body::is_end_stream(&body) && !exchange.is_h2();
    let answer = match verdict {
        _ if let Some(text) = key_authorization(&exchange, &verdict) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            Either::Left(ready(own(exchange, StatusCode::OK, text, Some(kind), HeaderMap::new())))
        }
        Verdict::Refuse(failure) => Either::Left(ready(refuse(exchange, failure))),
        Verdict::Redirect(to) => Either::Left(ready(redirect(exchange, &to))),
        Verdict::Pass => Either::Right(pass(exchange, body, trusted)),
    };
    answer.map(Ok)
}

/// What an authority asks for over plain HTTP while it validates a name, whatever the host and before any redirect (RFC 8555,
/// 8.3). A token that nobody waits for is a path like any other.
fn key_authorization(exchange: &Exchange, verdict: &Verdict) -> Option<Bytes> {
    let conn = exchange.conn();
    let is_understood = match verdict {
        Verdict::Pass | Verdict::Redirect(_) => true,
        Verdict::Refuse(failure) => matches!(failure, Failure::NoSite | Failure::Misdirected | Failure::Denied),
    };
    if conn.peer().tls || !is_understood || !matches!(*exchange.method(), Method::GET | Method::HEAD) {
        return None;
    }
    conn.worker().shared.challenges.key_authorization(exchange.head.as_ref()?.uri.path())
}

/// The exchange, what is decided about it, and whether its peer is trusted.
fn receive(conn: &Rc<Conn>, head: Parts, bad_head: Option<Failure>) -> (Box<Exchange>, Verdict, bool) {
    let snapshot = conn.worker().snapshot();
    let decision = decide(&snapshot, &head, conn.peer());
    let from_client = head.headers.get(X_REQUEST_ID).filter(|_| decision.trusted);
    let now = SystemTime::now();
    let id = from_client.and_then(|value| RequestId::from_client(value.as_bytes()));
    let id = id.unwrap_or_else(|| RequestId::at(now));
    let exchange = Exchange::begin(conn, decision.route, decision.client, id, now, head);
    (exchange, bad_head.map_or(decision.verdict, Verdict::Refuse), decision.trusted)
}

async fn pass(mut exchange: Box<Exchange>, body: Incoming, trusted: bool) -> Response<Answer> {
    let route = exchange.route.clone();
    if let Err(limited) = take_limits(&mut exchange, &route).await {
        return refuse_limited(exchange, limited);
    }
    match &route.action {
        Action::Service(target) => forward::forward(exchange, body, trusted, target).await,
        Action::Respond { status, body, content_type } => {
            own(exchange, *status, body.clone(), Some(content_type.clone()), HeaderMap::new())
        }
        Action::Redirect { .. } => refuse(exchange, Failure::Internal),
    }
}

/// A zone that refused, and what its fields say.
struct Limited {
    status: StatusCode,
    fields: HeaderMap,
}

/// Every zone of the route is asked in order; the first that refuses ends it.
async fn take_limits(exchange: &mut Exchange, route: &Route) -> Result<(), Limited> {
    for limit in &route.limits {
        let zone = limit.limiter.zone();
        match judge(exchange, limit) {
            LimitVerdict::Pass(_) | LimitVerdict::Exempt => {}
            _ if zone.dry_run => {
                exchange.limited = Some(zone.name.clone());
                limit.series.limited(LimitMode::DryRun);
            }
            LimitVerdict::Delay(wait, _) => {
                exchange.limited = Some(zone.name.clone());
                limit.series.limited(LimitMode::Delayed);
                Box::pin(tokio::time::sleep(wait)).await;
                exchange.has_waited = true;
            }
            LimitVerdict::Refuse(quota) => {
                exchange.limited = Some(zone.name.clone());
                limit.series.limited(LimitMode::Refused);
                let mut fields = HeaderMap::new();
                limit::rate_limit_fields(&quota, zone, &mut fields);
                return Err(Limited { status: zone.status, fields });
            }
        }
    }
    Ok(())
}

fn judge(exchange: &Exchange, limit: &Limit) -> LimitVerdict {
    let Some(head) = &exchange.head else { return LimitVerdict::Exempt };
    let by_host = limit.limiter.zone().key == ZoneKey::Host;
    let host = if by_host { host_of(head).map(|host| host.name).unwrap_or_default() } else { "".into() };
    let client =
        limit::LimitedClient { ip: exchange.client, host: &host, path: head.uri.path(), headers: &head.headers };
    limit.limiter.check(&client, exchange.started())
}

fn refuse_limited(mut exchange: Box<Exchange>, limited: Limited) -> Response<Answer> {
    let failure = Failure::Limited;
    exchange.failed(failure);
    let page =
        pages::problem(limited.status, failure.reason(), failure.text(), exchange.id.as_str(), exchange.wants_json());
    own(exchange, limited.status, page.body, Some(page.content_type), limited.fields)
}

/// Maintenance: the operator's words, where there are any.
pub(super) fn refuse_for_maintenance(mut exchange: Box<Exchange>, maintenance: &Maintenance) -> Response<Answer> {
    let failure = Failure::Maintenance;
    let text = maintenance.message.as_deref().unwrap_or(failure.text());
    exchange.failed(failure);
    let page = pages::problem(failure.status(), failure.reason(), text, exchange.id.as_str(), exchange.wants_json());
    let mut fields = HeaderMap::new();
    fields.insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    own(exchange, failure.status(), page.body, Some(page.content_type), fields)
}

/// The answer of one row of the failure table.
pub(super) fn refuse(mut exchange: Box<Exchange>, failure: Failure) -> Response<Answer> {
    exchange.failed(failure);
    let status = failure.status();
    let page = pages::problem(status, failure.reason(), failure.text(), exchange.id.as_str(), exchange.wants_json());
    let mut fields = HeaderMap::new();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        fields.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        fields.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if failure.closes() && !exchange.is_h2() {
        exchange.conn().finish();
    }
    own(exchange, status, page.body, Some(page.content_type), fields)
}

fn redirect(exchange: Box<Exchange>, to: &str) -> Response<Answer> {
    let keeps_method = !matches!(*exchange.method(), Method::GET | Method::HEAD);
    let status = match &exchange.route.action {
        Action::Redirect { status, .. } => *status,
        _ if keeps_method => StatusCode::PERMANENT_REDIRECT,
        _ => StatusCode::MOVED_PERMANENTLY,
    };
    let Ok(location) = HeaderValue::from_str(to) else { return refuse(exchange, Failure::BadPath) };
    let mut fields = HeaderMap::new();
    fields.insert(header::LOCATION, location);
    own(exchange, status, Bytes::new(), None, fields)
}

/// A preview's link was followed.
pub(super) fn see_other(exchange: Box<Exchange>, to: SeeOther) -> Response<Answer> {
    let mut fields = HeaderMap::new();
    fields.insert(header::LOCATION, to.location);
    fields.insert(header::SET_COOKIE, to.cookie);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    own(exchange, StatusCode::SEE_OTHER, Bytes::new(), None, fields)
}

fn own(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    body: Bytes,
    content_type: Option<HeaderValue>,
    fields: HeaderMap,
) -> Response<Answer> {
    exchange.status = status.as_u16();
    if exchange.unread {
        exchange.conn().linger_and_close();
    }
    let mut headers = fields;
    if let Some(content_type) = content_type {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    finish_headers(&exchange, &mut headers);
    let mut response = Response::new(Answer::own(body, exchange));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What every answer carries, whoever made it.
pub(super) fn finish_headers(exchange: &Exchange, headers: &mut HeaderMap) {
    exchange.route.security.apply(headers, exchange.conn().peer().tls);
    visit::tell(exchange, headers);
    let mut id = exchange.id_value.clone();
    // Never indexed (RFC 7541, 6.2.3): each is new, and would push what repeats out of the compression table.
    id.set_sensitive(exchange.is_h2());
    headers.insert(X_REQUEST_ID, id);
    if exchange.conn().is_finishing() && !exchange.is_h2() {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
