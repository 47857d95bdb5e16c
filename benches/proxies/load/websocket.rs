//! A WebSocket as a proxy sees it: the upgrade, then bytes both ways. The origin echoes them as they are, mask and all.

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Key and answer are RFC 6455's own example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A message of 64 bytes, as a chat or a notification is: header, mask, text.
const MESSAGE: usize = 64;

/// An upgraded connection.
pub struct WebSocket<S> {
    io: S,
    frame: Vec<u8>,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks for the upgrade and reads the answer, byte by byte: what follows it is the echo's.
    pub async fn open(mut io: S, host: &str) -> Result<WebSocket<S>> {
        let head = format!(
            "GET /socket HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\norigin: https://{host}\r\n\r\n"
        );
        io.write_all(head.as_bytes()).await?;
        io.flush().await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(io.read_u8().await.context("no answer to the upgrade")?);
            ensure!(answer.len() < 16 << 10, "the answer's head has no end");
        }
        let answer = String::from_utf8_lossy(&answer);
        ensure!(answer.starts_with("HTTP/1.1 101 "), "the upgrade was answered with {answer:?}");
        let mut frame = vec![0x81, 0x80 | MESSAGE as u8, 1, 2, 3, 4];
        frame.resize(frame.len() + MESSAGE, b'm');
        let buffer = vec![0; frame.len()];
        Ok(WebSocket { io, frame, buffer })
    }

    /// Sends a message and waits until all of it is back.
    pub async fn echo(&mut self) -> Result<()> {
        self.io.write_all(&self.frame).await.context("cannot send a message")?;
        self.io.flush().await.context("cannot send a message")?;
        self.io.read_exact(&mut self.buffer).await.context("no echo")?;
        ensure!(self.buffer == self.frame, "the echo differs from what was sent");
        Ok(())
    }
}
