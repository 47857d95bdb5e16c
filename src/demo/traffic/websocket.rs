//! Tunnels: opened by an upgrade, with messages that have to come back. One stays open during both switches; short ones are opened
//! one after another.

use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::{KeptConnection, color_of, no_answer, request};
use super::exchange::{DemoTraffic, Judge, PATIENCE};
use crate::demo::tally::TrafficKind;

/// Time between two messages.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of a message.
const MESSAGE: usize = 512;

type EchoTunnel = TokioIo<Upgraded>;

/// One tunnel after another, each open for `open_for`.
pub(super) async fn lane(traffic: Rc<DemoTraffic>, open_for: Duration) {
    while traffic.goes_on() {
        let mut tunnel = None;
        let opening = async {
            tunnel = Some(open(&traffic, &traffic.judge()).await?);
            Ok(())
        };
        traffic.count(TrafficKind::WebSocket, PATIENCE, opening).await;
        match tunnel {
            Some(tunnel) => converse(&traffic, tunnel, Instant::now() + open_for).await,
            None => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// RFC 6455, 4.1. No frames are sent inside: edgectl only passes bytes.
async fn open(traffic: &DemoTraffic, judge: &Judge<'_>) -> Result<EchoTunnel, String> {
    let mut request = request("GET", "/echo", Bytes::new())?;
    let fields = [
        (header::CONNECTION, "upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    request.headers_mut().extend(fields.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let response = KeptConnection::default().send(traffic, request).await?;
    judge.check(color_of(&response, StatusCode::SWITCHING_PROTOCOLS)?)?;
    let upgraded = hyper::upgrade::on(response).await.map_err(|e| no_answer(&e))?;
    Ok(TokioIo::new(upgraded))
}

/// Sends messages until then, or until one is lost.
async fn converse(traffic: &DemoTraffic, mut tunnel: EchoTunnel, until: Instant) {
    while traffic.goes_on() && Instant::now() < until {
        if !traffic.count(TrafficKind::WebSocket, PATIENCE, echo(&mut tunnel)).await {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let _ = tunnel.shutdown().await;
}

async fn echo(tunnel: &mut EchoTunnel) -> Result<(), String> {
    let cut = |e: std::io::Error| format!("the tunnel was cut: {e}");
    let sent: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(MESSAGE).collect();
    tunnel.write_all(&sent).await.map_err(cut)?;
    tunnel.flush().await.map_err(cut)?;
    let mut echoed = [0; MESSAGE];
    tunnel.read_exact(&mut echoed).await.map_err(cut)?;
    if echoed == *sent { Ok(()) } else { Err("a message did not come back as it was".to_owned()) }
}
