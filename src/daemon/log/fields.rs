//! How the fields of a line are written: nothing that a client or a backend sends steers a terminal or begins a new line.

use std::fmt::{self, Write};

use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use crate::types::{has_control, is_control};

/// The message, then ` name=value` for each other field.
pub(super) fn escaped() -> impl for<'w> FormatFields<'w> + 'static {
    let one = |out: &mut Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug| match field.name() {
        // Our own words, which may have several lines: the mistakes of a config.
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
    use super::*;

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
