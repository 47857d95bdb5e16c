//! wrk: one thread, 32 connections. Its script sets the request, leads the name to loopback, and prints what it has seen.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::{Order, Seen};
use crate::load::{Door, H1_CONNECTIONS};

/// A line that no other output of wrk begins with.
const MARK: &str = "bench ";

pub fn command(order: &Order, folder: &Path) -> Result<Command> {
    let file = folder.join("wrk.lua");
    fs::write(&file, script(order))?;
    let scheme = if order.door == Door::H1Plain { "http" } else { "https" };
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-c", &H1_CONNECTIONS.to_string()]);
    command.args(["-d", &format!("{}s", order.time.as_secs().max(1))]);
    command.args(["--timeout", "30s"]).arg("-s").arg(file);
    command.arg(format!("{scheme}://{}:{}{}", order.host, order.addr.port(), order.page.path));
    Ok(command)
}

/// Lua. `wrk.resolve` is wrk's own hook for turning the URL's name into addresses; SNI stays the name.
fn script(order: &Order) -> String {
    let mut script = format!(
        "wrk.resolve = function(host, service) wrk.addrs = wrk.lookup({:?}, service) end\n",
        order.addr.ip().to_string()
    );
    script.push_str(&format!("wrk.headers[\"Host\"] = {:?}\n", order.host));
    for (name, value) in order.shape.fields() {
        script.push_str(&format!("wrk.headers[{name:?}] = {value:?}\n"));
    }
    script.push_str(&format!(
        "function done(summary, latency, requests)\n\
         \x20 local e = summary.errors\n\
         \x20 io.write(string.format(\"{MARK}requests=%d micros=%d bytes=%d errors=%d\\n\", summary.requests,\n\
         \x20   summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))\n\
         end\n"
    ));
    script
}

/// Reads the script's line.
pub fn parse(said: &str) -> Result<Seen> {
    let line = said.lines().find_map(|line| line.strip_prefix(MARK)).context("wrk printed no summary")?;
    let figure = |name: &str| -> Result<u64> {
        let found = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        found.and_then(|value| value.parse().ok()).with_context(|| format!("no {name} in {line:?}"))
    };
    let errors = figure("errors")?;
    ensure!(errors == 0, "wrk saw {errors} errors");
    Ok(Seen {
        requests: figure("requests")? as usize,
        wall: Duration::from_micros(figure("micros")?),
        bytes: figure("bytes")?,
    })
}
