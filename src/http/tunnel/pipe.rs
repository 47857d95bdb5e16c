//! One direction of a tunnel: bytes from one side to the other, and how far the frames among them have come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::Frames;

/// Bytes read at once, each way. nginx: `proxy_buffer_size`.
const BUFFER: usize = 8 * 1024;

/// Which end of a pipe failed.
pub(super) enum PipeEnd {
    From,
    To,
}

/// One direction.
pub(super) struct Pipe {
    early: Bytes,
    buffer: Box<[u8]>,
    filled: usize,
    sent: usize,
    unflushed: bool,
    ended: bool,
    closed: bool,
    total: u64,
    /// Of a WebSocket: where the bytes sent so far stand among its frames.
    frames: Option<Frames>,
}

impl Pipe {
    /// `early`: what was read before the tunnel began.
    pub fn new(early: Bytes, frames: Option<Frames>) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { early, buffer, filled: 0, sent: 0, unflushed: false, ended: false, closed: false, total: 0, frames }
    }

    /// Bytes passed on.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn frames(&self) -> Option<&Frames> {
        self.frames.as_ref()
    }

    /// Passes on what comes, and the end of the stream too.
    pub fn poll<R, W>(&mut self, cx: &mut Context<'_>, from: &mut R, to: &mut W) -> Poll<Result<(), PipeEnd>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            ready!(self.poll_send(cx, to)).map_err(|_| PipeEnd::To)?;
            if self.ended {
                ready!(self.poll_close(cx, to));
                return Poll::Ready(Ok(()));
            }
            match self.poll_fill(cx, from) {
                Poll::Ready(result) => result.map_err(|_| PipeEnd::From)?,
                Poll::Pending => {
                    ready!(self.poll_flush(cx, to)).map_err(|_| PipeEnd::To)?;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Passes on what is left of the frame on its way, and not a byte of the next. Fails where there is no border between frames.
    pub fn poll_rest_of_frame<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
    ) -> Poll<Result<(), PipeEnd>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            let Some(frames) = self.frames.filter(|frames| !frames.is_lost()) else {
                return Poll::Ready(Err(PipeEnd::From));
            };
            if frames.is_between() {
                return Poll::Ready(Ok(()));
            }
            let rest = frames.rest_of_frame(self.pending());
            if rest > 0 {
                let n = ready!(Pin::new(&mut *to).poll_write(cx, &self.pending()[..rest])).and_then(written);
                self.passed(n.map_err(|_| PipeEnd::To)?);
            } else if self.ended {
                return Poll::Ready(Err(PipeEnd::From));
            } else if let Poll::Ready(result) = self.poll_fill(cx, from) {
                result.map_err(|_| PipeEnd::From)?;
            } else {
                ready!(self.poll_flush(cx, to)).map_err(|_| PipeEnd::To)?;
                return Poll::Pending;
            }
        }
    }

    /// Passes nothing on any more. Ready once `from` has sent its Close, or has ended.
    pub fn poll_discard<R: AsyncRead + Unpin>(&mut self, cx: &mut Context<'_>, from: &mut R) -> Poll<()> {
        loop {
            let Some(mut frames) = self.frames else { return Poll::Ready(()) };
            frames.follow(&self.early);
            frames.follow(&self.buffer[self.sent..self.filled]);
            self.frames = Some(frames);
            self.early.clear();
            self.sent = self.filled;
            if frames.has_closed() || self.ended || ready!(self.poll_fill(cx, from)).is_err() {
                return Poll::Ready(());
            }
        }
    }

    /// What was read and not sent yet comes first.
    fn pending(&self) -> &[u8] {
        if self.early.is_empty() { &self.buffer[self.sent..self.filled] } else { &self.early }
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
        while !self.pending().is_empty() {
            let n = ready!(Pin::new(&mut *to).poll_write(cx, self.pending())).and_then(written)?;
            self.passed(n);
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

    /// The other side may be gone already; it has sent everything in any case.
    fn poll_close<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<()> {
        if !self.closed {
            let _ = ready!(Pin::new(to).poll_shutdown(cx));
            self.closed = true;
        }
        Poll::Ready(())
    }

    /// The first `n` pending bytes were sent.
    fn passed(&mut self, n: usize) {
        if let Some(mut frames) = self.frames {
            frames.follow(&self.pending()[..n]);
            self.frames = Some(frames);
        }
        if self.early.is_empty() {
            self.sent += n;
        } else {
            self.early.advance(n);
        }
        self.total += n as u64;
        self.unflushed = true;
    }
}

fn written(n: usize) -> io::Result<usize> {
    if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }
}
