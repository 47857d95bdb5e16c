//! How we end a tunnel: each side of a WebSocket gets a Close frame with the reason, and may answer it.
//!
//! Never writes into the middle of a frame: the rest of a frame that has begun is passed on first, for a bounded time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::join;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::frames::{self, Frames, Role};
use super::pipe::Pipe;

/// Why a WebSocket is ended, in the words of RFC 6455, 7.4.1 and its registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// 1001: silent for too long, or the proxy leaves.
    GoingAway,
    /// 1012: its colour has been switched; a client that connects again reaches the other.
    ServiceRestart,
    /// 1008: the client's certificate is not accepted any more.
    NotAdmitted,
}

impl Farewell {
    fn frame(self, from: Role) -> Vec<u8> {
        match self {
            Self::GoingAway => frames::close(from, 1001, "going away"),
            Self::ServiceRestart => frames::close(from, 1012, "service restart"),
            Self::NotAdmitted => frames::close(from, 1008, "client certificate not accepted any more"),
        }
    }
}

/// The tunnel's two ends and its two directions.
pub(super) struct Ends<'a, C, U> {
    pub client: &'a mut C,
    pub upstream: &'a mut U,
    pub up: &'a mut Pipe,
    pub down: &'a mut Pipe,
}

impl<C, U> Ends<'_, C, U>
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    /// Says why, hears the answers, closes; each of the three takes at most `patience`.
    pub async fn part(mut self, farewell: Farewell, patience: Duration) {
        if self.up.frames().is_some() {
            self.say(farewell, patience).await;
        }
        let _ = timeout(patience, join(self.client.shutdown(), self.upstream.shutdown())).await;
    }

    async fn say(&mut self, farewell: Farewell, patience: Duration) {
        let Self { client, upstream, up, down } = self;
        let mut to_upstream = OurClose::new(farewell.frame(Role::Client));
        let mut to_client = OurClose::new(farewell.frame(Role::Server));
        let both = poll_fn(|cx| {
            let up = to_upstream.poll(cx, up, client, upstream);
            let down = to_client.poll(cx, down, upstream, client);
            if up.is_ready() && down.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout(patience, both).await;
        let answers = poll_fn(|cx| {
            let client = to_client.is_out() && up.poll_discard(cx, client).is_pending();
            let upstream = to_upstream.is_out() && down.poll_discard(cx, upstream).is_pending();
            if client || upstream { Poll::Pending } else { Poll::Ready(()) }
        });
        let _ = timeout(patience, answers).await;
    }
}

/// Our Close in one direction.
struct OurClose {
    frame: Vec<u8>,
    sent: usize,
    state: CloseState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CloseState {
    /// A frame of the other side is on its way.
    Waiting,
    Speaking,
    Out,
    /// There is no border between frames to put it at, or the other side does not read any more.
    Unsaid,
}

impl OurClose {
    fn new(frame: Vec<u8>) -> Self {
        Self { frame, sent: 0, state: CloseState::Waiting }
    }

    fn is_out(&self) -> bool {
        self.state == CloseState::Out
    }

    fn poll<R, W>(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe, from: &mut R, to: &mut W) -> Poll<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        if self.state == CloseState::Waiting {
            let border = ready!(pipe.poll_rest_of_frame(cx, from, to));
            let has_closed = pipe.frames().is_some_and(Frames::has_closed);
            self.state = match border {
                // The other side has sent a Close by itself, and no frame may follow a Close.
                Ok(()) if has_closed => CloseState::Out,
                Ok(()) => CloseState::Speaking,
                Err(_) => CloseState::Unsaid,
            };
        }
        if self.state == CloseState::Speaking {
            self.state = if ready!(self.poll_speak(cx, to)).is_ok() { CloseState::Out } else { CloseState::Unsaid };
        }
        Poll::Ready(())
    }

    fn poll_speak<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<std::io::Result<()>> {
        while self.sent < self.frame.len() {
            match ready!(Pin::new(&mut *to).poll_write(cx, &self.frame[self.sent..]))? {
                0 => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        Pin::new(to).poll_flush(cx)
    }
}
