//! What is wrong with a config file, and how it is shown.
//!
//! A [`Diagnostic`] says what, where (a range of bytes) and what to do. [`Diagnostics`] holds all of a file's, with the
//! text they point into, and shows them as text with a caret or, serialized, as rows with line and column.
//! Found by `read` and `resolve`.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::ser::{Serialize, SerializeStruct, Serializer};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is taken; something in it has no effect or is likely not meant.
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    /// Lower case, no full stop.
    pub message: String,
    /// Bytes of the file; `None` when the file as a whole is meant.
    pub span: Option<Range<usize>>,
    /// Beside the caret; may be empty.
    pub label: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Another place that belongs to it, such as the first of two claims.
    pub related: Option<(Range<usize>, String)>,
}

/// All that was found in one file, in the order of its lines. Displays as text without colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    name: String,
    text: String,
    list: Vec<Diagnostic>,
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span: None,
            label: String::new(),
            help: None,
            related: None,
        }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
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

impl Diagnostics {
    pub(super) fn new(name: &str, text: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|found| found.span.as_ref().map(|span| (span.start, span.end)));
        list.dedup();
        Self { name: name.to_owned(), text: text.to_owned(), list }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|found| found.severity == Severity::Error)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// One paragraph each: message, `file:line:column`, the line with a caret, help.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let paragraphs = self.list.iter().map(|found| renderer.render(&[self.group(found)]));
        paragraphs.collect::<Vec<_>>().join("\n\n")
    }

    /// One line each: `edge.toml:3:5: unknown key ...`.
    pub fn in_short(&self) -> Vec<String> {
        let place = |found: &Diagnostic| match &found.span {
            Some(span) => {
                let (line, column) = self.position(span.start);
                format!("{}:{line}:{column}", self.name)
            }
            None => self.name.clone(),
        };
        self.list.iter().map(|found| format!("{}: {}", place(found), found.message)).collect()
    }

    fn group<'a>(&'a self, found: &'a Diagnostic) -> Group<'a> {
        let level = match found.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&found.message);
        let group = match &found.span {
            Some(span) if !self.text.is_empty() => title.element(self.snippet(found, span)),
            _ => title.element(Origin::path(&self.name)),
        };
        match &found.help {
            Some(help) => group.element(Level::HELP.message(help)),
            None => group,
        }
    }

    fn snippet<'a>(&'a self, found: &'a Diagnostic, span: &Range<usize>) -> Snippet<'a, Annotation<'a>> {
        let label = (!found.label.is_empty()).then_some(found.label.as_str());
        let primary = AnnotationKind::Primary.span(span.clone()).label(label);
        let related = found
            .related
            .as_ref()
            .map(|(span, label)| AnnotationKind::Context.span(span.clone()).label(label.as_str()));
        Snippet::source(&self.text).path(&self.name).annotation(primary).annotations(related)
    }

    /// Line and column of a byte, both from 1; columns count characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// A list of rows: `severity`, `file`, `line`, `column`, `message`, `help`; the last four may be null.
impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.list.iter().map(|found| DiagnosticRow { file: self, found }))
    }
}

struct DiagnosticRow<'a> {
    file: &'a Diagnostics,
    found: &'a Diagnostic,
}

impl Serialize for DiagnosticRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let position = self.found.span.as_ref().map(|span| self.file.position(span.start));
        let severity = match self.found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut row = serializer.serialize_struct("Diagnostic", 6)?;
        row.serialize_field("severity", severity)?;
        row.serialize_field("file", &self.file.name)?;
        row.serialize_field("line", &position.map(|(line, _)| line))?;
        row.serialize_field("column", &position.map(|(_, column)| column))?;
        row.serialize_field("message", &self.found.message)?;
        row.serialize_field("help", &self.found.help)?;
        row.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_count_lines_and_characters_from_one() {
        let text = "a = 1\né = 2\n";
        let found = Diagnostic::error("bad value").at(text.find('2').unwrap()..text.len() - 1);
        let rows = serde_json::to_value(Diagnostics::new("edge.toml", text, vec![found])).unwrap();
        assert_eq!(
            rows,
            serde_json::json!([{
                "severity": "error", "file": "edge.toml", "line": 2, "column": 5,
                "message": "bad value", "help": null,
            }])
        );
    }
}
