//! A request to its service and the answer back: the head made the proxy's own, the pool entered, the answer passed on.
//!
//! What happens in between, and what may happen twice: [`super::attempt`].

use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use hyper::body::Incoming;

use super::answer::Answer;
use super::attempt::{Attempt, Spare};
use super::census::Kind;
use super::entry::{self, Turned};
use super::exchange::Exchange;
use super::handle::{finish_headers, refuse, refuse_for_maintenance, see_other};
use super::tunnel::Tunnel;
use super::visit;
use crate::config;
use crate::error::Failure;
use crate::headers::{self, Forward, Hop};
use crate::site::{Route, Target, encoded, normalized};
use crate::upstream::Lease;

/// Sends the request to the active pool and relays the answer.
pub(super) async fn forward(
    mut exchange: Box<Exchange>,
    body: Incoming,
    trusted: bool,
    target: &Target,
) -> Response<Answer> {
    let settings = &*target.settings;
    let Some(mut head) = exchange.head.take() else { return refuse(exchange, Failure::Internal) };
    let mut visit = match visit::arrive(&mut exchange, &mut head, target, trusted) {
        Ok(visit) => visit,
        Err(to) => return see_other(exchange, to),
    };
    let bodyless = http_body::Body::is_end_stream(&body);
    // Copied before our own fields are in: they can be made again, should it come to that.
    let may_repeat = settings.retries > 0 && bodyless && head.method.is_idempotent();
    let spare = may_repeat.then(|| Spare { headers: head.headers.clone(), trusted });
    let hop = match prepare(&mut exchange, &mut head, trusted) {
        Ok(hop) => hop,
        Err(failure) => return refuse(exchange, failure),
    };
    match entry::enter(&mut exchange, target, &mut visit).await {
        Ok(()) => visit::entered(&mut exchange, &visit, &head, trusted),
        Err(Turned::Away(failure)) => return refuse(exchange, failure),
        Err(Turned::ForMaintenance(maintenance)) => return refuse_for_maintenance(exchange, &maintenance),
    }
    let mut attempt = Attempt::new(&mut exchange, target, Request::from_parts(head, body), spare);
    let outcome = attempt.run(&hop).await;
    let uploaded = exchange.upload.as_ref().is_some_and(|upload| upload.is_done());
    match outcome {
        Ok((response, lease)) => respond(exchange, response, lease, &hop, settings),
        Err(failure) => {
            exchange.unread &= !uploaded;
            // Who was held behind it does not wait for its client to read.
            exchange.held = None;
            refuse(exchange, failure)
        }
    }
}

/// Makes the client's head the proxy's own: hop-by-hop fields out, forwarded fields in.
pub(super) fn prepare(exchange: &mut Exchange, head: &mut Parts, trusted: bool) -> Result<Hop, Failure> {
    if head.headers.get(header::HOST).is_none() {
        let authority = head.uri.authority().ok_or(Failure::BadHost)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadHost)?;
        head.headers.insert(header::HOST, host);
    }
    if exchange.route.strip_prefix {
        head.uri = without_prefix(&exchange.route, &head.uri)?;
    }
    let hop = headers::strip_request(&mut head.headers).map_err(|_| Failure::BadConnectionHeader)?;
    if head.version == Version::HTTP_2 {
        headers::join_cookies(&mut head.headers);
    }
    head.headers.remove(header::EXPECT);
    let conn = exchange.conn().clone();
    let host = head.headers.get(header::HOST).cloned().ok_or(Failure::BadHost)?;
    let forward = Forward {
        sender: conn.sender(),
        trusted,
        client: exchange.client,
        request_id: &exchange.id_value,
        host: &host,
        client_cert: conn.peer().client_cert.as_deref().filter(|_| exchange.route.tells_client_cert),
    };
    exchange.trace = Some(forward.apply(&mut head.headers));
    Ok(hop)
}

/// nginx's `proxy_pass http://app/` in a `location /prefix/`: what follows the prefix, as the client wrote it. A path that
/// only matches once it is normalized is sent normalized.
fn without_prefix(route: &Route, uri: &Uri) -> Result<Uri, Failure> {
    let written = uri.path();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let rest = if route.matches(written) {
        format!("/{}{query}", route.rest(written))
    } else {
        let path = normalized(written).map_err(|_| Failure::BadPath)?;
        format!("/{}{query}", encoded(route.rest(&path)))
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(rest.parse().map_err(|_| Failure::BadPath)?);
    Uri::from_parts(parts).map_err(|_| Failure::BadPath)
}

/// The backend's answer as the client gets it.
fn respond(
    mut exchange: Box<Exchange>,
    mut response: Response<Incoming>,
    lease: Lease,
    hop: &Hop,
    settings: &config::Service,
) -> Response<Answer> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch_protocols(exchange, response, hop, settings);
    }
    headers::strip_response(response.headers_mut());
    exchange.status = response.status().as_u16();
    finish_headers(&exchange, response.headers_mut());
    let (mut head, body) = response.into_parts();
    let has_no_length = http_body::Body::size_hint(&body).exact().is_none();
    exchange.live.becomes(if has_no_length && is_event_stream(&head) { Kind::EventStream } else { Kind::Download });
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Response::from_parts(head, Answer::relayed(body, lease, exchange, settings.read_timeout))
}

fn is_event_stream(head: &http::response::Parts) -> bool {
    let content_type = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type
        .is_some_and(|value| value.get(..17).is_some_and(|name| name.eq_ignore_ascii_case(b"text/event-stream")))
}

/// Hands both ends to a tunnel; the 101 goes out first.
fn switch_protocols(
    mut exchange: Box<Exchange>,
    mut response: Response<Incoming>,
    hop: &Hop,
    settings: &config::Service,
) -> Response<Answer> {
    if hop.upgrade.is_none() {
        return refuse(exchange, Failure::UpstreamInvalid);
    }
    let upstream = hyper::upgrade::on(&mut response);
    let chosen = response.headers().get(header::UPGRADE).or(hop.upgrade.as_ref()).cloned();
    headers::strip_response(response.headers_mut());
    finish_headers(&exchange, response.headers_mut());
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = chosen.clone() {
        response.headers_mut().insert(header::UPGRADE, protocol);
    }
    exchange.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
    if let Some(in_flight) = &mut exchange.in_flight {
        in_flight.become_tunnel();
    }
    let is_websocket = chosen.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    exchange.live.becomes(if is_websocket { Kind::Websocket } else { Kind::Tunnel });
    let conn = exchange.conn().clone();
    conn.become_tunnel(Tunnel::new(upstream, exchange, settings.websocket_idle_timeout, is_websocket));
    let (mut head, _) = response.into_parts();
    head.extensions.clear();
    head.version = Version::HTTP_11;
    Response::from_parts(head, Answer::switching())
}
