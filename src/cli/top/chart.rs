//! The sparklines: requests a second of each colour, one scale for both, and a mark where the generation changed.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::Line;
use ratatui::widgets::{Sparkline, SparklineBar};

use super::theme::{Theme, per_second_text};
use super::trail::{Column, Trail};
use crate::admin::wire::ServiceStatus;
use crate::cli::terminal::table;

/// Into how many parts a bar divides one request a second.
const PARTS: f64 = 10.0;

/// At least one line for each colour, and one for the marks.
pub fn render(service: &ServiceStatus, trail: &Trail, theme: Theme, frame: &mut Frame, area: Rect) {
    let area = Rect { x: area.x + area.width.min(1), width: area.width.saturating_sub(2), ..area };
    let columns = trail.columns(area.width.into());
    let most = columns.iter().flat_map(|column| column.rates).flatten().fold(0.0, f64::max);
    let mut rows = vec![Constraint::Length(1)];
    rows.extend(service.pools.iter().map(|_| Constraint::Fill(1)));
    rows.push(Constraint::Length(1));
    let rows = Layout::vertical(rows).split(area);
    let [head, bars @ .., marks] = &*rows else { return };
    let text = format!("requests a second, the last 5 minutes; the highest bar is {}", per_second_text(most));
    frame.render_widget(Line::styled(text, theme.of(table::Style::Dim)), *head);
    for (index, (pool, row)) in service.pools.iter().zip(bars).enumerate() {
        let sparkline = Sparkline::default()
            .data(columns.iter().map(|column| SparklineBar::from(height(column, index))))
            .max(parts(most).max(1))
            .style(theme.color(pool.color));
        frame.render_widget(sparkline, *row);
    }
    let strong = theme.of(table::Style::Yellow).add_modifier(Modifier::BOLD);
    for (index, column) in columns.iter().enumerate() {
        let Some(generation) = column.switched_to else { continue };
        let at = Rect { x: marks.x + index as u16, width: marks.width.saturating_sub(index as u16), ..*marks };
        frame.render_widget(Line::styled(format!("▲{generation}"), strong), at);
    }
}

fn height(column: &Column, color: usize) -> Option<u64> {
    column.rates[color].map(parts)
}

/// A rate above zero has a bar.
fn parts(rate: f64) -> u64 {
    (rate * PARTS).ceil() as u64
}
