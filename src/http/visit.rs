//! Who comes to a service, by what we once gave him: a preview's token, a canary's ticket, the backend he was with.
//!
//! Reads our cookies and the preview's parameter, takes them out before the backend can see them, and says on the answer what
//! the client is to bring next time. What is forged, expired or another service's is as if it were absent. What follows from
//! a visit: [`crate::service`].

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::exchange::Exchange;
use crate::headers::take_cookies;
use crate::service::{Backend, Pool, TICKETS, Ticket, Visit};
use crate::site::Target;
use crate::token::{Preview, Purpose, Signer};
use crate::types::Color;

/// Every cookie of ours begins so; what follows these is the service's name.
const OURS: &str = "edge_";
const PREVIEW: &str = "edge_preview_";
const CANARY: &str = "edge_canary_";
const STICKY: &str = "edge_sticky_";

/// The query parameter of a preview's link.
const PARAMETER: &str = "edge_preview";

const X_EDGE_COLOR: HeaderName = HeaderName::from_static("x-edge-color");

/// What the answer has to say to the one who came.
pub struct Guest {
    is_https: bool,
    preview: Option<Color>,
    /// Drawn for this visit.
    ticket: Option<Ticket>,
    sticky: Option<Sticky>,
}

/// A client of a service with `sticky = "cookie"`.
#[derive(Default)]
struct Sticky {
    /// As it came, not looked at before the pool is known.
    cookie: Option<Box<str>>,
    /// The backend that it stands for.
    backend: Option<u64>,
}

/// A preview's link was followed: the token goes into a cookie and out of the address.
pub(super) struct SeeOther {
    pub location: HeaderValue,
    pub cookie: HeaderValue,
}

/// Learns who comes, and takes what we gave him out of the head.
pub(super) fn arrive(
    exchange: &mut Exchange,
    head: &mut Parts,
    target: &Target,
    trusted: bool,
) -> Result<Visit, SeeOther> {
    let mut visit = Visit::of(exchange.client);
    let mut sticky = target.settings.sticky.then(Sticky::default);
    let special = target.service.is_special();
    let name = &**target.service.name();
    take_cookies(&mut head.headers, OURS, |cookie, value| {
        let signer = &exchange.conn().worker().shared.signer;
        if let Some(service) = cookie.strip_prefix(PREVIEW) {
            if special && service == name && visit.preview.is_none() {
                visit.preview = read_preview(value, signer, target).map(|(color, _)| color);
            }
        } else if let Some(service) = cookie.strip_prefix(CANARY) {
            if special && service == name && visit.ticket.is_none() {
                visit.ticket = read_ticket(value, signer, name);
            }
        } else if let Some(service) = cookie.strip_prefix(STICKY) {
            if let Some(sticky) = sticky.as_mut().filter(|_| service == name) {
                sticky.cookie = Some(value.into());
            }
        } else {
            return false;
        }
        true
    });
    if let Some((token, uri)) = take_parameter(&head.uri) {
        exchange.uri = uri.clone();
        head.uri = uri;
        let signer = &exchange.conn().worker().shared.signer;
        if let Some((color, left)) = read_preview(&token, signer, target).filter(|_| special) {
            if is_navigation(head) {
                return see_other(head, name, &token, left, is_https(exchange, head, trusted)).map_or(Ok(visit), Err);
            }
            visit.preview = Some(color);
        }
    }
    if visit.preview.is_some() || sticky.is_some() {
        let is_https = is_https(exchange, head, trusted);
        exchange.guest = Some(Box::new(Guest { is_https, preview: visit.preview, ticket: None, sticky }));
    }
    Ok(visit)
}

/// The pool is known: what was drawn is to be told, and the client's backend is looked for.
pub(super) fn entered(exchange: &mut Exchange, visit: &Visit, head: &Parts, trusted: bool) {
    if exchange.guest.is_none() && !visit.is_new {
        return;
    }
    let worker = exchange.conn().worker().clone();
    if visit.is_new {
        let is_https = is_https(exchange, head, trusted);
        let none = || Box::new(Guest { is_https, preview: None, ticket: None, sticky: None });
        exchange.guest.get_or_insert_with(none).ticket = visit.ticket;
    }
    let guest = exchange.guest.as_mut();
    let Some(sticky) = guest.and_then(|guest| guest.sticky.as_mut()) else { return };
    let (Some(cookie), Some(in_flight)) = (sticky.cookie.take(), &exchange.in_flight) else { return };
    let service = exchange.route.service_name().unwrap_or_default();
    sticky.backend = find(in_flight.pool(), &cookie, &worker.shared.signer, service);
}

impl Guest {
    /// The backend that the client was with.
    pub fn backend(&self) -> Option<u64> {
        self.sticky.as_ref().and_then(|sticky| sticky.backend)
    }
}

/// Says on an answer's head what the client is to bring next time; answers to a preview are nobody else's.
pub(super) fn tell(exchange: &Exchange, headers: &mut HeaderMap) {
    let Some(guest) = &exchange.guest else { return };
    let service = exchange.route.service_name().unwrap_or_default();
    let signer = &exchange.conn().worker().shared.signer;
    if let Some(color) = guest.preview {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(X_EDGE_COLOR, HeaderValue::from_static(color.as_str()));
    }
    let mut set = |name: &str, value: &str| {
        if let Some(cookie) = cookie(name, service, value, None, guest.is_https) {
            headers.append(header::SET_COOKIE, cookie);
        }
    };
    if let Some(ticket) = guest.ticket {
        set(CANARY, &ticket_text(ticket, signer, service));
    }
    // Only by an answer of the backend itself is the client with it.
    let answered = exchange.in_flight.as_ref().and_then(|f| f.backend()).filter(|_| exchange.upstream.is_some());
    if let (Some(sticky), Some(backend)) = (&guest.sticky, answered)
        && sticky.backend != Some(backend.id())
    {
        set(STICKY, signer.sign(Purpose::Sticky, service, &written(backend)).as_str());
    }
}

