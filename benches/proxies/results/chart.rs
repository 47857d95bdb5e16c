//! The figures as a picture: horizontal bars in groups, one group a cell, lengths relative to nginx.
//!
//! Costs run from 15 µs to milliseconds, so no common scale shows them all; each bar has its own figure instead. Colours work
//! on light and on dark: text follows the reader's scheme, the background is transparent.

use std::fmt::Write;

use super::report::{CellReport, PeerReport};

const WIDTH: usize = 860;
const LABELS: usize = 250;
/// Leaves room for a figure behind the longest bar.
const BARS: usize = 485;
const HEAD: usize = 84;
const BAR: usize = 14;
const GAP: usize = 16;

const STYLE: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-size:16px;font-weight:600}.note{font-size:11px;fill:#59636e}.end{text-anchor:end}\
.edgectl{fill:#2f6feb}.nginx{fill:#8c959f}.haproxy{fill:#c4cbd3}.caddy{fill:#d8dee4}.envoy{fill:#e4e8ec}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note{fill:#9198a1}\
.edgectl{fill:#4c8dff}.nginx{fill:#7d8590}.haproxy{fill:#484f58}.caddy{fill:#373e47}.envoy{fill:#2d333b}}";

/// Draws the cells in their order, with a note below.
pub fn svg(cells: &[&CellReport], setting: &str) -> String {
    let names: Vec<&str> = cells.first().map_or_else(Vec::new, |cell| cell.peers.iter().map(name).collect());
    let group = names.len() * (BAR + 2) + GAP;
    let height = HEAD + cells.len() * group + 30;
    let longest = cells.iter().flat_map(|cell| relative(cell)).fold(1.0, f64::max);
    let scale = BARS as f64 / longest;

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" aria-label=\"CPU time per request and memory per idle connection of {}\">\n<style>{STYLE}</style>\n",
        names.join(", ")
    );
    text(&mut out, "title", 12, 26, "CPU time, memory, time: shorter is better");
    let note =
        "Bars and × are relative to nginx. µs: CPU time per request or handshake. KiB: memory per idle connection.";
    text(&mut out, "note", 12, 45, note);
    legend(&mut out, &names);
    let mut top = HEAD;
    for cell in cells {
        bars(&mut out, cell, top, scale);
        top += group;
    }
    text(&mut out, "note", 12, height - 12, setting);
    out.push_str("</svg>\n");
    out
}

fn name(peer: &PeerReport) -> &str {
    &peer.name
}

fn legend(out: &mut String, names: &[&str]) {
    let mut x = 12;
    for name in names {
        let _ = writeln!(out, "<rect class=\"{name}\" x=\"{x}\" y=\"57\" width=\"12\" height=\"12\" rx=\"2\"/>");
        text(out, "", x + 18, 67, name);
        x += 90;
    }
}

fn bars(out: &mut String, cell: &CellReport, top: usize, scale: f64) {
    let middle = top + cell.peers.len() * (BAR + 2) / 2 + 4;
    text(out, "end", LABELS - 12, middle, &cell.label);
    for ((at, peer), share) in cell.peers.iter().enumerate().zip(relative(cell)) {
        if peer.cost_by_round.is_empty() {
            continue;
        }
        let (y, width) = (top + at * (BAR + 2), (share * scale).max(1.0));
        let _ = writeln!(
            out,
            "<rect class=\"{}\" x=\"{LABELS}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            peer.name
        );
        let times = if share == 1.0 { String::new() } else { format!("  ×{share:.2}") };
        text(out, "", LABELS + width as usize + 6, y + 11, &(cell.cost(peer) + &times));
    }
}

/// Each peer's cost over nginx's, or over the highest without nginx.
fn relative(cell: &CellReport) -> Vec<f64> {
    let nginx = cell.peers.iter().find(|peer| peer.name == "nginx").map(|peer| peer.cost);
    let base = nginx.unwrap_or_else(|| cell.peers.iter().map(|peer| peer.cost).fold(0.0, f64::max));
    cell.peers.iter().map(|peer| if base > 0.0 { peer.cost / base } else { 0.0 }).collect()
}

fn text(out: &mut String, class: &str, x: usize, y: usize, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>");
}
