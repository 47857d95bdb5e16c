//! A request to its service and the answer back, readable from top to bottom.

use http::Response;

use super::arrive::{arrive, entered};
use super::attempt::{Attempt, RequestPayload, Spare};
use super::entry::{Refused, enter};
use super::gather::{gather, is_gathered, stream};
use super::head::prepare;
use super::respond::respond;
use crate::error::Failure;
use crate::http::answer::{AnswerBody, refuse, refuse_for_maintenance, see_other};
use crate::http::connection::RequestBody;
use crate::http::exchange::Exchange;
use crate::site::ServiceTarget;

/// Sends the request to the active pool and relays the answer.
pub async fn forward(mut exchange: Box<Exchange>, body: RequestBody, target: &ServiceTarget) -> Response<AnswerBody> {
    let settings = &*target.settings;
    let Some(mut head) = exchange.head.take() else { return refuse(exchange, Failure::Internal) };
    let mut visit = match arrive(&mut exchange, &mut head, target) {
        Ok(visit) => visit,
        Err(to) => return see_other(exchange, to),
    };
    let bodyless = http_body::Body::is_end_stream(&body);
    // Copied before our own fields are added: for a second try they are made again.
    let may_be_whole = bodyless || exchange.route().buffers.requests > 0;
    let may_repeat = settings.retries > 0 && may_be_whole && head.method.is_idempotent();
    let spare = may_repeat.then(|| Spare(head.headers.clone()));
    let hop = match prepare(&mut exchange, &mut head) {
        Ok(hop) => hop,
        Err(failure) => return refuse(exchange, failure),
    };
    let body = if is_gathered(&exchange, &head, &body, &hop) {
        if let Some(maintenance) = target.service.maintenance_for(&visit) {
            return refuse_for_maintenance(exchange, &maintenance);
        }
        match gather(&mut exchange, body).await {
            Ok(body) => body,
            Err(failure) => return refuse(exchange, failure),
        }
    } else {
        stream(&mut exchange, body)
    };
    let spare = spare.filter(|_| !matches!(body, RequestPayload::Stream(_)));
    match enter(&mut exchange, target, &mut visit).await {
        Ok(()) => entered(&mut exchange, &visit),
        Err(Refused::For(failure)) => return refuse(exchange, failure),
        Err(Refused::ForMaintenance(maintenance)) => return refuse_for_maintenance(exchange, &maintenance),
    }
    let mut attempt = Attempt::new(&mut exchange, target, head, body, spare);
    let outcome = attempt.run(&hop).await;
    match outcome {
        Ok((response, lease)) => respond(exchange, response, lease, &hop, target),
        Err(failure) => {
            let progress = &mut exchange.progress;
            progress.unread = progress.is_uploading();
            // The next held request must not wait until this client has read its answer.
            progress.held = None;
            refuse(exchange, failure)
        }
    }
}
