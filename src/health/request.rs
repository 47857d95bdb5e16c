//! The requests that the proxy makes of its own: its Host, its User-Agent, and the form of its connection.

use http::{HeaderValue, Request, header};

use crate::config;
use crate::service::Backend;
use crate::upstream::Outgoing;

/// What differs between requests of ours.
pub(super) struct OwnRequest<'a> {
    pub path: &'a str,
    pub user_agent: &'static str,
    pub h2: bool,
    /// The connection is to carry more than this.
    pub stays: bool,
}

impl OwnRequest<'_> {
    /// A GET with the Host of a probe: `health.host`, or the backend's own.
    pub fn request(&self, backend: &Backend, health: &config::HealthConfig) -> Result<Request<Outgoing>, http::Error> {
        let host = match &health.host {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(&backend.addr().authority())?,
        };
        let builder = if self.h2 {
            Request::get(format!("http://{}{}", host.to_str().unwrap_or_default(), self.path))
        } else {
            Request::get(self.path).header(header::HOST, host)
        };
        let builder = builder.header(header::USER_AGENT, self.user_agent).header(header::ACCEPT, "*/*");
        let builder = if self.h2 || self.stays { builder } else { builder.header(header::CONNECTION, "close") };
        builder.body(Outgoing::Empty)
    }
}
