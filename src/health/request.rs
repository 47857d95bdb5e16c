//! The requests that the proxy makes of its own: its Host, its User-Agent, and the form of its connection.

use http::{HeaderValue, Request, header};

use crate::config;
use crate::headers::X_FORWARDED_PROTO;
use crate::service::Backend;
use crate::types::Scheme;
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
    /// A GET with the Host of a probe: `health.host`, or the backend's own. It says that the client came over https, as most do: an
    /// app that sends others there would not answer it. `health.send_headers` changes that, and anything else.
    pub fn request(&self, backend: &Backend, health: &config::HealthConfig) -> Result<Request<Outgoing>, http::Error> {
        let host = match &health.host {
            Some(host) => host.clone(),
            None => HeaderValue::from_str(&backend.addr().authority())?,
        };
        let builder = if self.h2 {
            let scheme = if backend.addr().scheme == Scheme::Https { "https" } else { "http" };
            Request::get(format!("{scheme}://{}{}", host.to_str().unwrap_or_default(), self.path))
        } else {
            Request::get(self.path).header(header::HOST, host)
        };
        let mut request = builder.body(Outgoing::Empty)?;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(self.user_agent));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        for (name, value) in &health.send_headers {
            match value {
                Some(value) => drop(headers.insert(name, value.clone())),
                None => drop(headers.remove(name)),
            }
        }
        if !self.h2 && !self.stays {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(request)
    }
}
