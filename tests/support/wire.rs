//! HTTP/1.1 by hand, byte for byte: client and backend both use it. A codec would hide what these tests are about.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::wait::PATIENCE;

/// One end of a connection: TCP, a unix socket, or TLS.
pub trait Duplex: Read + Write + Send {
    fn patience(&self, limit: Duration);
    fn half_close(&mut self);
    fn cut(&mut self);
}

macro_rules! duplex {
    ($stream:ty) => {
        impl Duplex for $stream {
            fn patience(&self, limit: Duration) {
                self.set_read_timeout(Some(limit)).unwrap();
            }

            fn half_close(&mut self) {
                let _ = self.shutdown(Shutdown::Write);
            }

            fn cut(&mut self) {
                let _ = self.shutdown(Shutdown::Both);
            }
        }
    };
}

duplex!(TcpStream);
duplex!(UnixStream);

impl<C, S> Duplex for rustls::StreamOwned<C, TcpStream>
where
    C: std::ops::DerefMut + std::ops::Deref<Target = rustls::ConnectionCommon<S>> + Send,
    S: rustls::SideData,
{
    fn patience(&self, limit: Duration) {
        self.sock.patience(limit);
    }

    fn half_close(&mut self) {
        self.conn.send_close_notify();
        let _ = self.conn.write_tls(&mut self.sock);
        self.sock.half_close();
    }

    fn cut(&mut self) {
        self.sock.cut();
    }
}

/// A connection and what was read ahead of it.
pub struct Wire {
    io: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

/// A start line and its fields, as they came.
#[derive(Clone)]
pub struct Head {
    pub raw: String,
}

/// How long a message's body is.
pub enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Wire {
    pub fn new(io: impl Duplex + 'static) -> Self {
        io.patience(PATIENCE);
        Self { io: Box::new(io), buffer: Vec::new() }
    }

    /// Sends all of it. The other side may be gone, which the next read shows.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.try_send(bytes);
        self
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.io.write_all(bytes.as_ref())?;
        self.io.flush()
    }

    /// The next head, or `None` if the other side closed first.
    pub fn head(&mut self) -> Option<Head> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.more().unwrap_or(0) == 0 {
                return None;
            }
        };
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        Some(Head { raw: String::from_utf8_lossy(&raw).into_owned() })
    }

    /// A whole body, chunks put together; the trailers' lines come with it. Panics when it breaks off.
    pub fn body(&mut self, framing: &Framing) -> (Vec<u8>, String) {
        self.try_body(framing).expect("a whole body")
    }

    pub fn try_body(&mut self, framing: &Framing) -> io::Result<(Vec<u8>, String)> {
        match framing {
            Framing::None => Ok((Vec::new(), String::new())),
            Framing::Length(length) => Ok((self.exactly(*length)?, String::new())),
            Framing::Chunked => self.chunks(),
            Framing::UntilClose => {
                while self.more()? > 0 {}
                Ok((std::mem::take(&mut self.buffer), String::new()))
            }
        }
    }

    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// What is there, or what comes next; empty when the other side has closed.
    pub fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.more()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Reads on until the other side has closed or reset; `false`: it has not within `limit`.
    pub fn closes_within(&mut self, limit: Duration) -> bool {
        self.io.patience(limit);
        let started = std::time::Instant::now();
        let closed = loop {
            match self.more() {
                Ok(0) => break true,
                Ok(_) if started.elapsed() < limit => {}
                Ok(_) => break false,
                Err(error) => break !is_timeout(&error),
            }
        };
        self.io.patience(PATIENCE);
        closed
    }

    /// Whether the connection ends now, and properly: over TLS, with the closing alert.
    pub fn ends_well(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.io.read(&mut [0]), Ok(0))
    }

    pub fn patience(&mut self, limit: Duration) {
        self.io.patience(limit);
    }

    pub fn half_close(&mut self) {
        self.io.half_close();
    }

    pub fn cut(&mut self) {
        self.io.cut();
    }

    /// One chunk of a body; empty after the last, where the trailers begin.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| io::Error::other(format!("chunk {line:?}")))?;
        if size == 0 {
            return Ok(Vec::new());
        }
        let chunk = self.exactly(size)?;
        self.line()?;
        Ok(chunk)
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, String)> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                break;
            }
            body.extend(chunk);
        }
        let mut trailers = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok((body, trailers));
            }
            trailers.push_str(&line);
            trailers.push('\n');
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if self.more()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut part = [0; 16 * 1024];
        let n = match self.io.read(&mut part) {
            // TLS without the closing alert is closed too.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        self.buffer.extend_from_slice(&part[..n]);
        Ok(n)
    }
}

impl Head {
    /// The first line's words: method, target, version; or version, status, reason.
    pub fn word(&self, index: usize) -> &str {
        self.raw.lines().next().unwrap_or_default().split(' ').nth(index).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.raw.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    pub fn request_framing(&self) -> Framing {
        self.framing().unwrap_or(Framing::None)
    }

    pub fn answer_framing(&self, to: &str) -> Framing {
        match (self.word(1), to) {
            ("204" | "304" | "101", _) | (_, "HEAD") => Framing::None,
            _ => self.framing().unwrap_or(Framing::UntilClose),
        }
    }

    fn framing(&self) -> Option<Framing> {
        if self.get("transfer-encoding").is_some_and(|te| te.eq_ignore_ascii_case("chunked")) {
            return Some(Framing::Chunked);
        }
        Some(Framing::Length(self.get("content-length")?.parse().ok()?))
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw.trim_end())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
