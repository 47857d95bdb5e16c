//! The backend's answer as the client gets it.

use http::{HeaderValue, Response, StatusCode, Version, header};
use hyper::body::Incoming;

use crate::config;
use crate::error::Failure;
use crate::headers::{self, Hop};
use crate::http::answer::{AnswerBody, finish_headers, refuse};
use crate::http::exchange::Exchange;
use crate::http::tunnel::Tunnel;
use crate::upstream::Lease;
use crate::worker::ExchangeKind;

/// Passes the answer on, frame by frame; after a 101, both directions.
pub(super) fn respond(
    mut exchange: Box<Exchange>,
    mut response: Response<Incoming>,
    lease: Lease,
    hop: &Hop,
    settings: &config::Service,
) -> Response<AnswerBody> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch_protocols(exchange, response, hop, settings);
    }
    headers::strip_response(response.headers_mut());
    exchange.outcome.status = response.status().as_u16();
    finish_headers(&exchange, response.headers_mut());
    let (mut head, body) = response.into_parts();
    let has_no_length = http_body::Body::size_hint(&body).exact().is_none();
    exchange.live.becomes(if has_no_length && is_event_stream(&head) {
        ExchangeKind::EventStream
    } else {
        ExchangeKind::Download
    });
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Response::from_parts(head, AnswerBody::relayed(body, lease, exchange, settings.read_timeout))
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
) -> Response<AnswerBody> {
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
    exchange.outcome.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
    if let Some(in_flight) = &mut exchange.progress.in_flight {
        in_flight.become_tunnel();
    }
    let is_websocket = chosen.is_some_and(|name| name.as_bytes().eq_ignore_ascii_case(b"websocket"));
    exchange.live.becomes(if is_websocket { ExchangeKind::Websocket } else { ExchangeKind::Tunnel });
    let conn = exchange.conn().clone();
    conn.hand_over(Box::new(Tunnel::new(upstream, exchange, settings.websocket_idle_timeout, is_websocket)));
    let (mut head, _) = response.into_parts();
    head.extensions.clear();
    head.version = Version::HTTP_11;
    Response::from_parts(head, AnswerBody::switching())
}
