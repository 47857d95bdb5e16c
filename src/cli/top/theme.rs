//! Inks and short figures, for all that is drawn.

use ratatui::style::{Color as Ink, Modifier, Style};

use crate::cli::terminal::table;
use crate::types::Color;

/// The inks of the screen, or none.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    color: bool,
}

impl Theme {
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    pub fn of(self, style: table::Style) -> Style {
        let ink = |ink| if self.color { Style::new().fg(ink) } else { Style::new() };
        match style {
            table::Style::Plain => Style::new(),
            table::Style::Bold => Style::new().add_modifier(Modifier::BOLD),
            table::Style::Dim => Style::new().add_modifier(Modifier::DIM),
            table::Style::Red => ink(Ink::Red),
            table::Style::Yellow => ink(Ink::Yellow),
            table::Style::Green => ink(Ink::Green),
            table::Style::Blue => ink(Ink::LightBlue),
        }
    }

    pub fn color(self, color: Option<Color>) -> Style {
        color.map_or_else(Style::new, |color| self.of(color.into()))
    }
}

/// Requests a second, with a decimal below 100.
pub fn per_second_text(per_second: f64) -> String {
    if per_second < 100.0 { format!("{per_second:.1}") } else { format!("{per_second:.0}") }
}
