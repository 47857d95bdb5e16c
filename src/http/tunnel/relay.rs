//! After a 101: bytes both ways until one side is done, silence lasts too long, or the drain's deadline cuts it. A WebSocket
//! that we end gets a Close frame with the reason.
//!
//! The exchange lives as long as the tunnel: it counts in its pool's drain and is logged when the tunnel ends.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::farewell::{Ends, Farewell};
use super::frames::{Frames, Role};
use super::pipe::{Pipe, PipeEnd};
use crate::error::Broken;
use crate::http::connection::{ClientStream, Takeover};
use crate::http::exchange::Exchange;

/// How long each step of a farewell may take: the end of a frame, the answer, the close.
const PATIENCE: Duration = Duration::from_secs(1);

/// The same at the shutdown: the door stays closed as long.
const HASTE: Duration = Duration::from_millis(400);

/// What a connection becomes once its 101 is written.
pub struct Tunnel {
    upstream: OnUpgrade,
    exchange: Box<Exchange>,
    idle_timeout: Duration,
    is_websocket: bool,
}

impl Tunnel {
    /// `is_websocket`: its frames are followed, and it ends with a Close frame.
    pub fn new(upstream: OnUpgrade, exchange: Box<Exchange>, idle_timeout: Duration, is_websocket: bool) -> Self {
        Self { upstream, exchange, idle_timeout, is_websocket }
    }

    async fn relay_until_over(self, mut client: &mut dyn ClientStream, early: Bytes) {
        let Self { upstream, mut exchange, idle_timeout, is_websocket } = self;
        let conn = exchange.conn().clone();
        let Ok(upgraded) = upstream.await else {
            exchange.outcome.broke(Broken::UpstreamAborted);
            return;
        };
        let mut upstream = TokioIo::new(upgraded);
        let frames = |from| is_websocket.then(|| Frames::new(from));
        let mut up = Pipe::new(early, frames(Role::Client));
        let mut down = Pipe::new(Bytes::new(), frames(Role::Server));
        let ended = {
            let relay = relay(&mut client, &mut upstream, &mut up, &mut down, idle_timeout);
            conn.unless_aborted(exchange.live.unless_broken(relay)).await
        };
        let farewell = match ended {
            Some(Ok(TunnelEnd::Closed)) => {
                exchange.outcome.complete = true;
                None
            }
            Some(Ok(TunnelEnd::ClientGone)) => {
                exchange.outcome.broke(Broken::ClientAborted);
                None
            }
            Some(Ok(TunnelEnd::UpstreamGone)) => {
                exchange.outcome.broke(Broken::UpstreamAborted);
                None
            }
            Some(Ok(TunnelEnd::Idle)) => {
                exchange.outcome.broke(Broken::UpstreamAborted);
                Some((Farewell::GoingAway, PATIENCE))
            }
            Some(Err(Broken::Shutdown)) | None => {
                exchange.outcome.broke(Broken::Shutdown);
                Some((Farewell::GoingAway, HASTE))
            }
            Some(Err(why @ Broken::ClientRulesChanged)) => {
                exchange.outcome.broke(why);
                Some((Farewell::NotAdmitted, PATIENCE))
            }
            Some(Err(why)) => {
                exchange.outcome.broke(why);
                Some((Farewell::ServiceRestart, PATIENCE))
            }
        };
        if let Some((farewell, patience)) = farewell {
            let ends = Ends { client: &mut client, upstream: &mut upstream, up: &mut up, down: &mut down };
            ends.part(farewell, patience).await;
        }
        exchange.outcome.complete = true;
        exchange.progress.bytes_in = Some(Rc::new(Cell::new(up.total())));
        exchange.progress.bytes_out += down.total();
    }
}

impl Takeover for Tunnel {
    fn run<'io>(
        self: Box<Self>,
        client: &'io mut dyn ClientStream,
        early: Bytes,
    ) -> Pin<Box<dyn Future<Output = ()> + 'io>> {
        Box::pin(self.relay_until_over(client, early))
    }
}

/// How the relaying ended.
enum TunnelEnd {
    Closed,
    ClientGone,
    UpstreamGone,
    Idle,
}

/// Both directions on one task; a side that ends its stream half-closes the other.
async fn relay<C, U>(client: &mut C, upstream: &mut U, up: &mut Pipe, down: &mut Pipe, idle: Duration) -> TunnelEnd
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut seen = 0;
    let mut timer = pin!(sleep_until(Instant::now() + idle));
    poll_fn(|cx| {
        let upward = up.poll(cx, client, upstream);
        let downward = down.poll(cx, upstream, client);
        if up.total() + down.total() != seen {
            seen = up.total() + down.total();
            timer.as_mut().reset(Instant::now() + idle);
        }
        match (upward, downward) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(TunnelEnd::Closed),
            (Poll::Ready(Err(PipeEnd::From)), _) | (_, Poll::Ready(Err(PipeEnd::To))) => {
                Poll::Ready(TunnelEnd::ClientGone)
            }
            (Poll::Ready(Err(PipeEnd::To)), _) | (_, Poll::Ready(Err(PipeEnd::From))) => {
                Poll::Ready(TunnelEnd::UpstreamGone)
            }
            _ => timer.as_mut().poll(cx).map(|()| TunnelEnd::Idle),
        }
    })
    .await
}
