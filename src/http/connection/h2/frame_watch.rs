//! The byte stream under the HTTP/2 codec: counts the client's control frames and what comes of its uploads, and reads how large a
//! head it takes.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Found, Frame, FrameScan};
use super::room::RoomWait;
use crate::http::connection::conn::Conn;
use crate::resources::HeldAccount;

/// ENHANCE_YOUR_CALM (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;
const GOAWAY: u8 = 7;

/// A client's byte stream, watched. It ends with an error when the client has sent too many control frames.
pub(super) struct FrameWatch<T> {
    io: T,
    conn: Rc<Conn>,
    scan: FrameScan,
    calm: Rc<Calm>,
    room: RoomWait,
}

/// Whether the client has to be told to calm down.
#[derive(Debug, Default)]
pub(super) struct Calm {
    is_due: Cell<bool>,
    last_stream: Cell<u32>,
}

impl Calm {
    /// The farewell to a client that has sent too many control frames, if it has.
    pub fn goaway(&self) -> Option<[u8; 17]> {
        if !self.is_due.get() {
            return None;
        }
        let mut frame = [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        frame[9..13].copy_from_slice(&self.last_stream.get().to_be_bytes());
        frame[13..].copy_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
        Some(frame)
    }
}

impl<T> FrameWatch<T> {
    pub fn new(io: T, conn: Rc<Conn>) -> (Self, Rc<Calm>) {
        let calm = Rc::new(Calm::default());
        (Self { io, conn, scan: FrameScan::default(), calm: calm.clone(), room: RoomWait::default() }, calm)
    }

    fn look_at(&mut self, bytes: &[u8]) -> io::Result<()> {
        // What comes behind is only read so that the farewell arrives.
        if self.calm.is_due.get() {
            return Ok(());
        }
        let Self { conn, scan, calm, .. } = self;
        let goes_on = scan.feed(bytes, |found| match found {
            Found::HeaderListSize(size) => {
                conn.set_header_list_size(usize::try_from(size).unwrap_or(usize::MAX));
                true
            }
            Found::Padding(length) => {
                conn.held().went(length.into());
                true
            }
            Found::Frame(frame) => {
                if frame.carries_a_body() {
                    conn.held().came(usize::try_from(frame.length).unwrap_or(usize::MAX));
                }
                calm.admits(conn, frame)
            }
        });
        if goes_on { Ok(()) } else { Err(io::Error::other("too many control frames")) }
    }
}

impl Calm {
    fn admits(&self, conn: &Conn, frame: Frame) -> bool {
        if frame.opens_a_stream() && frame.stream > self.last_stream.get() {
            self.last_stream.set(frame.stream);
            conn.budget().open_stream();
            return true;
        }
        if frame.carries_a_body() || conn.budget().spend(Instant::now) {
            return true;
        }
        self.is_due.set(true);
        false
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FrameWatch<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        // Nothing else is read meanwhile either: it is the last resort, when the process may hold no more.
        ready!(this.room.poll(this.conn.held(), HeldAccount::may_read, cx));
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        Poll::Ready(self.look_at(&buf.filled()[before..]))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FrameWatch<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
