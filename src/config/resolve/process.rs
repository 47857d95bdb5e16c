//! `[limits]` and `[log]`: what holds for the process as a whole.

use std::time::Duration;

use crate::config::model::{AccessFormat, AccessTarget, Limits, Log};
use crate::config::read::{Mistake, Table, Value};

/// A larger number is a slip of the finger, or no bound at all.
const MANY: usize = 100_000_000;

pub(super) fn limits(root: &mut Table<'_>) -> Limits {
    let mut t = root.table("limits", "limits");
    Limits {
        connections: t.read("connections", 20_000, |v| v.integer(0..=MANY)),
        connections_per_ip: t.read("connections_per_ip", 0, |v| v.integer(0..=MANY)),
        header_timeout: t.read("header_timeout", Duration::from_secs(10), Value::duration_above_zero),
        header_size: t.read("header_size", 32 << 10, header_size),
        headers: t.read("headers", 100, |v| v.integer(1..=10_000)),
        body_size: t.read("body_size", 10 << 20, body_size),
        body_timeout: t.read("body_timeout", Duration::from_mins(1), Value::duration_above_zero),
        keepalive: t.read("keepalive", Duration::from_secs(75), Value::duration),
        keepalive_requests: t.read("keepalive_requests", 10_000, |v| v.integer(1..=u64::MAX)),
        h2_streams: t.read("h2_streams", 128, |v| v.integer(1..=10_000)),
    }
}

/// `"0"` is no bound, as nginx's `client_max_body_size 0`.
pub(super) fn body_size(value: &Value<'_>) -> Result<u64, Mistake> {
    value.size().map(|size| if size == 0 { u64::MAX } else { size })
}

/// No less than hyper's read buffer, no more than a head should ever hold in memory.
pub(super) fn header_size(value: &Value<'_>) -> Result<usize, Mistake> {
    let size = usize::try_from(value.size()?).unwrap_or(usize::MAX);
    if !(8 << 10..=1 << 20).contains(&size) {
        return Err(Mistake::new("out of range").help("a size from \"8KiB\" to \"1MiB\""));
    }
    Ok(size)
}

pub(super) fn log(root: &mut Table<'_>) -> Log {
    const FORMATS: [(&str, AccessFormat); 3] =
        [("json", AccessFormat::Json), ("combined", AccessFormat::Combined), ("pretty", AccessFormat::Pretty)];
    let mut t = root.table("log", "log");
    Log {
        level: t.optional("level", level).unwrap_or_else(|| "info".to_owned()),
        access: t.read("access", AccessTarget::Stdout, access),
        format: t.read("format", AccessFormat::Json, |v| v.choice(&FORMATS)),
        rotate_size: t.read("rotate_size", 100 << 20, rotate_size),
        rotate_keep: t.read("rotate_keep", 10, |v| v.integer(0..=10_000)),
    }
}

fn access(value: &Value<'_>) -> Result<AccessTarget, Mistake> {
    match value.text()?.as_ref() {
        "off" => Ok(AccessTarget::Off),
        "stdout" => Ok(AccessTarget::Stdout),
        "stderr" => Err(Mistake::new("the daemon's own log goes to stderr").help("\"stdout\", \"off\", or a file")),
        _ => value.path().map(AccessTarget::File),
    }
}

fn rotate_size(value: &Value<'_>) -> Result<u64, Mistake> {
    match value.size()? {
        0 => Err(Mistake::new("must be more than 0")),
        size => Ok(size),
    }
}

/// `info`, or `tracing` directives such as `edgectl=debug,info`.
fn level(value: &Value<'_>) -> Result<String, Mistake> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let text = value.string()?;
    for directive in text.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim();
        if !LEVELS.contains(&level) {
            return Err(Mistake::unknown(format!("{level:?} is not a level"), level, LEVELS));
        }
    }
    Ok(text)
}
