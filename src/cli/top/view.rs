//! Draws a [`TopModel`] into a frame of any size, down to one cell. Decides nothing.
//!
//! From the top: the daemon, the services, the colours of the chosen service side by side, their sparklines, and the last question
//! or result. If there is no room for all, the sparklines are left out first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::chart;
use super::model::TopModel;
use super::theme::{Theme, per_second_text};
use crate::admin::wire::{BackendStatus, DetourStatus, PoolStatus, PoolTraffic, ServiceStatus, Status};
use crate::cli::status::{config_state, open_text, state_cell};
use crate::cli::terminal::table;
use crate::types::Color;

const KEYS: &str = " ↑↓ choose   s switch   b roll back   q leave";

/// Lines for a colour's figures and its frame.
const NUMBERS: u16 = 5;

/// Lines that the last question or result may take.
const NOTE: u16 = 3;

pub fn render(model: &TopModel, color: bool, frame: &mut Frame) {
    let theme = Theme::new(color);
    let area = frame.area();
    let service = model.service();
    let services = model.services().len() as u16;
    let list = if services > 1 { services.min((area.height / 4).max(1)) } else { 0 };
    let backends = service.iter().flat_map(|service| &service.pools).map(backend_lines).max().unwrap_or(0);
    let panels = (NUMBERS + backends).min(area.height * 2 / 3);
    // The last lines get their room first: a question must be visible.
    let note = bottom(model, theme);
    let lines = (note.width() as u16 / area.width.max(1) + 1).min(NOTE);
    let [rest, bottom, keys] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(lines), Constraint::Length(1)]).areas(area);
    let [head, list, title, panels, chart] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(list),
        Constraint::Length(1),
        Constraint::Length(panels),
        Constraint::Fill(1),
    ])
    .areas(rest);
    frame.render_widget(headline(model, theme), head);
    services_list(model, theme, frame, list);
    if let Some(service) = service {
        frame.render_widget(service_line(service, theme), title);
        colors(service, theme, frame, panels);
        if let Some(trail) = model.trail(&service.name) {
            chart::render(service, trail, theme, frame, chart);
        }
    }
    frame.render_widget(Paragraph::new(note).wrap(Wrap { trim: true }), bottom);
    frame.render_widget(Line::styled(KEYS, theme.of(table::Style::Dim)), keys);
}

fn headline(model: &TopModel, theme: Theme) -> Line<'_> {
    let Some(Status { version, ready, connections, config_on_disk, .. }) = &model.status else {
        return Line::raw(" edgectl");
    };
    let state = match (&model.gone, ready) {
        (Some(_), _) => Span::styled("not reachable, this is old", theme.of(table::Style::Red)),
        (None, true) => Span::styled("ready", theme.of(table::Style::Green)),
        (None, false) => Span::styled("not ready", theme.of(table::Style::Red)),
    };
    let notice =
        config_state(config_on_disk).map(|(state, meaning)| format!(" · {state}{meaning}")).unwrap_or_default();
    let notice = Span::styled(notice, theme.of(table::Style::Red));
    let connections = format!(" · {connections} connections").into();
    Line::from_iter([format!(" edgectl {version} · ").into(), state, notice, connections])
}

/// The question, else why the status is old, else the last result.
fn bottom(model: &TopModel, theme: Theme) -> Line<'_> {
    if let Some(order) = &model.question {
        let style = theme.of(table::Style::Yellow).add_modifier(Modifier::BOLD);
        return Line::styled(order.question(), style);
    }
    if let Some(why) = &model.gone {
        return Line::styled(format!("trying again: {why}"), theme.of(table::Style::Red));
    }
    let Some(notice) = &model.notice else { return Line::default() };
    let style = if notice.is_bad { table::Style::Red } else { table::Style::Plain };
    Line::styled(notice.text.as_str(), theme.of(style))
}

