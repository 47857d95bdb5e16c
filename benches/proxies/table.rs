//! The figures as text: a table for the terminal, Markdown for the README.

use std::fmt::Write;

use crate::report::{CellReport, PeerReport, Ratio, Report};

/// More than this share of the proxies' core for other programs, and the figures deserve a warning.
const QUIET: f64 = 0.05;

/// For the terminal. Cannot fail: writing to a string does not.
pub fn terminal(report: &Report) -> String {
    let mut out = format!("\n{}\n", report.setting());
    for cell in &report.cells {
        let unit = cell.unit.short();
        let heads = ["range", "req/s", "p50 ms", "p99 ms", "core"];
        let [range, rps, p50, p99, core] = heads;
        let _ = writeln!(out, "\n{:28}{unit:>10}{range:>17}{rps:>10}{p50:>10}{p99:>10}{core:>7}", cell.label);
        cell.peers.iter().for_each(|peer| peer_line(&mut out, peer));
        cell.ratios.iter().for_each(|ratio| ratio_line(&mut out, ratio));
    }
    out.push_str("\ncore: the share of its core that the proxy used; below 100% the load generator was the limit\n");
    for (name, log) in &report.access_logs {
        if log.lines < log.requests {
            let _ = writeln!(out, "MISSED: {name} logged {} of {} requests", log.lines, log.requests);
        }
    }
    let paces = report.cells.iter().flat_map(|cell| &cell.peers).filter_map(|peer| peer.pace.as_ref());
    let others = paces.map(|pace| pace.core_others).fold(0.0, f64::max) * 100.0;
    if others > QUIET * 100.0 {
        let _ = writeln!(
            out,
            "WARNING: other programs used up to {others:.0}% of the proxies' core: measure again in quiet"
        );
    }
    out
}

/// For the README: costs with ratios and bars, then latency and throughput.
pub fn markdown(report: &Report) -> String {
    let Some(first) = report.cells.first() else {
        return String::new();
    };
    let names: Vec<String> = first.peers.iter().map(|peer| peer.name.to_owned()).collect();
    let to = first.ratios.iter().map(|ratio| format!("to {} (bar)", ratio.to));
    let mut out = heading("CPU per request", names.iter().cloned().chain(to));
    for cell in &report.cells {
        let costs = cell.peers.iter().map(|peer| cell.cost(peer));
        row(&mut out, cell, costs.chain(cell.ratios.iter().map(ratio_text)));
    }
    out.push('\n');
    out.push_str(&heading("p50 / p99, requests per second", names.into_iter()));
    for cell in &report.cells {
        if cell.peers.iter().any(|peer| peer.pace.is_some()) {
            row(&mut out, cell, cell.peers.iter().map(pace_text));
        }
    }
    let _ = writeln!(out, "\n{}.", report.setting());
    out
}

fn peer_line(out: &mut String, peer: &PeerReport) {
    let low = peer.cost_by_round.iter().copied().fold(f64::INFINITY, f64::min);
    let high = peer.cost_by_round.iter().copied().fold(0.0, f64::max);
    let _ = write!(out, "  {:26}{:>10.1}{:>17}", peer.name, peer.cost, format!("{low:.1}..{high:.1}"));
    if let Some(pace) = &peer.pace {
        let (p50, p99, core) = (pace.p50_us / 1e3, pace.p99_us / 1e3, pace.core_busy * 100.0);
        let _ = write!(out, "{:>10.0}{p50:>10.2}{p99:>10.2}{core:>6.0}%", pace.requests_per_second);
    }
    out.push('\n');
}

fn ratio_line(out: &mut String, ratio: &Ratio) {
    let _ = write!(out, "  {:26}{:>10.2}", format!("edgectl / {}", ratio.to), ratio.ratio);
    if let (Some(bar), Some(ok)) = (ratio.bar, ratio.ok) {
        let _ = write!(out, "   at most {bar:.2}  {}", if ok { "ok" } else { "MISSED" });
    }
    out.push('\n');
}

fn heading(first: &str, columns: impl Iterator<Item = String>) -> String {
    let columns: Vec<String> = columns.collect();
    format!("| {first} | {} |\n|---|{}\n", columns.join(" | "), "---:|".repeat(columns.len()))
}

fn row(out: &mut String, cell: &CellReport, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    let _ = writeln!(out, "| {} | {} |", cell.label, columns.join(" | "));
}

fn ratio_text(ratio: &Ratio) -> String {
    let bar = ratio.bar.map(|bar| format!(" ({bar:.2})")).unwrap_or_default();
    let missed = if ratio.ok == Some(false) { " **missed**" } else { "" };
    format!("{:.2}{bar}{missed}", ratio.ratio)
}

fn pace_text(peer: &PeerReport) -> String {
    peer.pace.as_ref().map_or_else(String::new, |pace| {
        let (p50, p99) = (pace.p50_us / 1e3, pace.p99_us / 1e3);
        format!("{p50:.2} / {p99:.2} ms, {:.0}", pace.requests_per_second)
    })
}
