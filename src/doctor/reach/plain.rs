//! What is at http-01's path: asked as an authority does, over plain HTTP (RFC 8555, 8.3).

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connect::{ANSWER, connect};
use super::verdict::PortAnswer;
use crate::acme::{chain, one_line};
use crate::challenge::PATH;

/// Nonces are shorter.
const MOST: usize = 4096;

/// What was seen, and the answer's fields, if there was one.
pub async fn look(to: SocketAddr, host: &str, token: &str, nonce: &str) -> (PortAnswer, HeaderMap) {
    let stream = match connect(to).await {
        Ok(stream) => stream,
        Err(seen) => return (seen, HeaderMap::new()),
    };
    match timeout(ANSWER, ask(stream, host, token)).await {
        Err(_) => (PortAnswer::Silent, HeaderMap::new()),
        Ok(Err(why)) => (PortAnswer::Nonsense(why), HeaderMap::new()),
        Ok(Ok(answer)) => (seen(&answer, nonce), answer.into_parts().0.headers),
    }
}

async fn ask(stream: TcpStream, host: &str, token: &str) -> Result<Response<Bytes>, String> {
    let request = Request::get(format!("{PATH}{token}"))
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("edgectl/", env!("CARGO_PKG_VERSION"), " (acme doctor)"))
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new());
    let request = request.map_err(|e| e.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| chain(&e))?;
    let answer = async {
        let (parts, body) = sender.send_request(request).await.map_err(|e| chain(&e))?.into_parts();
        Ok(Response::from_parts(parts, collect(body).await))
    };
    let mut answer = std::pin::pin!(answer);
    // The connection lives as long as the answer is read, and no longer.
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(chain(&error)),
        },
    }
}

/// What is too long is no nonce.
async fn collect(body: Incoming) -> Bytes {
    Limited::new(body, MOST).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default()
}

fn seen(answer: &Response<Bytes>, nonce: &str) -> PortAnswer {
    let status = answer.status();
    let field = |name| answer.headers().get(name).map(|value| one_line(&String::from_utf8_lossy(value.as_bytes())));
    if status.is_success() && answer.body().trim_ascii() == nonce.as_bytes() {
        return PortAnswer::Us;
    }
    match field(header::LOCATION) {
        Some(to) if status.is_redirection() => PortAnswer::Redirected { status: status.as_u16(), to },
        _ => PortAnswer::Other { status: status.as_u16(), server: field(header::SERVER) },
    }
}