/// One line each, scrolled so that the chosen one is visible.
fn services_list(model: &TopModel, theme: Theme, frame: &mut Frame, area: Rect) {
    let first = (model.place() + 1).saturating_sub(usize::from(area.height));
    let width = model.services().iter().map(|service| service.name.chars().count()).max().unwrap_or(0);
    let shown = model.services().iter().enumerate().skip(first).take(area.height.into());
    let lines = shown.map(|(place, service)| {
        let is_chosen = place == model.place();
        let mark = if is_chosen { " ▸ " } else { "   " };
        let mut spans = vec![Span::raw(format!("{mark}{:width$}", service.name))];
        for pool in &service.pools {
            let name = pool.color.map_or("one pool", Color::as_str);
            let marker = if pool.color == service.active { "●" } else { " " };
            let failed = pool.traffic.error_rate.unwrap_or_default();
            spans.push(Span::styled(format!("   {marker} {name} "), theme.color(pool.color)));
            spans.push(Span::raw(format!("{} req/s ", per_second_text(pool.traffic.per_second_now))));
            spans.push(Span::styled(percent(failed), error_style(failed, theme)));
            spans.extend(open_text(pool.open).map(|open| Span::raw(format!(" {open} open"))));
        }
        let line = Line::from(spans);
        if is_chosen { line.style(theme.of(table::Style::Bold)) } else { line }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

fn service_line(service: &ServiceStatus, theme: Theme) -> Line<'_> {
    let mut spans = vec![Span::styled(format!(" {}", service.name), theme.of(table::Style::Bold))];
    // First, because the end of the line may have no room.
    let warned = |text| Span::styled(format!(" · {text}"), theme.of(table::Style::Yellow));
    spans.extend(unusual(service).map(warned));
    if let (Some(active), Some(generation)) = (service.active, service.generation) {
        spans.push(" · ".into());
        spans.push(Span::styled(format!("{active} serves"), theme.color(Some(active))));
        spans.push(format!(" · generation {generation}").into());
    }
    if let Some(previous) = service.previous {
        spans.push(format!(" · {previous} before").into());
    }
    Line::from(spans)
}

/// Whatever is unusual; `status` has a line for each.
fn unusual(service: &ServiceStatus) -> impl Iterator<Item = String> {
    let pause = service.paused.as_ref().map(|pause| format!("PAUSED, {} held", pause.held));
    let maintenance = service.maintenance.as_ref().map(|_| "IN MAINTENANCE".to_owned());
    let detour = service.detour.as_ref().map(|detour| match detour {
        DetourStatus::Failover => "FAILOVER".to_owned(),
        DetourStatus::Fallback => "FALLBACK".to_owned(),
        DetourStatus::Other(text) => text.to_uppercase(),
    });
    [pause, maintenance, detour].into_iter().flatten()
}

/// The colours, side by side.
fn colors(service: &ServiceStatus, theme: Theme, frame: &mut Frame, area: Rect) {
    let halves = Layout::horizontal(service.pools.iter().map(|_| Constraint::Fill(1))).split(area);
    for (pool, half) in service.pools.iter().zip(halves.iter()) {
        let state = state_cell(service, pool);
        let marker = if pool.color == service.active { "● " } else { "" };
        let name = pool.color.map_or("one pool", Color::as_str);
        let mut block = Block::bordered()
            .title(Span::styled(format!(" {marker}{name} · {} ", state.text), theme.of(state.style)))
            .border_style(theme.color(pool.color));
        if pool.color != service.active {
            block = block.border_style(theme.color(pool.color).add_modifier(Modifier::DIM));
        }
        let text = Paragraph::new(pool_lines(pool, theme)).block(block);
        frame.render_widget(text, *half);
    }
}

fn pool_lines(pool: &PoolStatus, theme: Theme) -> Vec<Line<'_>> {
    let PoolTraffic { per_second, per_second_now, error_rate, p50_ms, p95_ms, .. } = &pool.traffic;
    let failed = error_rate.unwrap_or_default();
    let open = open_text(pool.open).map(|open| format!(": {open} open")).unwrap_or_default();
    let time = |ms: &Option<f64>| ms.map_or_else(|| "-".to_owned(), millis);
    let mut lines = vec![
        Line::raw(format!(
            "{} req/s now   {} mean of 10s",
            per_second_text(*per_second_now),
            per_second_text(*per_second)
        )),
        Line::from_iter([
            Span::styled(
                format!("{} errors", error_rate.map_or_else(|| "-".to_owned(), percent)),
                error_style(failed, theme),
            ),
            format!("   p50 {}   p95 {}", time(p50_ms), time(p95_ms)).into(),
        ]),
        Line::raw(format!("{} in flight{open}", pool.in_flight)),
    ];
    lines.extend(pool.backends.iter().map(|backend| backend_line(backend, theme)));
    lines.extend(
        pool.unresolved
            .iter()
            .map(|name| format!("{}: {}", name.address, name.error))
            .map(|text| Line::styled(table::printable(&text), theme.of(table::Style::Red))),
    );
    lines
}

fn backend_lines(pool: &PoolStatus) -> u16 {
    (pool.backends.len() + pool.unresolved.len()) as u16
}

fn backend_line(backend: &BackendStatus, theme: Theme) -> Line<'_> {
    let BackendStatus { address, endpoint, up, last_probe, in_flight, ejected } = backend;
    let place = if address.ends_with(endpoint) { address.clone() } else { format!("{address} ({endpoint})") };
    let (word, style) = match (up, ejected) {
        (false, _) => ("down", table::Style::Red),
        (true, Some(_)) => ("out ", table::Style::Yellow),
        (true, None) => ("up  ", table::Style::Green),
    };
    let why = match (last_probe, ejected) {
        (Some(probe), _) if !up => format!(" {}", probe.outcome),
        (None, _) => " not probed yet".to_owned(),
        (_, Some(out)) => format!(" ejected, {} s left: {}", out.seconds_left, out.why),
        _ => format!(" {in_flight} in flight"),
    };
    // A backend has a say in this text.
    Line::from_iter([Span::styled(word, theme.of(style)), table::printable(&format!(" {place}{why}")).into()])
}

fn error_style(rate: f64, theme: Theme) -> Style {
    theme.of(if rate > 0.0 { table::Style::Red } else { table::Style::Plain })
}

/// A share above zero is never shown as zero.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 { "<0.1%".to_owned() } else { format!("{percent:.1}%") }
}

fn millis(millis: f64) -> String {
    match millis {
        ..10.0 => format!("{millis:.1}ms"),
        ..1_000.0 => format!("{millis:.0}ms"),
        _ => format!("{:.1}s", millis / 1e3),
    }
}
