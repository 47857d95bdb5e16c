//! Columns and colours for the terminal.

use crate::types::{Color, has_control, is_control};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Red,
    Yellow,
    Green,
    Blue,
}

impl Style {
    /// `text` in this style, or as it is.
    pub fn paint(self, text: &str, color: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Green => "32",
            Self::Blue => "34",
        };
        if color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl From<Color> for Style {
    fn from(color: Color) -> Self {
        match color {
            Color::Blue => Self::Blue,
            Color::Green => Self::Green,
        }
    }
}

/// One cell. Its text may come from a backend or from a `--reason`, so what would steer the terminal is escaped.
#[derive(Debug, Clone)]
pub struct Cell {
    pub text: String,
    pub style: Style,
}

impl Cell {
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: printable(text.as_ref()), style }
    }

    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new(text, Style::Plain)
    }
}

/// `text` on one line, with what would steer the terminal escaped as the log does it.
pub fn printable(text: &str) -> String {
    escaped(text, false)
}

/// The same of a text that has several lines.
pub fn printable_lines(text: &str) -> String {
    escaped(text, true)
}

fn escaped(text: &str, keeps_lines: bool) -> String {
    if !has_control(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' if keeps_lines => out.push('\n'),
            _ if is_control(character) => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out
}

/// A head and rows. Columns are aligned by characters, with three blanks between; a column that is empty in all rows is left out.
pub fn table(head: &[&str], rows: &[Vec<Cell>], color: bool) -> String {
    let head: Vec<Cell> = head.iter().map(|title| Cell::new(title, Style::Dim)).collect();
    let cell_width = |row: &Vec<Cell>, column: usize| row.get(column).map_or(0, |cell| cell.text.chars().count());
    let filled = |column: &usize| rows.iter().any(|row| cell_width(row, *column) > 0);
    let columns: Vec<usize> = (0..head.len()).filter(filled).collect();
    let all = || std::iter::once(&head).chain(rows);
    let widths: Vec<usize> =
        columns.iter().map(|column| all().map(|row| cell_width(row, *column)).max().unwrap_or(0)).collect();
    let lines = all().map(|row| line(row, &columns, &widths, color));
    lines.collect::<Vec<_>>().join("\n")
}

fn line(row: &[Cell], columns: &[usize], widths: &[usize], color: bool) -> String {
    let mut text = String::new();
    let mut owed = 0;
    for (column, width) in columns.iter().zip(widths) {
        if let Some(cell) = row.get(*column).filter(|cell| !cell.text.is_empty()) {
            text.extend(std::iter::repeat_n(' ', std::mem::take(&mut owed)));
            text += &cell.style.paint(&cell.text, color);
            owed += width - cell.text.chars().count() + 3;
        } else {
            owed += width + 3;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_nothing_trails() {
        let rows =
            [vec![Cell::plain("app"), Cell::plain("blue")], vec![Cell::plain(""), Cell::new("green", Style::Bold)]];
        assert_eq!(
            table(&["SERVICE", "COLOR", "ERROR"], &rows, false),
            "SERVICE   COLOR\napp       blue\n          green"
        );
    }

    #[test]
    fn colour_takes_no_room() {
        let rows = [vec![Cell::new("up", Style::Green), Cell::plain("1")]];
        assert_eq!(table(&["", "N"], &rows, true), "     \x1b[2mN\x1b[0m\n\x1b[32mup\x1b[0m   1");
    }

    #[test]
    fn a_reason_cannot_steer_the_terminal() {
        assert_eq!(printable("fix\x1b[2J\nnow"), "fix\\u{1b}[2J\\nnow");
        assert_eq!(printable("ä\u{9b}31m\u{202e}x\u{7f}"), "ä\\u{9b}31m\\u{202e}x\\u{7f}");
        assert_eq!(printable_lines("one\n\ttwo\u{2066}"), "one\n\\ttwo\\u{2066}");
    }
}
