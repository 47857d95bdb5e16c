//! HTTP/1.1, just enough: one request, one answer with Content-Length, the same connection again.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::request::Request;

const BUFFER: usize = 64 << 10;

/// A kept-alive connection.
pub struct Connection<S> {
    io: S,
    buffer: Box<[u8]>,
}

/// A whole answer, for checks before the measuring.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(io: S) -> Connection<S> {
        Connection { io, buffer: vec![0; BUFFER].into_boxed_slice() }
    }

    /// Asks, and checks that the answer is a 200 of the right length.
    pub async fn get(&mut self, request: &Request) -> Result<()> {
        self.send(&request.h1).await?;
        let head = self.head().await?;
        ensure!(head.status == 200, "answered with status {}", head.status);
        ensure!(head.len == request.len, "answered with {} bytes instead of {}", head.len, request.len);
        let mut have = head.filled - head.end;
        while have < request.len {
            have += self.read(0).await?;
        }
        ensure!(have == request.len, "sent {} bytes after the body", have - request.len);
        Ok(())
    }

    /// Asks, and gives back whatever was answered.
    pub async fn fetch(&mut self, request: &Request) -> Result<Answer> {
        self.send(&request.h1).await?;
        let head = self.head().await?;
        let text = String::from_utf8_lossy(&self.buffer[..head.end]).into_owned();
        let mut body = self.buffer[head.end..head.filled].to_vec();
        while body.len() < head.len {
            let read = self.read(0).await?;
            body.extend_from_slice(&self.buffer[..read]);
        }
        Ok(Answer { status: head.status, head: text, body })
    }

    /// Says goodbye (TLS close_notify, FIN) and closes.
    pub async fn close(mut self) -> Result<()> {
        self.io.shutdown().await.context("cannot close")
    }

    async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.io.write_all(request).await.context("cannot send the request")?;
        self.io.flush().await.context("cannot send the request")
    }

    async fn head(&mut self) -> Result<Head> {
        let mut filled = 0;
        loop {
            ensure!(filled < BUFFER, "the answer's head has no end");
            filled += self.read(filled).await?;
            if let Some(at) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                return Head::parse(&self.buffer[..at + 4], filled);
            }
        }
    }

    /// Reads into the buffer from `at` on; a closed connection is an error, because an answer is always awaited here.
    async fn read(&mut self, at: usize) -> Result<usize> {
        match self.io.read(&mut self.buffer[at..]).await.context("cannot read the answer")? {
            0 => bail!("closed the connection before the end of the answer"),
            read => Ok(read),
        }
    }
}

struct Head {
    status: u16,
    /// Content-Length.
    len: usize,
    /// Where the head ends, and where what was read ends.
    end: usize,
    filled: usize,
}

impl Head {
    fn parse(head: &[u8], filled: usize) -> Result<Head> {
        let text = std::str::from_utf8(head).context("the answer's head is not UTF-8")?;
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.with_context(|| format!("not an HTTP/1.1 answer: {text:?}"))?;
        let len = text.lines().find_map(|line| match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => value.trim().parse().ok(),
            _ => None,
        });
        let len = len.with_context(|| format!("an answer without Content-Length: {text:?}"))?;
        Ok(Head { status, len, end: head.len(), filled })
    }
}
