//! `[limits]` and `[log]`: what holds for the process as a whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{AccessFormat, AccessTarget, Limits, Log, Server, SpoolConfig};
use crate::config::read::{Mistake, Table, Value};

/// Connections of clients at once, unless less memory is allowed than they may need.
const CONNECTIONS: usize = 20_000;

/// The folder of spool files in `state_dir`, unless another is written.
const SPOOL: &str = "spool";

/// What is held for connections: at most, unless it is written, and at least.
const BUFFER_MEMORY: usize = 256 << 20;
const LEAST_BUFFER_MEMORY: usize = 1 << 20;

/// What the daemon needs without any connection.
const BASE_MEMORY: u64 = 24 << 20;

/// What is counted for a connection: an idle one needs a third of it (docs/operations.md), and some are not idle.
const CONNECTION_MEMORY: u64 = 80 << 10;

/// However little memory is allowed.
const FEWEST_CONNECTIONS: usize = 64;

/// A larger number is a slip of the finger, or no bound at all.
const MANY: usize = 100_000_000;

pub(super) fn limits(root: &mut Table<'_>, server: &Server) -> Limits {
    let mut t = root.table("limits", "limits");
    let memory = t.document().outside().memory;
    let connections = memory.map_or(CONNECTIONS, |memory| connections_in(memory).min(CONNECTIONS));
    let buffer_memory = memory.map_or(BUFFER_MEMORY, |memory| buffer_memory_in(memory).min(BUFFER_MEMORY));
    let limits = Limits {
        connections: t.read("connections", connections, |v| v.integer(0..=MANY)),
        connections_per_ip: t.read("connections_per_ip", 0, |v| v.integer(0..=MANY)),
        header_timeout: t.read("header_timeout", Duration::from_secs(10), Value::duration_above_zero),
        header_size: t.read("header_size", 32 << 10, header_size),
        headers: t.read("headers", 100, |v| v.integer(1..=10_000)),
        body_size: t.read("body_size", 10 << 20, body_size),
        body_timeout: t.read("body_timeout", Duration::from_mins(1), Value::duration_above_zero),
        buffer_memory: t.read("buffer_memory", buffer_memory, buffer_memory_size),
        spool: Arc::new(spool(&mut t, server)),
        keepalive: t.read("keepalive", Duration::from_secs(75), Value::duration),
        keepalive_requests: t.read("keepalive_requests", 10_000, |v| v.integer(1..=u64::MAX)),
        h2_streams: t.read("h2_streams", 128, |v| v.integer(1..=10_000)),
    };
    warn_of_memory(&t, limits.connections, memory);
    limits
}

fn spool(t: &mut Table<'_>, server: &Server) -> SpoolConfig {
    let dir: Option<PathBuf> = t.read("spool_dir", None, |v| v.unless_empty(Value::path));
    SpoolConfig {
        dir: dir.unwrap_or_else(|| server.state_dir.join(SPOOL)),
        size: t.read("spool_size", 10 << 30, Value::size),
    }
}

/// How many connections fit into that much memory.
fn connections_in(memory: u64) -> usize {
    let fit = memory.saturating_sub(BASE_MEMORY) / CONNECTION_MEMORY;
    usize::try_from(fit).unwrap_or(usize::MAX).max(FEWEST_CONNECTIONS)
}

fn buffer_memory_in(memory: u64) -> usize {
    usize::try_from(memory / 8).unwrap_or(usize::MAX).max(LEAST_BUFFER_MEMORY)
}

fn buffer_memory_size(value: &Value<'_>) -> Result<usize, Mistake> {
    let size = usize::try_from(value.size()?).unwrap_or(usize::MAX);
    if size < LEAST_BUFFER_MEMORY {
        return Err(Mistake::new("out of range").help("1MiB or more"));
    }
    Ok(size)
}

/// A number that was written is kept, even if the memory is not.
fn warn_of_memory(t: &Table<'_>, connections: usize, memory: Option<u64>) {
    let (Some(span), Some(memory)) = (t.key_span("connections"), memory) else { return };
    let fit = connections_in(memory);
    if connections == 0 || connections > fit {
        let mib = memory >> 20;
        let message = format!(
            "connections = {connections} may need more memory than the {mib} MiB that are allowed here, and the kernel would kill the \
             daemon: about {fit} fit"
        );
        t.warn(message, span, "allow more memory, or leave the key out: its default follows the limit");
    }
}

/// What is kept of one body in memory; `"0"`: it is passed on as it comes.
pub(super) fn buffer_size(value: &Value<'_>) -> Result<usize, Mistake> {
    let size = usize::try_from(value.size()?).unwrap_or(usize::MAX);
    if size != 0 && !(4 << 10..=1 << 30).contains(&size) {
        return Err(Mistake::new("out of range")
            .help("a size from \"4KiB\" to \"1GiB\", or \"0\": bodies are passed on as they come"));
    }
    Ok(size)
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

#[cfg(test)]
mod tests {
    use std::io;

    use crate::config::Loaded;
    use crate::config::read::Outside;
    use crate::config::resolve::resolve;

    fn within(memory: Option<u64>, limits: &str) -> Loaded {
        let site = "[[site]]\nhosts = [\"a.test\"]\nrespond = { body = \"\" }\n";
        let file = |_: &std::path::Path| Err(io::Error::from(io::ErrorKind::Unsupported));
        let outside = Outside { env: &|_| None, file: &file, memory };
        resolve("edge.toml", &format!("[limits]\n{limits}\n{site}"), outside).unwrap()
    }

    #[test]
    fn the_default_of_connections_follows_the_limit_of_memory() {
        let connections = |memory| within(memory, "").config.limits.connections;
        assert_eq!(connections(None), 20_000);
        assert_eq!(connections(Some(64 << 30)), 20_000);
        assert_eq!(connections(Some(64 << 20)), 512);
        assert_eq!(connections(Some(1 << 20)), 64);
    }

    #[test]
    fn the_default_of_buffer_memory_is_a_share_of_the_limit() {
        let buffer_memory = |memory, limits| within(memory, limits).config.limits.buffer_memory;
        assert_eq!(buffer_memory(None, ""), 256 << 20);
        assert_eq!(buffer_memory(Some(64 << 30), ""), 256 << 20);
        assert_eq!(buffer_memory(Some(64 << 20), ""), 8 << 20);
        assert_eq!(buffer_memory(Some(1 << 20), ""), 1 << 20);
        assert_eq!(buffer_memory(Some(64 << 20), "buffer_memory = \"100MiB\""), 100 << 20);
    }

    #[test]
    fn a_number_that_was_written_is_kept_with_a_warning_if_the_memory_is_too_small_for_it() {
        for (limits, warns) in [("connections = 5000", true), ("connections = 0", true), ("connections = 500", false)] {
            let loaded = within(Some(64 << 20), limits);
            assert_eq!(limits, format!("connections = {}", loaded.config.limits.connections));
            let warnings: Vec<_> = loaded.warnings.iter().map(|warning| warning.message.clone()).collect();
            assert_eq!(warnings.iter().any(|warning| warning.contains("64 MiB")), warns, "{warnings:?}");
            assert!(within(None, limits).warnings.iter().next().is_none());
        }
    }
}
