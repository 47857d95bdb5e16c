//! The application behind the proxies: an HTTP/1.1 keep-alive server that answers from prebuilt bytes.
//!
//! It lives on the load generator's core and runtime, so that the proxy's core is the proxy's alone. `/echo` answers with
//! the request head as it arrived, to prove what a proxy sends upstream. It knows nothing of bodies in requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::cells::{KIB_1, KIB_64, MIB_1, Page};

/// A running origin; it ends with its connections when dropped.
pub struct Origin {
    pub addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Origin {
    pub async fn start() -> Result<Origin> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot bind the origin")?;
        let addr = listener.local_addr()?;
        let accepted = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(listener, Arc::clone(&accepted)));
        Ok(Origin { addr, accepted, task })
    }

    /// Connections taken so far: tells whether a proxy keeps them alive.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The body of a page. Never compressible to nothing, never random: the same in each run.
pub fn body(page: Page) -> Vec<u8> {
    (0..page.len).map(|at| b'a' + ((at * 7 + at / 97) % 26) as u8).collect()
}

/// Owns the connections' tasks: they end with it.
async fn accept(listener: TcpListener, accepted: Arc<AtomicUsize>) {
    let answers = Arc::new([KIB_1, KIB_64, MIB_1].map(|page| (page.path.as_bytes(), answer(&body(page)))));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                accepted.fetch_add(1, Ordering::Relaxed);
                let answers = Arc::clone(&answers);
                connections.spawn(async move { serve(stream, &*answers).await });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection until the proxy closes it. An error here is seen by the load generator as the proxy's answer.
async fn serve(mut stream: TcpStream, answers: &[(&[u8], Vec<u8>)]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = vec![0; 32 << 10];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut head[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if !head[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = &head[..filled];
        let path = request.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        match answers.iter().find(|(page, _)| *page == path) {
            Some((_, answer)) => stream.write_all(answer).await?,
            None => {
                stream.write_all(&answer(if path == b"/echo" { request } else { b"ok" })).await?;
                if String::from_utf8_lossy(request).to_ascii_lowercase().contains("connection: close") {
                    return Ok(());
                }
            }
        }
        filled = 0;
    }
}

/// A whole answer, with the headers that a web framework sends.
fn answer(body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\n\
         Server: gunicorn\r\n\
         Date: Tue, 01 Jul 2025 12:00:00 GMT\r\n\
         Content-Type: text/html; charset=utf-8\r\n\
         Content-Length: {}\r\n\
         Cache-Control: private, max-age=0, must-revalidate\r\n\
         Vary: Cookie, Accept-Language\r\n\
         Set-Cookie: sessionid=k3x9q0v7m2c8d1f5; HttpOnly; Path=/; SameSite=Lax\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}
