//! The load of the busy cells: wrk for HTTP/1.1, h2load for HTTP/2, each a process of its own on the load's core.
//!
//! Both offer one TLS suite and one group, because each proxy's library would choose another and the figures would compare ciphers.
//! Both open their connections within the run; that is a few dozen handshakes in tens of thousands of requests.

pub mod h2load;
pub mod wrk;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use crate::load::Door;
use crate::load::request::{Page, Shape};

/// What is asked of which proxy, for how long.
pub struct Order<'a> {
    pub door: Door,
    pub addr: SocketAddr,
    pub host: &'a str,
    pub page: Page,
    pub shape: Shape,
    pub time: Duration,
}

/// What a tool has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Answered, and whole.
    pub requests: usize,
    pub wall: Duration,
    /// Of the answers, heads included.
    pub bytes: u64,
}

/// Asks as fast as the answers come. An answer that is not a 2xx, or none, is an error.
pub async fn busy(order: &Order<'_>) -> Result<Seen> {
    let folder = TempDir::with_prefix("edgectl-load-").context("cannot make a folder for the load")?;
    let mut command = match order.door {
        Door::H1Plain | Door::H1Tls => wrk::command(order, folder.path())?,
        Door::H2Tls => h2load::command(order),
    };
    let said = said(&mut command, folder.path()).await?;
    let seen = match order.door {
        Door::H1Plain | Door::H1Tls => wrk::parse(&said),
        Door::H2Tls => h2load::parse(&said),
    };
    let seen = seen.with_context(|| format!("the load said:\n{said}"))?;
    let due = (seen.requests * order.page.len) as u64;
    ensure!(seen.requests > 0, "no request was answered:\n{said}");
    ensure!(seen.bytes >= due, "{} requests brought {} bytes instead of {due}", seen.requests, seen.bytes);
    Ok(seen)
}

/// Runs it to its end; gives back what it printed.
async fn said(command: &mut Command, folder: &Path) -> Result<String> {
    let openssl = folder.join("openssl.cnf");
    fs::write(&openssl, OPENSSL)?;
    command.env("OPENSSL_CONF", &openssl).stdin(Stdio::null()).kill_on_drop(true);
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.output().await.with_context(|| format!("cannot run {name}"))?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{name} ended with {}: {said}", output.status);
    Ok(said)
}

const OPENSSL: &str = "openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = default
[default]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
";
