//! After a 101: bytes both ways until one side is done, silence lasts too long, or the drain's deadline cuts it.
//!
//! The exchange lives as long as the tunnel: it counts in its pool's drain and is logged when the tunnel ends.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{io, pin::pin};

use bytes::{Buf, Bytes};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::exchange::Exchange;
use crate::error::Broken;

/// Bytes read at once, each way. nginx: `proxy_buffer_size`.
const BUFFER: usize = 8 * 1024;

/// What a connection becomes once its 101 is written.
pub struct Tunnel {
    upstream: OnUpgrade,
    exchange: Box<Exchange>,
    idle_timeout: Duration,
}

impl Tunnel {
    pub fn new(upstream: OnUpgrade, exchange: Box<Exchange>, idle_timeout: Duration) -> Self {
        Self { upstream, exchange, idle_timeout }
    }

    /// `early`: what the client sent right behind its request.
    pub async fn run<T: AsyncRead + AsyncWrite + Unpin>(self, client: T, early: Bytes) {
        let Self { upstream, mut exchange, idle_timeout } = self;
        let conn = exchange.conn().clone();
        let Ok(upgraded) = upstream.await else {
            exchange.broke(Broken::UpstreamAborted);
            return;
        };
        let mut up = Pipe::new(early);
        let mut down = Pipe::new(Bytes::new());
        let ended = {
            let relay = relay(client, TokioIo::new(upgraded), &mut up, &mut down, idle_timeout);
            conn.unless_aborted(exchange.live.unless_broken(relay)).await
        };
        match ended {
            Some(Ok(End::Closed)) => exchange.complete = true,
            Some(Ok(End::ClientGone)) => exchange.broke(Broken::ClientAborted),
            Some(Ok(End::UpstreamGone | End::Idle)) => exchange.broke(Broken::UpstreamAborted),
            Some(Err(why)) => exchange.broke(why),
            None => exchange.broke(Broken::DrainCut),
        }
        exchange.complete = true;
        exchange.bytes_in = Some(Rc::new(Cell::new(up.total)));
        exchange.bytes_out += down.total;
    }
}

enum End {
    Closed,
    ClientGone,
    UpstreamGone,
    Idle,
}

/// Both directions on one task; a side that ends its stream half-closes the other.
async fn relay<C, U>(mut client: C, mut upstream: U, up: &mut Pipe, down: &mut Pipe, idle: Duration) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut seen = 0;
    let mut timer = pin!(sleep_until(Instant::now() + idle));
    poll_fn(|cx| {
        let upward = up.poll(cx, &mut client, &mut upstream);
        let downward = down.poll(cx, &mut upstream, &mut client);
        if up.total + down.total != seen {
            seen = up.total + down.total;
            timer.as_mut().reset(Instant::now() + idle);
        }
        match (upward, downward) {
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(End::Closed),
            (Poll::Ready(Err(Side::From)), _) | (_, Poll::Ready(Err(Side::To))) => Poll::Ready(End::ClientGone),
            (Poll::Ready(Err(Side::To)), _) | (_, Poll::Ready(Err(Side::From))) => Poll::Ready(End::UpstreamGone),
            _ => timer.as_mut().poll(cx).map(|()| End::Idle),
        }
    })
    .await
}

/// Which end of a pipe failed.
enum Side {
    From,
    To,
}

/// One direction.
struct Pipe {
    early: Bytes,
    buffer: Box<[u8]>,
    filled: usize,
    sent: usize,
    unflushed: bool,
    ended: bool,
    closed: bool,
    total: u64,
}

impl Pipe {
    fn new(early: Bytes) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { early, buffer, filled: 0, sent: 0, unflushed: false, ended: false, closed: false, total: 0 }
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), Side>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_send(cx, to)).map_err(|_| Side::To)?;
            if self.ended {
                ready!(self.poll_close(cx, to));
                return Poll::Ready(Ok(()));
            }
            match self.poll_fill(cx, from) {
                Poll::Ready(result) => result.map_err(|_| Side::From)?,
                Poll::Pending => {
                    ready!(self.poll_flush(cx, to)).map_err(|_| Side::To)?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn poll_fill<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, from: &mut R) -> Poll<io::Result<()>> {
        let mut buf = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(from).poll_read(cx, &mut buf))?;
        self.filled = buf.filled().len();
        self.sent = 0;
        self.ended = self.filled == 0;
        Poll::Ready(Ok(()))
    }

    fn poll_send<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        while !self.early.is_empty() {
            let n = ready!(Pin::new(&mut *to).poll_write(cx, &self.early))?;
            self.early.advance(written(n)?);
            self.count(n);
        }
        while self.sent < self.filled {
            let n = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.sent..self.filled]))?;
            self.sent += written(n)?;
            self.count(n);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The other side may be gone already; it has said everything either way.
    fn poll_close<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<()> {
        if !self.closed {
            let _ = ready!(Pin::new(to).poll_shutdown(cx));
            self.closed = true;
        }
        Poll::Ready(())
    }

    fn count(&mut self, bytes: usize) {
        self.total += bytes as u64;
        self.unflushed = true;
    }
}

fn written(n: usize) -> io::Result<usize> {
    if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }
}
