//! One exchange, readable from top to bottom: receive, decide, limit, then forward or answer.

use std::convert::Infallible;
use std::future::ready;
use std::rc::Rc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Either;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::answer::{AnswerBody, Limited, own, preflight, redirect, refuse, refuse_limited};
use super::connection::{Conn, Handler, RequestBody};
use super::exchange::{ClientRequest, Exchange};
use super::forward::forward;
use crate::config::ZoneKey;
use crate::decide::{RequestVerdict, decide, host_of};
use crate::error::Failure;
use crate::headers::X_REQUEST_ID;
use crate::limit::{self, LimitVerdict};
use crate::metrics::LimitMode;
use crate::site::{Limit, Route, RouteAction, path_key};
use crate::types::RequestId;

/// Receives, decides and answers.
#[derive(Debug, Clone, Copy)]
pub struct ExchangeHandler;

impl Handler for ExchangeHandler {
    type Body = AnswerBody;

    fn answer(
        self,
        conn: &Rc<Conn>,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
        handle(conn, request)
    }
}

/// What can be answered at once makes no future of its own.
fn handle(
    conn: &Rc<Conn>,
    request: Request<RequestBody>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    conn.begin_exchange();
    let (head, body) = request.into_parts();
    let (mut exchange, verdict) = receive(conn, head);
    let is_h2 = exchange.request.is_h2();
    exchange.progress.unread = !http_body::Body::is_end_stream(&body) && !is_h2;
    let answer = match verdict {
        _ if let Some(text) = key_authorization(&exchange, &verdict) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            Either::Left(ready(own(exchange, StatusCode::OK, text, Some(kind), HeaderMap::new())))
        }
        RequestVerdict::Refuse(failure) => Either::Left(ready(refuse(exchange, failure))),
        RequestVerdict::Preflight => Either::Left(ready(preflight(exchange))),
        RequestVerdict::Redirect(to) => Either::Left(ready(redirect(exchange, &to))),
        RequestVerdict::Pass => Either::Right(pass(exchange, body)),
    };
    answer.map(Ok)
}

/// What an authority asks for over plain HTTP while it validates a name, whatever the host and before any redirect (RFC 8555,
/// 8.3). A token that no validation waits for is a path like any other.
fn key_authorization(exchange: &Exchange, verdict: &RequestVerdict) -> Option<Bytes> {
    let conn = exchange.conn();
    let is_understood = match verdict {
        RequestVerdict::Pass | RequestVerdict::Redirect(_) | RequestVerdict::Preflight => true,
        RequestVerdict::Refuse(failure) => matches!(failure, Failure::NoSite | Failure::Misdirected | Failure::Denied),
    };
    if conn.peer().tls || !is_understood || !matches!(*exchange.request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    conn.worker().shared.challenges.key_authorization(exchange.head.as_ref()?.uri.path())
}

/// The exchange, and what is decided about it.
fn receive(conn: &Rc<Conn>, mut head: Parts) -> (Box<Exchange>, RequestVerdict) {
    let snapshot = conn.worker().snapshot();
    if let Some(uri) = encoded(&head) {
        head.uri = uri;
    }
    let mut decision = decide(&snapshot, &head, conn.peer());
    let from_client = head.headers.get(X_REQUEST_ID).filter(|_| decision.client.is_trusted);
    let now = SystemTime::now();
    let id = from_client.and_then(|value| RequestId::from_client(value.as_bytes()));
    let id = id.unwrap_or_else(|| RequestId::at(now));
    let mut request = ClientRequest::new(&head, id, decision.client, now);
    if decision.route.cors.is_some() {
        request.note_origin(&head);
    }
    if !conn.scanned().is_clean()
        && let Some(escapes) = conn.scanned().take_escapes(conn.exchanges())
    {
        request.note_escapes(&escapes);
    }
    if let Some(path) = decision.path.take() {
        match request.resolve_path(&path) {
            Ok(()) => head.uri = request.uri.clone(),
            Err(failure) => decision.verdict = RequestVerdict::Refuse(failure),
        }
    }
    let exchange = Exchange::begin(conn, decision.route, request, head);
    let refusal = scanned_refusal(conn, decision.route);
    (exchange, refusal.map_or(decision.verdict, RequestVerdict::Refuse))
}

/// The target in ASCII, where an HTTP/2 client has sent other bytes in it; over HTTP/1.1 that is done beneath the codec.
fn encoded(head: &Parts) -> Option<Uri> {
    let target = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    if target.is_ascii() {
        return None;
    }
    let encode = |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let target: String = target.bytes().map(encode).collect();
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// Why a request is refused for what the bytes beneath the codec have shown already.
fn scanned_refusal(conn: &Conn, route: &Route) -> Option<Failure> {
    let (scanned, request) = (conn.scanned(), conn.exchanges());
    if scanned.is_clean() {
        return None;
    }
    let is_too_large = || scanned.announced_in(request) > route.body_size;
    scanned.fault_in(request).or_else(|| is_too_large().then_some(Failure::BodyTooLarge))
}

async fn pass(mut exchange: Box<Exchange>, body: RequestBody) -> Response<AnswerBody> {
    let route = exchange.route().clone();
    if let Err(limited) = take_limits(&mut exchange, &route).await {
        return refuse_limited(exchange, limited);
    }
    match &route.action {
        RouteAction::Service(target) => forward(exchange, body, target).await,
        RouteAction::Respond { status, body, content_type } => {
            own(exchange, *status, body.clone(), Some(content_type.clone()), HeaderMap::new())
        }
        RouteAction::Redirect { .. } => refuse(exchange, Failure::Internal),
    }
}

/// Every zone of the route is asked in order; the first that refuses ends it.
async fn take_limits(exchange: &mut Exchange, route: &Route) -> Result<(), Limited> {
    for limit in &route.limits {
        let zone = limit.limiter.zone();
        match judge(exchange, limit) {
            LimitVerdict::Pass(_) | LimitVerdict::Exempt => {}
            _ if zone.dry_run => {
                exchange.progress.limited = Some(zone.name.clone());
                limit.series.limited(LimitMode::DryRun);
            }
            LimitVerdict::Delay(wait, _) => {
                exchange.progress.limited = Some(zone.name.clone());
                limit.series.limited(LimitMode::Delayed);
                Box::pin(tokio::time::sleep(wait)).await;
                exchange.progress.has_waited = true;
            }
            LimitVerdict::Refuse(quota) => {
                exchange.progress.limited = Some(zone.name.clone());
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
    let by_path = limit.limiter.zone().key == ZoneKey::IpPath;
    let path = if by_path { path_key(head.uri.path()) } else { "".into() };
    let client =
        limit::LimitedClient { ip: exchange.request.client.ip, host: &host, path: &path, headers: &head.headers };
    limit.limiter.check(&client, exchange.request.started())
}
