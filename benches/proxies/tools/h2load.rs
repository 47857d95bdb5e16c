//! h2load: one thread, 4 connections of 16 streams, with windows about as large as a browser's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::{Order, Seen};
use crate::load::{H2_CONNECTIONS, H2_STREAMS};

/// Powers of two: 4 MiB a stream, 16 MiB a connection. Chromium has 6 and 15.
const WINDOW_BITS: &str = "22";
const CONNECTION_WINDOW_BITS: &str = "24";

pub fn command(order: &Order) -> Command {
    let mut command = Command::new("h2load");
    command.args(["-t", "1", "-c", &H2_CONNECTIONS.to_string(), "-m", &H2_STREAMS.to_string()]);
    command.args(["-w", WINDOW_BITS, "-W", CONNECTION_WINDOW_BITS, "--groups", "X25519"]);
    command.args(["--tls13-ciphers", "TLS_AES_128_GCM_SHA256"]);
    command.args(["-D", &order.time.as_secs().max(1).to_string()]);
    command.arg(format!("--connect-to={}", order.addr));
    for (name, value) in order.shape.fields() {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    command.arg(format!("https://{}{}", order.host, order.page.path));
    command
}

/// Reads the summary that it prints for people.
pub fn parse(said: &str) -> Result<Seen> {
    let wall = after(said, "finished in ").and_then(|rest| seconds(rest.split(',').next()?));
    let wall = wall.context("h2load printed no time")?;
    let requests = figure(said, "requests:", "succeeded")?;
    for kind in ["failed", "errored", "timeout"] {
        let count = figure(said, "requests:", kind)?;
        ensure!(count == 0, "h2load saw {count} requests {kind}");
    }
    let good = figure(said, "status codes:", "2xx")?;
    ensure!(good >= requests, "{good} of {requests} answers are 2xx");
    // After "total:": `12.34MB (12345678) total, ...`
    let bytes = after(said, "traffic: ").and_then(|rest| rest.split(['(', ')']).nth(1)?.parse().ok());
    let bytes = bytes.context("h2load printed no traffic")?;
    for (what, value) in [("TLS Protocol: ", "TLSv1.3"), ("Cipher: ", "TLS_AES_128_GCM_SHA256")] {
        let got = after(said, what).and_then(|rest| rest.lines().next());
        ensure!(got == Some(value), "h2load spoke {what}{got:?} instead of {value}");
    }
    Ok(Seen { requests: requests as usize, wall, bytes })
}

fn after<'a>(said: &'a str, mark: &str) -> Option<&'a str> {
    said.split_once(mark).map(|(_, rest)| rest)
}

/// The number before `kind` in the line that begins with `line`.
fn figure(said: &str, line: &str, kind: &str) -> Result<u64> {
    let rest = said.lines().find_map(|text| text.trim().strip_prefix(line));
    let part = rest.and_then(|rest| rest.split(',').find_map(|part| part.trim().strip_suffix(kind)));
    let part = part.and_then(|part| part.trim().parse().ok());
    part.with_context(|| format!("h2load printed no {line} {kind}"))
}

/// `1.50s`, `230.5ms` or `980us`.
fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let number: f64 = number.parse().ok()?;
    let scale = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(number * scale))
}
