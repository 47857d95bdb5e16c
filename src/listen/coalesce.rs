//! Small writes above TLS become one record and one system call: HTTP/2 writes a frame at a time.
//!
//! The buffer exists only between a write and its flush, so an idle connection holds none.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A TLS record's most (RFC 8446, 5.1); what is larger goes through as it is.
const RECORD: usize = 16 * 1024;

/// Gathers writes until a flush or a full record.
pub(super) struct Coalesce<T> {
    io: T,
    pending: Vec<u8>,
    sent: usize,
}

impl<T: AsyncWrite + Unpin> Coalesce<T> {
    pub fn new(io: T) -> Self {
        Self { io, pending: Vec::new(), sent: 0 }
    }

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

    /// Room for `length` more bytes in this record.
    fn poll_room(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        if self.pending.len() + length > RECORD {
            ready!(self.poll_send_pending(cx))?;
        }
        if length > RECORD {
            return Poll::Ready(Ok(false));
        }
        if self.pending.capacity() == 0 {
            // Most flushes hold one answer; a second one makes it grow to the record at once.
            self.pending.reserve_exact(length.max(2048).next_power_of_two());
        } else if self.pending.len() + length > self.pending.capacity() {
            self.pending.reserve_exact(RECORD - self.pending.len());
        }
        Poll::Ready(Ok(true))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Coalesce<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Coalesce<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !ready!(self.poll_room(cx, buf.len()))? {
            return Pin::new(&mut self.io).poll_write(cx, buf);
        }
        self.pending.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if !ready!(self.poll_room(cx, length))? {
            return Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        }
        for buf in bufs {
            self.pending.extend_from_slice(buf);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_pending(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_pending(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
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
    async fn small_writes_become_one_and_order_is_kept() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let mut io = Coalesce::new(Counted(near, 0));
        let mut expected = Vec::new();
        for i in 0..40_u8 {
            let part = vec![i; 300];
            io.write_all(&part).await.unwrap();
            expected.extend(part);
        }
        io.flush().await.unwrap();
        assert_eq!(io.io.1, 1);
        assert_eq!(io.pending.capacity(), 0);
        let large = vec![7; 3 * RECORD];
        io.write_all(b"before").await.unwrap();
        io.write_all(&large).await.unwrap();
        io.write_all(b"after").await.unwrap();
        io.shutdown().await.unwrap();
        expected.extend(b"before".iter().chain(&large).chain(b"after"));
        drop(io);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
    }
}
