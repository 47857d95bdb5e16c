//! The command line's end of the admin socket: typed calls, and errors that say what to do.
//!
//! Each call has a connection of its own. A read has a deadline here; an operation is bounded by the daemon.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::state::ReloadReport;
use super::wire::{
    CaRoot, Certificates, HealthStatus, HistoryRecords, MEDIA_TYPE, NDJSON, OperationEnd, PreviewBody, PreviewLink,
    Problem, RenewRequest, RenewedCertificate, Status, StreamLine, VerbBody,
};
use crate::control::{HistoryRecord, OperationDone, OperationEvent};
use crate::doctor::{Diagnosis, DoctorQuestion};

/// How long a live daemon may take to answer a read.
const PATIENCE: Duration = Duration::from_secs(10);

/// A reload may read many certificates and bind many sockets.
const RELOAD_PATIENCE: Duration = Duration::from_mins(1);

/// An authority takes its time, and so does a hook that waits for DNS.
const RENEWAL_PATIENCE: Duration = Duration::from_mins(20);

/// At worst half a minute for each name, four names at a time.
const EXAMINATION_PATIENCE: Duration = Duration::from_mins(20);

/// Calls the daemon behind one socket.
#[derive(Debug, Clone)]
pub struct AdminClient {
    socket: PathBuf,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no daemon answers on {socket}: {why}; is `edgectl serve` running? another socket: --socket PATH, $EDGE_SOCKET"
    )]
    NotReachable { socket: PathBuf, why: String },
    #[error("no permission for {socket}; run this as the daemon's user or as a member of the socket's group")]
    NotAllowed { socket: PathBuf },
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The daemon may have done what was asked.
    #[error("the daemon's answer broke off: {why}; `edgectl status` and `edgectl history` say what came of it")]
    BrokenOff { why: String },
}

impl AdminClient {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub async fn status(&self) -> Result<Status, ClientError> {
        self.soon(PATIENCE, self.call(Method::GET, "/v1/status".to_owned())).await
    }

    /// The internal CA's root.
    pub async fn ca(&self) -> Result<CaRoot, ClientError> {
        self.soon(PATIENCE, self.call(Method::GET, "/v1/ca".to_owned())).await
    }

    /// Whether the daemon is ready to serve.
    pub async fn health(&self) -> Result<HealthStatus, ClientError> {
        let answer = async {
            let response = self.send(request(Method::GET, "/v1/health".to_owned(), Bytes::new())?).await?;
            // 503 carries the same body.
            json(&collect(response).await?)
        };
        self.soon(PATIENCE, answer).await
    }

    /// The last `count` records, oldest first; of one service, or of all.
    pub async fn history(&self, service: Option<&str>, count: usize) -> Result<Vec<HistoryRecord>, ClientError> {
        let path = match service {
            Some(name) => format!("/v1/services/{}/history?n={count}", segment(name)),
            None => format!("/v1/history?n={count}"),
        };
        let records: HistoryRecords = self.soon(PATIENCE, self.call(Method::GET, path)).await?;
        Ok(records.records)
    }

    pub async fn reload(&self) -> Result<ReloadReport, ClientError> {
        self.soon(RELOAD_PATIENCE, self.call(Method::POST, "/v1/reload".to_owned())).await
    }

