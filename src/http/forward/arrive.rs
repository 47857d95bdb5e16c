//! A client arrives at its service: what we once gave it is read, and taken out before the backend can see it.

use std::time::{Duration, SystemTime};

use http::request::Parts;

use crate::headers::take_cookies;
use crate::http::exchange::Exchange;
use crate::http::visit::{OURS, OurCookie, SeeOther, Sticky, Visitor, is_navigation, see_other, take_token};
use crate::service::Visit;
use crate::site::ServiceTarget;
use crate::token::{self, Preview, Signer};
use crate::types::Color;

/// Reads what the client brings. An error is the answer to a preview's link that was followed.
pub(super) fn arrive(exchange: &mut Exchange, head: &mut Parts, target: &ServiceTarget) -> Result<Visit, SeeOther> {
    let mut visit = Visit::of(exchange.request.client.ip);
    let mut sticky = target.settings.sticky.then(Sticky::default);
    let special = target.service.is_special();
    let name = &**target.service.name();
    take_cookies(&mut head.headers, OURS, |cookie, value| {
        let signer = &exchange.conn().worker().shared.signer;
        match OurCookie::of(cookie) {
            Some(OurCookie::Preview(service)) => {
                if special && service == name && visit.preview.is_none() {
                    visit.preview = read_preview(value, signer, target).map(|(color, _)| color);
                }
            }
            Some(OurCookie::Canary(service)) => {
                if special && service == name && visit.ticket.is_none() {
                    visit.ticket = token::read_ticket(value, signer, name);
                }
            }
            Some(OurCookie::Sticky(service)) => {
                if let Some(sticky) = sticky.as_mut().filter(|_| service == name) {
                    sticky.came_with(value);
                }
            }
            None => return false,
        }
        true
    });
    if let Some((token, uri)) = take_token(&head.uri) {
        exchange.request.forget_token(uri.clone());
        head.uri = uri;
        let signer = &exchange.conn().worker().shared.signer;
        if let Some((color, left)) = read_preview(&token, signer, target).filter(|_| special) {
            if is_navigation(head) {
                return see_other(head, name, &token, left, exchange.request.client.is_https).map_or(Ok(visit), Err);
            }
            visit.preview = Some(color);
        }
    }
    if visit.preview.is_some() || sticky.is_some() {
        let is_https = exchange.request.client.is_https;
        let visitor = Visitor { is_https, preview: visit.preview, ticket: None, sticky };
        exchange.progress.visitor = Some(Box::new(visitor));
    }
    Ok(visit)
}

/// Called when the pool is known: notes a ticket that was drawn, and looks for the backend that the client was with.
pub(super) fn entered(exchange: &mut Exchange, visit: &Visit) {
    if exchange.progress.visitor.is_none() && !visit.is_new {
        return;
    }
    if visit.is_new {
        let is_https = exchange.request.client.is_https;
        let none = || Box::new(Visitor { is_https, preview: None, ticket: None, sticky: None });
        exchange.progress.visitor.get_or_insert_with(none).ticket = visit.ticket;
    }
    let worker = exchange.conn().worker().clone();
    let service = exchange.live.route().service_name().unwrap_or_default();
    let progress = &mut exchange.progress;
    let visitor = progress.visitor.as_mut();
    if let (Some(sticky), Some(in_flight)) = (visitor.and_then(|visitor| visitor.sticky.as_mut()), &progress.in_flight)
    {
        sticky.look_in(in_flight.pool(), &worker.shared.signer, service);
    }
}

fn read_preview(token: &str, signer: &Signer, target: &ServiceTarget) -> Option<(Color, Duration)> {
    let now = SystemTime::now();
    let preview = Preview::read(token, signer, target.service.name(), now)?;
    target.service.is_colored().then(|| (preview.color, preview.left(now)))
}
