//! The request as its client made it: written down when the head has arrived, and kept for the log.

use std::time::{Instant, SystemTime};

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri, Version, header};

use super::media_type::is_grpc;
use crate::decide::Client;
use crate::error::Failure;
use crate::headers::TraceParent;
use crate::http::connection::Escapes;
use crate::policy::pages::PageForm;
use crate::types::RequestId;

/// A client's request, without the fields that only a backend is interested in.
pub struct ClientRequest {
    pub id: RequestId,
    /// `id` as it is sent, both ways.
    pub id_value: HeaderValue,
    pub client: Client,
    /// As it is sent to the backend; `None` before that.
    pub trace: Option<TraceParent>,
    /// Without what a preview's link had in it.
    pub uri: Uri,
    /// The target as its client wrote it, where we have encoded some of it.
    written: Option<Box<str>>,
    method: Method,
    version: Version,
    /// When its head had arrived.
    started: Instant,
    /// `started` on the wall's clock.
    began: SystemTime,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    accept: Option<HeaderValue>,
    /// Whose page asks, where that decides something.
    origin: Option<HeaderValue>,
    /// The Content-Type of a gRPC call.
    grpc: Option<HeaderValue>,
}

impl ClientRequest {
    /// `began` is now.
    #[inline] // made where it is kept, not moved there
    pub fn new(head: &Parts, id: RequestId, client: Client, began: SystemTime) -> Self {
        let logged = |name| head.headers.get(name).cloned();
        Self {
            id_value: id.header_value(),
            id,
            client,
            trace: None,
            uri: head.uri.clone(),
            written: None,
            method: head.method.clone(),
            version: head.version,
            started: Instant::now(),
            began,
            host: logged(header::HOST),
            user_agent: logged(header::USER_AGENT),
            referer: logged(header::REFERER),
            accept: logged(header::ACCEPT),
            origin: None,
            // A gRPC call is a POST: no other request is asked.
            grpc: (head.method == Method::POST)
                .then(|| logged(header::CONTENT_TYPE))
                .flatten()
                .filter(|kind| is_grpc(Some(kind))),
        }
    }

    /// The log shows what came, not what we have made of it. An absolute target stays as it is.
    pub fn note_escapes(&mut self, escapes: &Escapes) {
        let target = self.uri.path_and_query().filter(|_| self.uri.authority().is_none());
        self.written = target.and_then(|target| escapes.undone(target.as_str())).map(Into::into);
    }

    /// Its route has rules for origins.
    pub fn note_origin(&mut self, head: &Parts) {
        self.origin = head.headers.get(header::ORIGIN).cloned();
    }

    pub fn origin(&self) -> Option<&HeaderValue> {
        self.origin.as_ref()
    }

    /// Its path had dot segments: the backend gets it without them, and the log shows what came.
    pub fn resolve_path(&mut self, path: &str) -> Result<(), Failure> {
        let came = self.uri.path_and_query().map_or("/", PathAndQuery::as_str).into();
        let resolved = match self.uri.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        };
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(resolved.parse().map_err(|_| Failure::BadPath)?);
        self.uri = Uri::from_parts(parts).map_err(|_| Failure::BadPath)?;
        self.written.get_or_insert(came);
        Ok(())
    }

    /// `uri`: the request's, without a preview's token: that is never logged.
    pub fn forget_token(&mut self, uri: Uri) {
        self.uri = uri;
        self.written = None;
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn is_h2(&self) -> bool {
        self.version == Version::HTTP_2
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn began(&self) -> SystemTime {
        self.began
    }

    /// Which form of a page its client reads.
    pub fn page_form(&self) -> PageForm {
        PageForm::of(self.accept.as_ref())
    }

    /// The Content-Type, if it is a gRPC call.
    pub fn grpc(&self) -> Option<&HeaderValue> {
        self.grpc.as_ref()
    }

    /// As the client wrote it: Host, or `:authority`.
    pub(super) fn host(&self) -> &str {
        let authority = self.uri.authority().map(http::uri::Authority::as_str);
        let host = self.host.as_ref().and_then(|host| host.to_str().ok());
        host.or(authority).unwrap_or_default()
    }

    /// Path and query as logged.
    pub(super) fn target(&self) -> (&str, Option<&str>) {
        match &self.written {
            Some(written) => written.split_once('?').map_or((written, None), |(path, query)| (path, Some(query))),
            None => (self.uri.path(), self.uri.query()),
        }
    }

    pub(super) fn user_agent(&self) -> Option<&[u8]> {
        self.user_agent.as_ref().map(HeaderValue::as_bytes)
    }

    pub(super) fn referer(&self) -> Option<&[u8]> {
        self.referer.as_ref().map(HeaderValue::as_bytes)
    }

    /// As logged: nginx's `$server_protocol`.
    pub(super) fn protocol(&self) -> &'static str {
        match self.version {
            Version::HTTP_09 | Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            Version::HTTP_3 => "HTTP/3.0",
            _ => "HTTP/1.1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> ClientRequest {
        let head = http::Request::get(uri).body(()).unwrap().into_parts().0;
        let client = Client { ip: [127, 0, 0, 1].into(), is_trusted: false, is_https: false };
        ClientRequest::new(&head, RequestId::new(), client, SystemTime::now())
    }

    #[test]
    fn the_host_is_that_of_the_target_where_there_is_no_field() {
        assert_eq!(request("https://app.test:8443/x").host(), "app.test:8443");
        assert_eq!(request("/x").host(), "");
    }
}
