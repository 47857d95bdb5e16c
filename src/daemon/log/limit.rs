//! Which lines are of one kind: those from one place in the sources that are about one thing of the config.
//!
//! So a backend that fails a thousand requests a second fills no log, and hides no other backend's first failure. This is
//! done here, behind every line of this program and its libraries alike, and not where the lines are said: a new one
//! can't be forgotten.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

use parking_lot::{Mutex, const_mutex};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

use super::kinds::{Kinds, LeftOut, SAID};

/// Fields that name a thing of the config, or what a line of a library says of its place. No client chooses what is in them.
const SUBJECTS: [&str; 11] =
    ["service", "color", "backend", "names", "addr", "task", "sink", "path", "log.file", "log.line", "log.target"];

/// What an operator causes is written, whatever it is: its switches, its reloads, its files. It decides how many there are.
const OPERATORS: [&str; 4] = ["edgectl::control", "edgectl::daemon", "edgectl::tls::certificates", "edgectl::trust"];

/// What a backend can cause all the same.
const BACKENDS: [&str; 1] = ["edgectl::control::failover"];

/// Of the process, as the log itself.
static KINDS: Mutex<Option<Kinds>> = const_mutex(None);

/// Lets the first lines of each kind pass.
pub(super) struct KindFilter;

impl<S> Filter<S> for KindFilter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // Who asks for debug lines wants all of them.
        if *event.metadata().level() > Level::INFO || is_unlimited(event.metadata().target()) {
            return true;
        }
        let key = key_of(event);
        let like = || Like::of(event).0;
        KINDS.lock().get_or_insert_default().admit(key, *event.metadata().level(), Instant::now(), like)
    }
}

/// Says what was left out of the kinds whose while is over. To be called about once a second.
pub fn tell_what_was_left_out() {
    let due = KINDS.lock().as_mut().map(|kinds| kinds.due(Instant::now()));
    due.into_iter().flatten().for_each(tell);
}

/// The same of every kind, at the end.
pub(super) fn tell_all_that_was_left_out() {
    let all = KINDS.lock().as_mut().map(Kinds::all);
    all.into_iter().flatten().for_each(tell);
}

fn tell(LeftOut { level, like, count }: LeftOut) {
    let within = SAID.as_secs();
    match level {
        Level::ERROR => tracing::error!(like, "and {count} more like it in the last {within}s"),
        Level::WARN => tracing::warn!(like, "and {count} more like it in the last {within}s"),
        _ => tracing::info!(like, "and {count} more like it in the last {within}s"),
    }
}

fn is_unlimited(target: &str) -> bool {
    let is_of = |modules: &[&str]| modules.iter().any(|module| target.starts_with(module));
    is_of(&OPERATORS) && !is_of(&BACKENDS)
}

fn key_of(event: &Event<'_>) -> u64 {
    let mut key = Key(DefaultHasher::new());
    event.metadata().callsite().hash(&mut key.0);
    event.record(&mut key);
    key.0.finish()
}

/// Hashes the subjects.
struct Key(DefaultHasher);

impl Visit for Key {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if SUBJECTS.contains(&field.name()) {
            field.name().hash(&mut self.0);
            // Hashing does not fail.
            let _ = write!(self, "{value:?}");
        }
    }
}

impl Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The line in short: its message, and its fields.
#[derive(Default)]
struct Like(String);

impl Like {
    fn of(event: &Event<'_>) -> Self {
        let mut like = Self::default();
        event.record(&mut like);
        like
    }
}

impl Visit for Like {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}