fn read_preview(token: &str, signer: &Signer, target: &Target) -> Option<(Color, Duration)> {
    let now = SystemTime::now();
    let preview = Preview::read(token, signer, target.service.name(), now)?;
    target.service.is_colored().then(|| (preview.color, preview.left(now)))
}

/// `ID.NUMBER.SIGNATURE`.
fn read_ticket(text: &str, signer: &Signer, service: &str) -> Option<Ticket> {
    let (payload, signature) = text.rsplit_once('.')?;
    let (id, number) = payload.split_once('.')?;
    let ticket = Ticket { id: id.parse().ok()?, number: number.parse().ok()? };
    let is_ours = ticket.number < TICKETS && signer.verify(Purpose::Canary, service, payload, signature);
    is_ours.then_some(ticket)
}

fn ticket_text(ticket: Ticket, signer: &Signer, service: &str) -> String {
    let payload = format!("{}.{}", ticket.id, ticket.number);
    let signature = signer.sign(Purpose::Canary, service, &payload);
    format!("{payload}.{}", signature.as_str())
}

fn find(pool: &Pool, cookie: &str, signer: &Signer, service: &str) -> Option<u64> {
    let backends = pool.backends();
    let is_meant = |backend: &&Arc<Backend>| signer.verify(Purpose::Sticky, service, &written(backend), cookie);
    backends.iter().find(is_meant).map(|backend| backend.id())
}

/// As configured and as resolved: the same over restarts, and another for each address of a name.
fn written(backend: &Backend) -> String {
    format!("{} {}", backend.addr(), backend.name())
}

/// The parameter's first value, and the address without it; every other parameter stays as it was written.
fn take_parameter(uri: &Uri) -> Option<(String, Uri)> {
    let query = uri.query()?;
    memchr::memmem::find(query.as_bytes(), PARAMETER.as_bytes())?;
    let ours = |part: &str| part.split_once('=').unwrap_or((part, "")).0 == PARAMETER;
    let token = query.split('&').find(|part| ours(part))?;
    let (_, token) = token.split_once('=').unwrap_or_default();
    let left: Vec<&str> = query.split('&').filter(|part| !ours(part)).collect();
    let path = uri.path();
    let written = if left.is_empty() { path.to_owned() } else { format!("{path}?{}", left.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(written).ok()?);
    Some((token.to_owned(), Uri::from_parts(parts).ok()?))
}

/// What a browser does with a link: it can be told to go elsewhere.
fn is_navigation(head: &Parts) -> bool {
    matches!(head.method, Method::GET | Method::HEAD) && !head.headers.contains_key(header::UPGRADE)
}

fn see_other(head: &Parts, service: &str, token: &str, left: Duration, is_https: bool) -> Option<SeeOther> {
    let path = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    // `//host/` would be another host's address, and to browsers so is `/\host/`.
    let dot = if path[1..].starts_with(['/', '\\']) { "/." } else { "" };
    Some(SeeOther {
        location: HeaderValue::from_str(&format!("{dot}{path}")).ok()?,
        cookie: cookie(PREVIEW, service, token, Some(left), is_https)?,
    })
}

fn cookie(name: &str, service: &str, value: &str, age: Option<Duration>, is_https: bool) -> Option<HeaderValue> {
    let age = age.map(|age| format!("; Max-Age={}", age.as_secs().max(1))).unwrap_or_default();
    let secure = if is_https { "; Secure" } else { "" };
    let text = format!("{name}{service}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::try_from(text).ok()
}

/// Whether the client came over TLS, to us or to a proxy whose word counts.
fn is_https(exchange: &Exchange, head: &Parts, trusted: bool) -> bool {
    let claimed = || head.headers.get("x-forwarded-proto");
    exchange.conn().peer().tls || trusted && claimed().is_some_and(|scheme| scheme == "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameter_goes_and_the_others_stay_as_written() {
        for (sent, token, left) in [
            ("/?edge_preview=t", "t", "/"),
            ("/a%20b?x=%41&edge_preview=t&y", "t", "/a%20b?x=%41&y"),
            ("/?edge_preview=t&&x=1", "t", "/?&x=1"),
            ("/?edge_preview=a&edge_preview=b", "a", "/"),
            ("/?edge_preview", "", "/"),
            ("http://app.test/x?edge_preview=t&a=1", "t", "http://app.test/x?a=1"),
        ] {
            let (got, uri) = take_parameter(&sent.parse().unwrap()).unwrap();
            assert_eq!((got.as_str(), uri.to_string().as_str()), (token, left), "{sent}");
        }
        for sent in ["/", "/?a=edge_preview", "/?my_edge_preview=1", "/edge_preview?x"] {
            assert!(take_parameter(&sent.parse().unwrap()).is_none(), "{sent}");
        }
    }

    #[test]
    fn the_address_that_a_link_leads_to_is_on_the_same_host() {
        let head = |uri: &str| http::Request::get(uri).body(()).unwrap().into_parts().0;
        let location = |uri: &str| {
            let Some(to) = see_other(&head(uri), "app", "t", Duration::from_secs(9), true) else {
                return String::new();
            };
            to.location.to_str().unwrap().to_owned()
        };
        assert_eq!(location("/a?x=1"), "/a?x=1");
        assert_eq!(location("http://app.test//evil.test/"), "/.//evil.test/");
        assert_eq!(location("/\\evil.test/"), "/./\\evil.test/");
        assert_eq!(location("http://app.test"), "/");
    }
}
