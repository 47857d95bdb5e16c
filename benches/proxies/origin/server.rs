//! What the origin answers: an HTTP/1.1 keep-alive server with prebuilt answers of ten fields.
//!
//! The last segment of the path is the page (`/1k`, `/api/items/64k`). A segment `two` sends head and body in two calls, as gunicorn,
//! Puma and Node do; `apart` waits between the two until the proxy has surely read the head. `/echo` answers with the request's head as
//! it arrived, to prove what a proxy sends upstream; `/accepted` with the number of connections so far; an upgrade gets its bytes back.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};

use crate::load::request::{KIB_1, KIB_64, MIB_1, Page};
use crate::load::websocket;

/// Between head and body of a page that is sent `apart`: longer than any proxy needs for a head, under valgrind too.
const APART: Duration = Duration::from_millis(8);

/// Serves until the standard input ends. `ready` gets the address.
pub async fn serve(ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot bind the origin")?;
    ready(listener.local_addr()?);
    // Ends with the bench, which holds the other end.
    let parent = spawn_blocking(|| std::io::stdin().read(&mut [0]));
    tokio::select! {
        () = accept(listener) => {}
        _ = parent => {}
    }
    Ok(())
}

/// The body of a page: not compressible to nothing, not random, the same in each run.
pub fn body(page: Page) -> Vec<u8> {
    (0..page.len).map(|at| b'a' + ((at * 7 + at / 97) % 26) as u8).collect()
}

/// Owns the connections' tasks: they end with it.
async fn accept(listener: TcpListener) {
    let answers = Arc::new(Answers::new());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                answers.accepted.fetch_add(1, Ordering::Relaxed);
                let answers = Arc::clone(&answers);
                connections.spawn(async move { Connection::new(stream).serve(&answers).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What all connections share.
pub struct Answers {
    pages: [(&'static str, Answer); 3],
    accepted: AtomicUsize,
}

/// A whole answer, and where its head ends.
pub struct Answer {
    pub bytes: Vec<u8>,
    pub head: usize,
}

impl Answers {
    pub fn new() -> Answers {
        let pages = [KIB_1, KIB_64, MIB_1].map(|page| (page.name(), Answer::new(&body(page))));
        Answers { pages, accepted: AtomicUsize::new(0) }
    }

    pub fn page(&self, path: &str) -> Option<&Answer> {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.pages.iter().find(|(page, _)| *page == name).map(|(_, answer)| answer)
    }
}

impl Answer {
    /// With the ten fields that a web framework and its server send.
    fn new(body: &[u8]) -> Answer {
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\n\
             Server: gunicorn\r\n\
             Date: Tue, 01 Jul 2025 12:00:00 GMT\r\n\
             Content-Type: text/html; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Cache-Control: private, max-age=0, must-revalidate\r\n\
             ETag: \"5f1d7a84b3c2e960\"\r\n\
             Vary: Cookie, Accept-Language\r\n\
             Content-Language: en\r\n\
             X-Powered-By: Python\r\n\
             Set-Cookie: sessionid=k3x9q0v7m2c8d1f5; HttpOnly; Path=/; SameSite=Lax\r\n\r\n",
            body.len()
        )
        .into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(body);
        Answer { bytes, head }
    }
}

/// A connection of a proxy. The load sees an error on it in the proxy's answer.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        Connection { stream, buffer: vec![0; 64 << 10], filled: 0 }
    }

    /// Serves until the proxy closes it.
    async fn serve(mut self, answers: &Answers) -> std::io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(head) = self.head().await? {
            let text = String::from_utf8_lossy(&self.buffer[..head]).into_owned();
            if field(&text, "upgrade").is_some() {
                return self.echo(head).await;
            }
            let len = field(&text, "content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
            self.skip(head, len).await?;
            let path = text.split(' ').nth(1).unwrap_or_default();
            match (answers.page(path), path) {
                (Some(answer), path) => self.send(answer, path).await?,
                (None, "/echo") => self.stream.write_all(&Answer::new(text.as_bytes()).bytes).await?,
                (None, "/accepted") => {
                    let count = answers.accepted.load(Ordering::Relaxed).to_string();
                    self.stream.write_all(&Answer::new(count.as_bytes()).bytes).await?;
                }
                (None, _) => self.stream.write_all(&Answer::new(b"ok").bytes).await?,
            }
            if field(&text, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads until a head is whole; gives its length, or nothing once the connection is closed.
    async fn head(&mut self) -> std::io::Result<Option<usize>> {
        loop {
            let head = self.buffer[..self.filled].windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(at) = head {
                return Ok(Some(at + 4));
            }
            match self.stream.read(&mut self.buffer[self.filled..]).await? {
                0 => return Ok(None),
                read => self.filled += read,
            }
        }
    }

    /// Reads and forgets a request's body. No proxy here pipelines, so nothing follows it.
    async fn skip(&mut self, head: usize, len: usize) -> std::io::Result<()> {
        let mut have = self.filled - head;
        while have < len {
            match self.stream.read(&mut self.buffer).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                read => have += read,
            }
        }
        self.filled = 0;
        Ok(())
    }

    async fn send(&mut self, answer: &Answer, path: &str) -> std::io::Result<()> {
        let apart = path.contains("/apart/");
        if !apart && !path.contains("/two/") {
            return self.stream.write_all(&answer.bytes).await;
        }
        self.stream.write_all(&answer.bytes[..answer.head]).await?;
        if apart {
            tokio::time::sleep(APART).await;
        }
        self.stream.write_all(&answer.bytes[answer.head..]).await
    }

    /// Takes the upgrade and sends every byte back.
    async fn echo(mut self, head: usize) -> std::io::Result<()> {
        self.stream.write_all(websocket::ACCEPTED.as_bytes()).await?;
        self.stream.write_all(&self.buffer[head..self.filled]).await?;
        loop {
            match self.stream.read(&mut self.buffer).await? {
                0 => return Ok(()),
                read => self.stream.write_all(&self.buffer[..read]).await?,
            }
        }
    }
}

/// The value of a field of a head, without the space around it.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
