//! Where text goes: the product to stdout, progress and errors to stderr, JSON instead of text when asked for.
//!
//! A closed pipe (`edgectl status | head -1`) is no error: what can't be written is dropped.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::failure::CommandFailure;
use super::global::{ColorWhen, GlobalOptions};
use super::table::Style;

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
        }
    }

    /// The product: always printed, with a newline.
    pub fn show(&self, text: impl Display) {
        let _ = self.try_show(text);
    }

    /// The same; an error means that stdout is closed.
    pub fn try_show(&self, text: impl Display) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
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
        if let Ok(text) = serde_json::to_string(value) {
            self.show(text);
        }
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
        let prefix = if failure.is_rendered { String::new() } else { Style::Red.paint("error: ", self.color_err) };
        let _ = writeln!(io::stderr(), "{prefix}{}", failure.text);
        if self.json {
            self.json(&failure.to_json());
        }
    }
}
