//! The application behind the proxies, as a process of its own: this binary again, as `proxies origin`.
//!
//! It is a process, because an origin that shares a runtime with the load answers in batches, as no real application does. It
//! prints its address, then serves until its standard input ends; so it ends with the bench, however that ends. `server.rs` says
//! what it answers.

pub mod server;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::load::h1::Connection;
use crate::load::request::{Page, Request, Shape};
use crate::load::tcp;

/// A running origin; it ends when this is dropped.
pub struct Origin {
    pub addr: SocketAddr,
    child: Child,
}

impl Origin {
    /// Starts it on `core`, or where this process is allowed to run.
    pub fn start(core: Option<usize>) -> Result<Origin> {
        let own = std::env::current_exe().context("cannot find the bench's own binary")?;
        let mut command = Command::new(own);
        command.arg("origin");
        if let Some(core) = core {
            command.args(["--core", &core.to_string()]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start the origin")?;
        let mut line = String::new();
        match child.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line).context("cannot read the origin's address")?,
            None => bail!("the origin has no standard output"),
        };
        let addr = line.trim().parse().with_context(|| format!("the origin told no address: {line:?}"))?;
        Ok(Origin { addr, child })
    }

    /// Connections taken so far, this one included: tells whether a proxy keeps them alive.
    pub async fn accepted(&self) -> Result<usize> {
        let page = Page { path: "/accepted", len: 0 };
        let request = Request::new(false, "origin", page, Shape::Small)?;
        let answer = Connection::new(tcp(self.addr).await?).fetch(&request).await?;
        let count = String::from_utf8(answer.body).ok().and_then(|body| body.parse().ok());
        count.context("the origin told no count")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
