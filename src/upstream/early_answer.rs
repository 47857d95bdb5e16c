//! A connection to a backend that goes on reading when it can't write any more.
//!
//! A backend that refuses an upload (413, 401) answers and closes while the body is still being sent. The codec gives up as soon as a
//! write fails, although the answer has come: here a write that fails because the other side is gone counts as done, what follows is
//! thrown away until the answer has been read, and the codec finds it, or that there is none (RFC 9112, 9.3 and 9.6).
//!
//! And it bounds what is read at once: the codec's buffer has room for the largest head, and would read that much of a body ahead of a
//! client that takes nothing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};

use crate::resources::LARGEST_PART;

/// The stream under the HTTP/1.1 codec towards a backend.
pub(super) struct EarlyAnswer<T> {
    io: Take<T>,
    far_side: FarSide,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FarSide {
    Listens,
    /// It takes nothing any more, and what it has sent is still to be read.
    IsDeaf,
    /// And that has been read.
    IsGone,
}

impl<T: AsyncRead + Unpin> EarlyAnswer<T> {
    pub fn new(io: T) -> Self {
        Self { io: io.take(LARGEST_PART as u64), far_side: FarSide::Listens }
    }
}

impl<T> EarlyAnswer<T> {
    /// Without asking the stream: what a write of this length comes to.
    fn decided(&self, length: usize) -> Option<io::Result<usize>> {
        match self.far_side {
            FarSide::Listens => None,
            FarSide::IsDeaf => Some(Ok(length)),
            FarSide::IsGone => Some(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn written(&mut self, result: io::Result<usize>, length: usize) -> io::Result<usize> {
        match result {
            Err(error) if is_gone(&error) => {
                self.far_side = FarSide::IsDeaf;
                Ok(length)
            }
            result => result,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
    )
}

impl<T: AsyncRead + Unpin> AsyncRead for EarlyAnswer<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        self.io.set_limit(LARGEST_PART as u64);
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        if self.far_side == FarSide::IsDeaf && (result.is_err() || buf.filled().len() == before) {
            self.far_side = FarSide::IsGone;
        }
        Poll::Ready(result)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EarlyAnswer<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(result) = self.decided(buf.len()) {
            return Poll::Ready(result);
        }
        let written = Pin::new(self.io.get_mut()).poll_write(cx, buf);
        written.map(|result| self.written(result, buf.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = || bufs.iter().map(|buf| buf.len()).sum();
        if let Some(result) = self.decided(length()) {
            return Poll::Ready(result);
        }
        let written = Pin::new(self.io.get_mut()).poll_write_vectored(cx, bufs);
        written.map(|result| self.written(result, length()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.get_ref().is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(result) = self.decided(0) {
            return Poll::Ready(result.map(drop));
        }
        let flushed = Pin::new(self.io.get_mut()).poll_flush(cx);
        flushed.map(|result| self.written(result.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.io.get_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_although_writing_has_failed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let mut near = EarlyAnswer::new(near);
        near.write_all(b"some").await.unwrap();
        far.read_u8().await.unwrap();
        far.write_all(b"413").await.unwrap();
        // With bytes unread: a reset follows what was written.
        drop(far);
        for _ in 0..100 {
            near.write_all(&[7; 1024]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answer = [0; 3];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"413");
        assert!(near.read(&mut answer).await.is_ok_and(|length| length == 0) || near.read(&mut answer).await.is_err());
        assert!(near.write_all(b"more").await.is_err(), "once all is read, it is gone");
    }
}
