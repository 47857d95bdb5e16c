//! HTTP/1.1 to edgectl: a connection that is kept while it works, and replaced when it does not.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};

use super::exchange::DemoTraffic;
use crate::demo::backend::COLOR_HEADER;
use crate::demo::stage::HOST;
use crate::types::Color;

/// One client's connection, kept alive.
#[derive(Default)]
pub(super) struct KeptConnection {
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
pub(super) struct WholeAnswer {
    pub color: Color,
    pub body: Bytes,
}

impl KeptConnection {
    /// Asks and reads the whole answer, which must be a 200.
    pub async fn ask(&mut self, traffic: &DemoTraffic, request: Request<Full<Bytes>>) -> Result<WholeAnswer, String> {
        let response = self.send(traffic, request).await?;
        whole(response).await
    }

    /// Asks, and returns before the answer's body is read. A connection that edgectl has closed between exchanges is
    /// replaced.
    pub async fn send(
        &mut self,
        traffic: &DemoTraffic,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, String> {
        let mut sender = match self.kept().await {
            Some(kept) => kept,
            None => open(traffic).await?,
        };
        let response = sender.send_request(request).await.map_err(|e| no_answer(&e))?;
        self.sender = Some(sender);
        Ok(response)
    }

    /// The connection of the last exchange, if it can carry another one.
    async fn kept(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        let mut sender = self.sender.take()?;
        sender.ready().await.is_ok().then_some(sender)
    }
}

async fn open(traffic: &DemoTraffic) -> Result<SendRequest<Full<Bytes>>, String> {
    let io = traffic.trust.h1(traffic.listener).await?;
    let (sender, connection) = http1::handshake(io).await.map_err(|e| format!("no HTTP/1.1: {e}"))?;
    // Ends when the sender is dropped, or the tunnel that it became. Its requests see what goes wrong.
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(sender)
}

/// A request to edgectl, in HTTP/1.1's form.
pub(super) fn request(method: &str, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, String> {
    let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
    request.body(Full::new(body)).map_err(|e| e.to_string())
}

/// Reads an answer to its end.
pub(super) async fn whole(response: Response<Incoming>) -> Result<WholeAnswer, String> {
    let color = color_of(&response, StatusCode::OK)?;
    let body = response.into_body().collect().await.map_err(|e| broke_off(&e))?;
    Ok(WholeAnswer { color, body: body.to_bytes() })
}

/// The colour that answered, if the status is the wanted one.
pub(super) fn color_of<B>(response: &Response<B>, wanted: StatusCode) -> Result<Color, String> {
    if response.status() != wanted {
        return Err(format!("got {}", response.status()));
    }
    let named = |headers: &HeaderMap<HeaderValue>| headers.get(COLOR_HEADER)?.to_str().ok()?.parse().ok();
    named(response.headers()).ok_or_else(|| "the answer names no colour".to_owned())
}

pub(super) fn no_answer(error: &hyper::Error) -> String {
    format!("no answer: {error}")
}

pub(super) fn broke_off(error: &hyper::Error) -> String {
    format!("the answer broke off: {error}")
}
