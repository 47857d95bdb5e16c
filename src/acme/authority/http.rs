//! HTTP towards an authority: TLS with the system's roots and `ca_file`, bounded in time and size. It keeps the last refusal,
//! because the library above forgets its status and Retry-After.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::acme::text::{chain, one_line};

/// One request, connection and body included.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of one answer; real ones are far smaller.
const MOST: usize = 1 << 20;

/// Cheap to clone; clones share their connections and the last refusal.
#[derive(Clone)]
pub struct AuthorityHttp {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    last: Arc<Mutex<Option<Refusal>>>,
}

/// An answer of 400 and up.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    pub status: u16,
    pub retry_after: Option<SystemTime>,
}

/// There was no answer, or none that ACME defines.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAcmeAnswer(String);

impl AuthorityHttp {
    /// Reads the roots: anew for each account that is opened, so that a changed `ca_file` counts.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots(ca_file)?)
            .with_no_client_auth();
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(20)).build(connector);
        Ok(Self { client, last: Arc::default() })
    }

    /// The last refusal, once.
    pub fn refusal(&self) -> Option<Refusal> {
        self.last.lock().take()
    }

    fn note(&self, refusal: Option<Refusal>) {
        *self.last.lock() = refusal;
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let shown = path.display();
        let own = CertificateDer::pem_file_iter(path).map_err(|e| format!("acme.ca_file {shown}: {e}"))?;
        let own: Vec<_> = own.collect::<Result<_, _>>().map_err(|e| format!("acme.ca_file {shown}: {e}"))?;
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(format!("acme.ca_file {shown} holds no certificate"));
        }
    }
    if roots.is_empty() {
        return Err("the system has no root certificates; install ca-certificates, or set acme.ca_file".to_owned());
    }
    Ok(roots)
}

impl HttpClient for AuthorityHttp {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let agent = concat!("edgectl/", env!("CARGO_PKG_VERSION"));
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(agent));
        let (this, method, uri) = (self.clone(), request.method().clone(), request.uri().clone());
        Box::pin(async move {
            let place = uri.host().unwrap_or_default().to_owned();
            let answer = tokio::time::timeout(PATIENCE, async {
                let response = this.client.request(request).await.map_err(|e| chain(&e))?;
                collect(response).await
            });
            let answer = answer.await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
            let response = answer.map_err(|why| unanswered(format!("{place}: {why}")))?;
            this.take(&method, &place, response)
        })
    }
}

impl AuthorityHttp {
    fn take(&self, method: &Method, place: &str, response: Response<Bytes>) -> Result<BytesResponse, Error> {
        let (mut parts, body) = response.into_parts();
        // The library adds the number to the clock without a bound.
        if retry_after(&parts.headers).is_none() {
            parts.headers.remove(header::RETRY_AFTER);
        }
        if !parts.status.is_client_error() && !parts.status.is_server_error() {
            self.note(None);
            // The library reads no renewal window from an answer without Retry-After; it looks at no other GET for that field.
            if method == Method::GET && !parts.headers.contains_key(header::RETRY_AFTER) {
                parts.headers.insert(header::RETRY_AFTER, HeaderValue::from_static("21600"));
            }
            return Ok(BytesResponse { parts, body: Box::new(body) });
        }
        self.note(Some(Refusal { status: parts.status.as_u16(), retry_after: retry_after(&parts.headers) }));
        if serde_json::from_slice::<serde_json::Map<_, _>>(&body).is_err() {
            let text = one_line(&String::from_utf8_lossy(&body)).chars().take(120).collect::<String>();
            let text = if text.is_empty() { text } else { format!(": {text}") };
            return Err(unanswered(format!("{place}: got {}{text}", parts.status)));
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }
}

fn unanswered(why: String) -> Error {
    Error::Other(Box::new(NoAcmeAnswer(why)))
}

async fn collect(response: Response<Incoming>) -> Result<Response<Bytes>, String> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, MOST).collect().await.map_err(|e| e.to_string())?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// Seconds or a date (RFC 9110, 10.2.3); `None` for what no clock can show.
fn retry_after(headers: &HeaderMap) -> Option<SystemTime> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(SystemTime::now() + Duration::from_secs(seconds.into())),
        Err(_) => httpdate::parse_http_date(text).ok(),
    }
}
