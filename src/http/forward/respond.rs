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
    settings: &config::ServiceConfig,
) -> Response<AnswerBody> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return switch_protocols(exchange, response, hop, settings);
    }
    headers::strip_response(response.headers_mut());
    exchange.outcome.status = response.status().as_u16();
    finish_headers(&exchange, response.headers_mut());
    let (mut head, body) = response.into_parts();
    let has_length = http_body::Body::size_hint(&body).exact().is_some();
    exchange.live.becomes(kind_of(has_length, || head.headers.get(header::CONTENT_TYPE)));
    head.version = Version::HTTP_11;
    head.extensions.clear();
    Response::from_parts(head, AnswerBody::relayed(body, lease, exchange, settings.read_timeout))
}

/// An event stream has no end, so it has no length either; its media type may have parameters. The type is looked up for
/// those without a length alone.
fn kind_of<'h>(has_length: bool, content_type: impl FnOnce() -> Option<&'h HeaderValue>) -> ExchangeKind {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let begins = |value: &HeaderValue| {
        value.as_bytes().get(..EVENT_STREAM.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(EVENT_STREAM))
    };
    if !has_length && content_type().is_some_and(begins) { ExchangeKind::EventStream } else { ExchangeKind::Download }
}

/// Hands both ends to a tunnel; the 101 goes out first.
fn switch_protocols(
    mut exchange: Box<Exchange>,
    mut response: Response<Incoming>,
    hop: &Hop,
    settings: &config::ServiceConfig,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stream_is_known_by_its_type_and_by_having_no_length() {
        let kind = |content_type: &'static str, has_length| {
            let value = HeaderValue::from_static(content_type);
            kind_of(has_length, || Some(&value))
        };
        assert_eq!(kind("text/event-stream", false), ExchangeKind::EventStream);
        assert_eq!(kind("Text/Event-Stream; charset=utf-8", false), ExchangeKind::EventStream);
        assert_eq!(kind("text/event-stream", true), ExchangeKind::Download);
        assert_eq!(kind("text/event-strea", false), ExchangeKind::Download);
        assert_eq!(kind("text/html; text/event-stream", false), ExchangeKind::Download);
        assert_eq!(kind_of(false, || None), ExchangeKind::Download);
    }
}
