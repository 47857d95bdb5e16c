//! How the fields of a line are written: nothing that a client or a backend sends steers a terminal or begins a new line.

use std::fmt::{self, Write};

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer, debug_fn, format};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::types::{has_control, is_control};

/// The message, then ` name=value` for each other field.
pub(super) fn escaped() -> impl for<'w> FormatFields<'w> + 'static {
    let one = |out: &mut Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug| match field.name() {
        // Of ours, some have several lines: the mistakes of a config.
        "message" => write!(Escaping { out, keeps_lines: true }, "{value:?}"),
        // Where a library's line comes from.
        name if name.starts_with("log.") => Ok(()),
        name => {
            write!(out, " {name}=")?;
            write!(Escaping { out, keeps_lines: false }, "{value:?}")
        }
    };
    debug_fn(one)
}

/// An event as one line, unless its words are our own.
pub(super) struct EventLine(Format);

impl EventLine {
    pub(super) fn new() -> Self {
        Self(format().with_target(false))
    }
}

impl<S, N> FormatEvent<S, N> for EventLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if event.metadata().target().starts_with("edgectl") {
            return self.0.format_event(context, out, event);
        }
        // A library may say a client's words.
        let mut text = String::new();
        self.0.format_event(context, Writer::new(&mut text), event)?;
        writeln!(out, "{}", text.trim_end().replace('\n', "\\n"))
    }
}

struct Escaping<'o, W> {
    out: &'o mut W,
    keeps_lines: bool,
}

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !has_control(text) {
            return self.out.write_str(text);
        }
        for character in text.chars() {
            match character {
                '\n' if self.keeps_lines => self.out.write_char('\n')?,
                _ if is_control(character) => write!(self.out, "{}", character.escape_default())?,
                _ => self.out.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is written of a line that is said in `say`.
    fn written(say: impl FnOnce()) -> String {
        let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = lines.clone();
        let make = move || Kept(kept.clone());
        let layer = tracing_subscriber::fmt::layer().event_format(EventLine::new()).fmt_fields(escaped());
        let layer = layer.with_writer(make).with_ansi(false);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
        let line = String::from_utf8(lines.lock().clone()).unwrap();
        // Without the time.
        line.split_once("Z ").unwrap().1.trim_start().to_owned()
    }

    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_our_own_messages_have_several_lines() {
        let (words, sent) = ("a config:\n  line 3", "x\ny\u{9b}");
        assert_eq!(
            written(|| tracing::warn!(error = %sent, "{words}")),
            "WARN a config:\n  line 3 error=x\\ny\\u{9b}\n"
        );
        assert_eq!(
            written(|| tracing::warn!(target: "h2", error = %sent, "{words}")),
            "WARN a config:\\n  line 3 error=x\\ny\\u{9b}\n"
        );
    }

    #[test]
    fn controls_of_every_kind_are_shown_and_not_obeyed() {
        let escaped = |keeps_lines, text: &str| {
            let mut out = String::new();
            Escaping { out: &mut out, keeps_lines }.write_str(text).unwrap();
            out
        };
        assert_eq!(
            escaped(false, "ä\x1b[2J\u{9b}31m\r\n\u{202e}x\u{2028}"),
            r"ä\u{1b}[2J\u{9b}31m\r\n\u{202e}x\u{2028}"
        );
        assert_eq!(escaped(true, "one\n\ttwo\u{7f}"), "one\n\\ttwo\\u{7f}");
        assert_eq!(escaped(false, "plain"), "plain");
    }
}
