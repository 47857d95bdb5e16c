//! What is wrong with one value, before its place in the file is known.

use std::ops::Range;

use crate::types::Invalid;

/// Becomes a diagnostic once the reader adds the key and the place.
#[derive(Debug)]
pub(in crate::config) struct Mistake {
    pub message: String,
    pub help: Option<String>,
    /// A part of the value; the whole of it when `None`.
    pub span: Option<Range<usize>>,
    pub related: Option<(Range<usize>, String)>,
}

impl Mistake {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, span: None, related: None }
    }

    /// `name` is none of `known`: names the nearest, or all of them when they are few.
    pub fn unknown<'a>(message: impl Into<String>, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let mut mistake = Self::new(message);
        mistake.help = match nearest(name, known.iter().copied()) {
            Some(near) => Some(format!("did you mean \"{near}\"?")),
            None if known.len() == 1 => Some(format!("the only one is {}", quoted(&known))),
            None if (2..=6).contains(&known.len()) => Some(format!("one of {}", quoted(&known))),
            None => None,
        };
        mistake
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((span, label.into()));
        self
    }
}

impl From<Invalid> for Mistake {
    fn from(invalid: Invalid) -> Self {
        Self { message: invalid.message, help: invalid.help, span: None, related: None }
    }
}

/// The name that was likely meant, if any is near enough.
pub(in crate::config) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Above it lie slips of the finger, below it other words (`timeout` and `time` are 0.91, `rate` and `rise` 0.73).
    const NEAR: f64 = 0.8;
    let scored = known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    scored.filter(|(score, _)| *score >= NEAR).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, known)| known)
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}