    /// Runs an operation to its end; `on_step` is called for each step as it happens.
    pub async fn operate<B: VerbBody>(
        &self,
        service: &str,
        body: &B,
        on_step: &mut dyn FnMut(&OperationEvent),
    ) -> Result<OperationDone, ClientError> {
        let mut request = verb_request(service, body)?;
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(NDJSON));
        let response = accepted(self.send(request).await?).await?;
        follow(response.into_body(), on_step).await
    }

    pub async fn preview(&self, service: &str, body: &PreviewBody) -> Result<PreviewLink, ClientError> {
        let request = verb_request(service, body)?;
        let answer = async { json(&collect(accepted(self.send(request).await?).await?).await?) };
        self.soon(PATIENCE, answer).await
    }

    pub async fn certificates(&self) -> Result<Certificates, ClientError> {
        self.soon(PATIENCE, self.call(Method::GET, "/v1/certificates".to_owned())).await
    }

    /// Answers when the new certificate serves.
    pub async fn renew(&self, host: &str) -> Result<RenewedCertificate, ClientError> {
        let body = serde_json::to_vec(&RenewRequest { host: host.to_owned() }).map_err(broken_off)?;
        let request = request(Method::POST, "/v1/certificates/renew".to_owned(), body.into())?;
        let answer = async { json(&collect(accepted(self.send(request).await?).await?).await?) };
        self.soon(RENEWAL_PATIENCE, answer).await
    }

    /// Answers when everything has been looked at.
    pub async fn examine(&self, question: &DoctorQuestion) -> Result<Diagnosis, ClientError> {
        let body = serde_json::to_vec(question).map_err(broken_off)?;
        let request = request(Method::POST, "/v1/acme/doctor".to_owned(), body.into())?;
        let answer = async { json(&collect(accepted(self.send(request).await?).await?).await?) };
        self.soon(EXAMINATION_PATIENCE, answer).await
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: String) -> Result<T, ClientError> {
        let response = self.send(request(method, path, Bytes::new())?).await?;
        json(&collect(accepted(response).await?).await?)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.unconnected(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(broken_off)?;
        // Ends with the connection, which ends when the answer has been read or dropped.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(broken_off)
    }

    async fn soon<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let late = |_| ClientError::NotReachable {
            socket: self.socket.clone(),
            why: format!("connected, but no answer within {}", crate::types::show_duration(patience)),
        };
        tokio::time::timeout(patience, answer).await.map_err(late)?
    }

    fn unconnected(&self, error: &io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotAllowed { socket },
            io::ErrorKind::NotFound => ClientError::NotReachable { socket, why: "there is no such socket".to_owned() },
            io::ErrorKind::ConnectionRefused => {
                ClientError::NotReachable { socket, why: "the process that made it is gone".to_owned() }
            }
            _ => ClientError::NotReachable { socket, why: error.to_string() },
        }
    }
}

fn verb_request<B: VerbBody>(service: &str, body: &B) -> Result<Request<Full<Bytes>>, ClientError> {
    let path = format!("/v1/services/{}/{}", segment(service), B::VERB.as_str());
    request(Method::POST, path, serde_json::to_vec(body).map_err(broken_off)?.into())
}

fn request(method: Method, path: String, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    let builder = Request::builder().method(method).uri(path).header(header::HOST, "edge");
    builder.header(header::CONTENT_TYPE, "application/json").body(Full::new(body)).map_err(broken_off)
}

/// A name as one segment of a path (RFC 3986, 2.1).
fn segment(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    name.bytes().map(escape).collect()
}

async fn accepted(response: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == MEDIA_TYPE);
    let body = collect(response).await?;
    if !is_problem {
        return Err(broken_off(format!("got {status}: {}", String::from_utf8_lossy(&body))));
    }
    Err(ClientError::Problem(Box::new(json(&body)?)))
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, ClientError> {
    Ok(response.into_body().collect().await.map_err(broken_off)?.to_bytes())
}

/// Reads lines until the one that ends the operation.
async fn follow(mut body: Incoming, on_step: &mut dyn FnMut(&OperationEvent)) -> Result<OperationDone, ClientError> {
    let mut unread = Vec::new();
    while let Some(frame) = body.frame().await {
        unread.extend_from_slice(frame.map_err(broken_off)?.data_ref().unwrap_or(&Bytes::new()));
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            match json(&line)? {
                StreamLine::End(OperationEnd::Result { result }) => return Ok(result),
                StreamLine::End(OperationEnd::Error { problem }) => {
                    return Err(ClientError::Problem(Box::new(problem)));
                }
                StreamLine::Step(event) => on_step(&event),
                StreamLine::Other(_) => {}
            }
        }
    }
    Err(broken_off("it ended without a result"))
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(broken_off)
}

fn broken_off(error: impl ToString) -> ClientError {
    ClientError::BrokenOff { why: error.to_string() }
}
