//! Where text goes: the product to stdout, progress and errors to stderr, JSON instead of text when asked for.
//!
//! A closed pipe (`edgectl status | head -1`) is no error: what can't be written is dropped. Anything else that keeps stdout from
//! being written, such as a full disk, is kept, and fails the command at its end.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::failure::CommandFailure;
use super::global::{ColorWhen, GlobalOptions};
use super::table::{Style, printable_lines};
use crate::types::{has_control, is_control};

#[derive(Clone)]
pub struct TerminalOutput {
    pub json: bool,
    quiet: bool,
    /// Colours on stdout.
    pub color: bool,
    /// Colours on stderr.
    pub color_err: bool,
    /// Stderr is a terminal: a line may be rewritten in place.
    pub is_live: bool,
    /// Why something that was to be on stdout is not there.
    unwritten: Arc<OnceLock<String>>,
}

impl TerminalOutput {
    pub fn new(global: &GlobalOptions) -> Self {
        let wanted = |is_terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let is_live = io::stderr().is_terminal();
        Self {
            json: global.json,
            quiet: global.quiet,
            color: wanted(io::stdout().is_terminal()),
            color_err: wanted(is_live),
            is_live,
            unwritten: Arc::default(),
        }
    }

    /// The product: always printed, with a newline.
    pub fn show(&self, text: impl Display) {
        let _ = self.try_show(text);
    }

    /// The same; an error means that stdout is closed.
    pub fn try_show(&self, text: impl Display) -> io::Result<()> {
        let written = writeln!(io::stdout(), "{text}");
        if let Err(error) = &written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            let _ = self.unwritten.set(error.to_string());
        }
        written
    }

    /// Whether all that was printed has arrived.
    pub fn arrived(&self) -> Result<(), CommandFailure> {
        self.unwritten.get().map_or(Ok(()), |error| Err(CommandFailure::unwritten(error)))
    }

    /// Stdout is a terminal: it may be redrawn in place.
    pub fn is_screen(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// How it went: nothing when quiet, and nothing beside JSON.
    pub fn say(&self, text: impl Display) {
        if !self.quiet && !self.json {
            self.show(text);
        }
    }

    /// One value on one line of stdout.
    pub fn json(&self, value: &impl Serialize) {
        let _ = self.try_json(value);
    }

    /// The same; an error means that stdout is closed. No text in the value steers a terminal that shows it.
    pub fn try_json(&self, value: &impl Serialize) -> io::Result<()> {
        self.try_show(escaped(serde_json::to_string(value)?))
    }

    /// A step or a warning, to stderr; nothing when quiet.
    pub fn note(&self, text: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Rewrites the one live line; nothing when quiet. Empty text clears it.
    pub fn live(&self, text: &str) {
        // Wrapping is off while it is written: a wrapped line could not be rewritten.
        if !self.quiet {
            let mut stderr = io::stderr();
            let _ = write!(stderr, "\r\x1b[2K\x1b[?7l{text}\x1b[?7h");
            let _ = stderr.flush();
        }
    }

    /// The end of a command that failed: for people on stderr, for programs on stdout.
    pub fn fail(&self, failure: &CommandFailure) {
        if failure.text.is_empty() {
            return;
        }
        let _ = match failure.is_rendered {
            true => writeln!(io::stderr(), "{}", failure.text),
            false => {
                let prefix = Style::Red.paint("error: ", self.color_err);
                writeln!(io::stderr(), "{prefix}{}", printable_lines(&failure.text))
            }
        };
        if self.json {
            self.json(&failure.to_json());
        }
    }
}

/// Writes as `\u009b` what JSON allows in a string as it is, and a terminal obeys. Outside of strings there is none of it.
fn escaped(json: String) -> String {
    if !has_control(&json) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        match is_control(character) {
            // All of them have four digits at most.
            true => out += &format!("\\u{:04x}", u32::from(character)),
            false => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_steers_nothing() {
        let said = serde_json::json!({ "outcome": "ä\x1b[2J\u{9b}31m\u{7f}\u{202e}x" });
        let text = escaped(said.to_string());
        assert_eq!(text, r#"{"outcome":"ä\u001b[2J\u009b31m\u007f\u202ex"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), said);
    }
}
