//! The backend's answer as the client gets it.

use http::response::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;

use crate::config;
use crate::error::Failure;
use crate::headers::{self, AnswerHop, AnswerLength, Hop};
use crate::http::answer::{AnswerBody, finish_headers, intercept, refuse};
use crate::http::exchange::{Exchange, is_event_stream, is_grpc};
use crate::http::tunnel::Tunnel;
use crate::site::ServiceTarget;
use crate::upstream::Lease;
use crate::worker::ExchangeKind;

/// Passes the answer on, frame by frame; after a 101, both directions.
pub(super) fn respond(
    mut exchange: Box<Exchange>,
    mut response: Response<Incoming>,
    mut lease: Lease,
    hop: &Hop,
    target: &ServiceTarget,
) -> Response<AnswerBody> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match chosen_protocol(&response, hop) {
            Some(protocol) => switch_protocols(exchange, response, protocol, &target.settings),
            None => refuse_answer(exchange, target, Failure::UpstreamInvalid),
        };
    }
    let takes_trailers = hop.te_trailers || exchange.request.is_h2();
    let AnswerHop { length, unbuffered } = headers::strip_response(response.headers_mut(), takes_trailers);
    match length {
        AnswerLength::Settled => {}
        AnswerLength::Contradictory => lease.spend(),
        AnswerLength::Encoded => return refuse_answer(exchange, target, Failure::UpstreamInvalid),
    }
    if response.status() == StatusCode::NO_CONTENT {
        // RFC 9110, 8.6. HTTP/2 clients take it for a lie about the body.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    if exchange.route().errors.intercepts(response.status()) {
        // The body goes unread, and the connection with it.
        return intercept(exchange, response.status(), response.headers());
    }
    exchange.outcome.status = response.status().as_u16();
    finish_headers(&exchange, response.headers_mut());
    if exchange.request.is_h2() && list_size(response.headers()) > exchange.conn().header_list_size() {
        return refuse_answer(exchange, target, Failure::UpstreamHeadTooLarge);
    }
    let (mut head, body) = response.into_parts();
    let is_whole = http_body::Body::is_end_stream(&body);
    let has_length = http_body::Body::size_hint(&body).exact().is_some();
    let kind = kind_of(has_length, || head.headers.get(header::CONTENT_TYPE));
    exchange.live.becomes(kind);
    let kept = if unbuffered || is_whole { 0 } else { kept_ahead(&exchange, kind, &head.headers) };
    if !has_length {
        exchange.live.flows();
    }
    head.version = Version::HTTP_11;
    keep_reason(&mut head);
    Response::from_parts(head, AnswerBody::relayed(body, lease, exchange, kept))
}

/// The backend's answer can't be passed on.
fn refuse_answer(exchange: Box<Exchange>, target: &ServiceTarget, failure: Failure) -> Response<AnswerBody> {
    target.series.failed(exchange.progress.color(), failure.reason());
    refuse(exchange, failure)
}

/// As HTTP/2 counts a head: RFC 9113, 6.5.2.
pub(super) fn list_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

/// The backend's own words for its status stay, of all that the codec has noted beside the head. The codec has words of its own for
/// a status that it does not know: the client gets none instead.
fn keep_reason(head: &mut Parts) {
    let reason = head.extensions.remove::<ReasonPhrase>();
    head.extensions.clear();
    let needs_none = || head.status.canonical_reason().is_none().then(|| ReasonPhrase::from_static(b""));
    if let Some(reason) = reason.or_else(needs_none) {
        head.extensions.insert(reason);
    }
}

/// How much of the answer is kept in memory while its client does not take it. An event stream's client wants what is new, and a gRPC
/// stream is paced by who reads it.
fn kept_ahead(exchange: &Exchange, kind: ExchangeKind, headers: &HeaderMap) -> usize {
    let most = exchange.route().buffers.responses;
    let is_stream = || kind == ExchangeKind::EventStream || is_grpc(headers.get(header::CONTENT_TYPE));
    if most == 0 || is_stream() { 0 } else { most }
}

/// An event stream has no end, so it has no length either. The type is looked up for those without a length alone.
fn kind_of<'h>(has_length: bool, content_type: impl FnOnce() -> Option<&'h HeaderValue>) -> ExchangeKind {
    if !has_length && is_event_stream(content_type()) { ExchangeKind::EventStream } else { ExchangeKind::Download }
}

/// What the backend has switched to: one of the protocols that the client has asked for (RFC 9110, 7.8). A backend that does not say
/// it means the one that was asked for.
fn chosen_protocol(response: &Response<Incoming>, hop: &Hop) -> Option<HeaderValue> {
    let asked = hop.upgrade.as_ref()?;
    let Some(chosen) = response.headers().get(header::UPGRADE) else { return Some(asked.clone()) };
    let mut asked = asked.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_asked = asked.any(|protocol| protocol.eq_ignore_ascii_case(chosen.as_bytes().trim_ascii()));
    is_asked.then(|| chosen.clone())
}

/// Hands both ends to a tunnel; the 101 goes out first.
fn switch_protocols(
    mut exchange: Box<Exchange>,
    mut response: Response<Incoming>,
    protocol: HeaderValue,
    settings: &config::ServiceConfig,
) -> Response<AnswerBody> {
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let upstream = hyper::upgrade::on(&mut response);
    headers::strip_response(response.headers_mut(), false);
    finish_headers(&exchange, response.headers_mut());
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(header::UPGRADE, protocol);
    exchange.outcome.status = StatusCode::SWITCHING_PROTOCOLS.as_u16();
    if let Some(in_flight) = &mut exchange.progress.in_flight {
        in_flight.become_tunnel();
    }
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
        assert_eq!(kind("text/event-stream", true), ExchangeKind::Download);
        assert_eq!(kind("text/html", false), ExchangeKind::Download);
        assert_eq!(kind_of(false, || None), ExchangeKind::Download);
    }
}
