//! The daemon's own log: lines for an operator, to stderr.
//!
//! Nothing that says something waits for stderr: a line goes into a bounded queue ([`crate::sink`]), whose thread writes it or
//! drops and counts it. `kinds` bounds how many lines of one kind are written, so that no client and no backend can flood the
//! log; `fields` escapes what they send. Panics are lines of it, too.
//!
//! `tracing-appender` was looked at for the queue: it does not count the lines that its output refuses, bounds their number and
//! not their size, and prints to stdout when it can't end, which panics where stdout is gone.

mod fields;
mod kinds;
mod limit;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, registry};

use crate::sink::{LogChunk, LogQueue, LogTarget};
use fields::EventLine;
use limit::KindFilter;

pub(super) use limit::tell_what_was_left_out;

/// Lines that may wait for stderr.
const QUEUE: usize = 1024;

/// A longer message is cut: a queue of them must not fill the memory. All mistakes of a large config fit.
const LONGEST: usize = 64 * 1024;

/// How long the end of the process waits until the last lines are out.
const LAST_LINES: Duration = Duration::from_secs(1);

/// There is one for the process: a second daemon in it, the demo's, shares the first one's.
static LINES: OnceLock<Arc<LogQueue>> = OnceLock::new();

/// Starts it. A panic is a line of the log from now on.
pub(super) fn start(level: &str) -> io::Result<()> {
    if LINES.get().is_some() {
        return Ok(());
    }
    let queue = LogQueue::start(LogTarget::stderr()?, QUEUE)?;
    let queue = LINES.get_or_init(|| queue).clone();
    // The library that watches files warns of each folder that is gone, as after every swap by Kubernetes.
    let filter = EnvFilter::try_new(format!("{level},notify=off")).unwrap_or_else(|_| "info".into());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Lines(queue))
        .event_format(EventLine::new())
        .fmt_fields(fields::escaped())
        .with_ansi(io::stderr().is_terminal())
        // It would say on stderr, and wait there, that stderr can't be written.
        .log_internal_errors(false)
        .with_filter(KindFilter);
    let _ = registry().with(filter).with(lines).try_init();
    std::panic::set_hook(Box::new(tell_panic));
    Ok(())
}

/// The lines that stderr did not take, and its name.
pub(super) fn sink() -> Option<&'static LogQueue> {
    LINES.get().map(Arc::as_ref)
}

/// Waits until what was said is on stderr, if stderr takes it.
pub(super) fn flush() {
    limit::tell_all_that_was_left_out();
    if let Some(queue) = LINES.get() {
        queue.flush(LAST_LINES);
    }
}

/// The standard hook writes to stderr itself, and so would stop a worker where nothing reads there.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let why = info.payload_as_str().unwrap_or("without a message");
    let trace = Backtrace::capture();
    let trace = if trace.status() == BacktraceStatus::Captured { format!("\n{trace}") } else { String::new() };
    tracing::error!(thread = thread.name(), at, "panicked: {why}{trace}");
}

/// Hands each line to the queue.
struct Lines(Arc<LogQueue>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(&self.0)
    }
}

struct Line<'a>(&'a LogQueue);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut chunk = LogChunk { bytes: cut(line), lines: 1 };
        self.0.offer(&mut chunk);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cut(line: &[u8]) -> Vec<u8> {
    match line.get(..LONGEST) {
        Some(first) if line.len() > LONGEST => {
            [first.utf8_chunks().next().map_or(&[][..], |c| c.valid().as_bytes()), b" ...\n"].concat()
        }
        _ => line.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_end_is_cut_between_two_characters() {
        let long = "ä".repeat(LONGEST);
        let line = cut(long.as_bytes());
        assert!(line.len() <= LONGEST + 5 && str::from_utf8(&line).unwrap().ends_with("ä ...\n"));
        assert_eq!(cut(b"short\n"), b"short\n");
    }
}
