//! Everything that HTTP/2 writes in one turn becomes one record and one system call.
//!
//! The codec flushes after each DATA frame; here a flush is only noted, and done when the codec's turn is over. The buffer
//! exists only between a write and that flush, so an idle connection holds none.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS record's most (RFC 8446, 5.1); what is larger goes through as it is.
const RECORD: usize = 16 * 1024;

/// The stream that the codec writes to.
pub(super) struct Coalesce<T>(Rc<RefCell<Inner<T>>>);

/// Does the flushes that the codec has asked for.
pub(super) struct Flusher<T>(Rc<RefCell<Inner<T>>>);

struct Inner<T> {
    io: T,
    pending: Vec<u8>,
    sent: usize,
    flush_wanted: bool,
}

impl<T: AsyncWrite + Unpin> Coalesce<T> {
    pub fn new(io: T) -> (Self, Flusher<T>) {
        let inner = Inner { io, pending: Vec::new(), sent: 0, flush_wanted: false };
        let inner = Rc::new(RefCell::new(inner));
        (Self(inner.clone()), Flusher(inner))
    }
}

impl<T: AsyncWrite + Unpin> Flusher<T> {
    /// To be called after each of the codec's turns. Pending: woken when there is room again.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        if !inner.flush_wanted {
            return Poll::Ready(Ok(()));
        }
        ready!(inner.poll_send_pending(cx))?;
        ready!(Pin::new(&mut inner.io).poll_flush(cx))?;
        inner.flush_wanted = false;
        Poll::Ready(Ok(()))
    }
}

impl<T> Flusher<T> {
    /// The stream, once the codec is gone, and what the codec has written to it that has not left.
    pub fn into_parts(self) -> Option<(T, Vec<u8>)> {
        let Inner { io, mut pending, sent, .. } = Rc::into_inner(self.0)?.into_inner();
        pending.drain(..sent);
        Some((io, pending))
    }
}

impl<T: AsyncWrite + Unpin> Inner<T> {
    fn poll_send_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.pending.len() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.pending[self.sent..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        self.pending = Vec::new();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Whether `length` more bytes go into the buffer; makes room for them.
    fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        if self.pending.len() + length > RECORD {
            ready!(self.poll_send_pending(cx))?;
        }
        if length > RECORD {
            return Poll::Ready(Ok(false));
        }
        if self.pending.capacity() == 0 {
            self.pending.reserve_exact(length.max(2048));
        } else if self.pending.len() + length > self.pending.capacity() {
            let room = RECORD - self.pending.len();
            self.pending.reserve_exact(room);
        }
        Poll::Ready(Ok(true))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Coalesce<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Coalesce<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        if !ready!(inner.poll_room(cx, buf.len()))? {
            return Pin::new(&mut inner.io).poll_write(cx, buf);
        }
        inner.pending.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.borrow_mut();
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if !ready!(inner.poll_room(cx, length))? {
            return Pin::new(&mut inner.io).poll_write_vectored(cx, bufs);
        }
        for buf in bufs {
            inner.pending.extend_from_slice(buf);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().flush_wanted = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.borrow_mut();
        ready!(inner.poll_send_pending(cx))?;
        Pin::new(&mut inner.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Counts the writes that come through.
    struct Counted<T>(T, usize);

    impl<T: AsyncWrite + Unpin> AsyncWrite for Counted<T> {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.1 += 1;
            Pin::new(&mut self.0).poll_write(cx, buf)
        }
        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }
        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn what_is_written_in_one_turn_goes_out_once_and_in_order() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut io, flusher) = Coalesce::new(Counted(near, 0));
        let mut expected = Vec::new();
        for i in 0..40_u8 {
            let part = vec![i; 300];
            io.write_all(&part).await.unwrap();
            io.flush().await.unwrap();
            expected.extend(part);
        }
        assert_eq!(flusher.0.borrow().io.1, 0);
        poll_fn(|cx| flusher.poll(cx)).await.unwrap();
        assert_eq!(flusher.0.borrow().io.1, 1);
        assert_eq!(flusher.0.borrow().pending.capacity(), 0);
        let large = vec![7; 3 * RECORD];
        io.write_all(b"before").await.unwrap();
        io.write_all(&large).await.unwrap();
        io.write_all(b"after").await.unwrap();
        io.shutdown().await.unwrap();
        expected.extend(b"before".iter().chain(&large).chain(b"after"));
        drop((io, flusher));
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
    }
}
