//! A client that we recognize, or are to recognize the next time.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cookies::OurCookie;
use crate::service::{Backend, Pool, Ticket};
use crate::token::{self, Purpose, Signer};
use crate::types::Color;

const X_EDGE_COLOR: HeaderName = HeaderName::from_static("x-edge-color");

/// What the answer gives to this client.
pub struct Visitor {
    pub is_https: bool,
    pub preview: Option<Color>,
    /// Drawn for this visit.
    pub ticket: Option<Ticket>,
    pub sticky: Option<Sticky>,
}

/// A client of a service with `sticky = "cookie"`.
#[derive(Default)]
pub struct Sticky {
    /// The cookie as it came. It is not read before the pool is known.
    cookie: Option<Box<str>>,
    /// The backend that the cookie stands for.
    backend: Option<u64>,
}

impl Visitor {
    /// The backend that the client was with.
    pub fn backend(&self) -> Option<u64> {
        self.sticky.as_ref().and_then(|sticky| sticky.backend)
    }

    /// Adds to an answer's head what the client is to bring next time, and keeps answers to a preview out of caches.
    /// `answered`: the backend, if the answer came from one.
    pub fn tell(&self, service: &str, signer: &Signer, answered: Option<&Backend>, headers: &mut HeaderMap) {
        if let Some(color) = self.preview {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
            headers.insert(X_EDGE_COLOR, HeaderValue::from_static(color.as_str()));
        }
        let mut set = |cookie: OurCookie<'_>, value: &str| {
            if let Some(cookie) = cookie.set(value, None, self.is_https) {
                headers.append(header::SET_COOKIE, cookie);
            }
        };
        if let Some(ticket) = self.ticket {
            set(OurCookie::Canary(service), &token::ticket_text(ticket, signer, service));
        }
        // A client is with a backend only after an answer of that backend.
        if let (Some(sticky), Some(backend)) = (&self.sticky, answered)
            && sticky.backend != Some(backend.id())
        {
            set(OurCookie::Sticky(service), signer.sign(Purpose::Sticky, service, &identity(backend)).as_str());
        }
    }
}

impl Sticky {
    pub fn came_with(&mut self, cookie: &str) {
        self.cookie = Some(cookie.into());
    }

    /// Looks for the client's backend in the pool that it has come to.
    pub fn look_in(&mut self, pool: &Pool, signer: &Signer, service: &str) {
        let Some(cookie) = self.cookie.take() else { return };
        let backends = pool.backends();
        let is_meant = |backend: &&Arc<Backend>| signer.verify(Purpose::Sticky, service, &identity(backend), &cookie);
        self.backend = backends.iter().find(is_meant).map(|backend| backend.id());
    }
}

/// As configured and as resolved: the same over restarts, and another for each address of a name.
fn identity(backend: &Backend) -> String {
    format!("{} {}", backend.addr(), backend.name())
}
