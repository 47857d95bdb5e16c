//! The figures as text: a table for the terminal, Markdown for the README and for each processor's page.

use std::fmt::Write;

use super::report::{NONE, PeerReport, Ratio, Report, SteadyPeer, SteadyReport};
use super::worst;
use crate::cells::{CELLS, bar_of};

/// If other programs take more than this share of the proxies' core, the figures get a warning.
const QUIET: f64 = 0.05;
/// More than this share of the load's own core, and it can't keep its schedule.
const LOADED: f64 = 0.9;

/// For the terminal. Cannot fail: writing to a string does not.
pub fn terminal(report: &Report) -> String {
    let mut out = format!("\n{}\n", report.setting());
    for cell in &report.cells {
        let unit = cell.unit.short();
        let _ = writeln!(out, "\n{:38}{unit:>10}{:>19}{:>10}{:>7}", cell.label, "range", "req/s", "core");
        cell.peers.iter().filter(|peer| !peer.cost_by_round.is_empty()).for_each(|peer| peer_line(&mut out, peer));
        cell.ratios().iter().for_each(|ratio| ratio_line(&mut out, ratio));
    }
    for steady in &report.steady {
        let _ = writeln!(
            out,
            "\n{:38}{:>10}{:>10}{:>10}{:>14}",
            steady_label(steady),
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "schedule p99"
        );
        for peer in &steady.peers {
            let SteadyPeer { name, p50_us, p99_us, p999_us, schedule_p99_us, .. } = peer;
            let [p50, p99, p999, late] = [p50_us, p99_us, p999_us, schedule_p99_us].map(|us| us / 1e3);
            let _ = writeln!(out, "  {name:36}{p50:>10.3}{p99:>10.3}{p999:>10.3}{late:>14.3}");
        }
    }
    out.push_str("\ncore: the share of its core that the proxy used; below 100% the load generator was the limit\n");
    warnings(&mut out, report);
    out
}

/// A processor's page: its costs and latencies.
pub fn page(report: &Report) -> String {
    let (cpu, picture) = (&report.machine.cpu, format!("![side by side]({}.svg)", report.machine.slug()));
    format!("# {cpu}\n\n{picture}\n\n{}\n{}.\n", tables(std::slice::from_ref(report)), report.setting())
}

/// The README's block: the worst of all processors.
pub fn overview(reports: &[Report]) -> String {
    let mut out = tables(reports);
    out.push_str("\nThe worst of each processor that was measured:\n\n");
    for report in reports {
        let page = format!("benches/results/{}.md", report.machine.slug());
        let _ = writeln!(out, "- [{}]({page}): {}", report.machine.cpu, report.setting());
    }
    out
}

fn tables(reports: &[Report]) -> String {
    let cells = worst::cells(reports);
    let Some(first) = cells.first() else {
        return String::new();
    };
    let names: Vec<String> = first.cell.peers.iter().map(|peer| peer.name.clone()).collect();
    let judged: Vec<&String> = first.ratios.iter().filter(|ratio| has_bars(ratio)).map(|ratio| &ratio.to).collect();
    let to = judged.iter().map(|name| format!("to {name} (bar)"));
    let mut out = heading("CPU per request", names.iter().cloned().chain(to));
    for worst in &cells {
        let costs = worst.cell.peers.iter().map(|peer| worst.cell.cost(peer));
        let ratio =
            |name: &&String| worst.ratios.iter().find(|ratio| ratio.to == **name).map_or(NONE.into(), ratio_text);
        row(&mut out, &worst.cell.label, costs.chain(judged.iter().map(ratio)));
    }
    let steady = worst::steady(reports);
    if !steady.is_empty() {
        out.push('\n');
        out.push_str(&heading("Latency at a constant rate: p50 / p99 / p99.9 ms", names.iter().cloned()));
        for steady in steady {
            let of =
                |name: &String| steady.peers.iter().find(|peer| peer.name == *name).map_or(NONE.into(), latency_text);
            row(&mut out, &steady_label(steady), names.iter().map(of));
        }
    }
    out
}

/// Whether any cell has a bar for this peer; other peers are for information.
fn has_bars(ratio: &Ratio) -> bool {
    CELLS.iter().any(|cell| bar_of(cell.id, &ratio.to).is_some())
}

fn steady_label(steady: &SteadyReport) -> String {
    format!("{}, {}%: {:.0}/s", steady.label, steady.percent, steady.rate)
}

fn peer_line(out: &mut String, peer: &PeerReport) {
    let low = peer.cost_by_round.iter().copied().fold(f64::INFINITY, f64::min);
    let high = peer.cost_by_round.iter().copied().fold(0.0, f64::max);
    let _ = write!(out, "  {:36}{:>10.1}{:>19}", peer.name, peer.cost, format!("{low:.1}..{high:.1}"));
    if let Some(pace) = &peer.pace {
        let _ = write!(out, "{:>10.0}{:>6.0}%", pace.requests_per_second, pace.core_busy * 100.0);
    }
    out.push('\n');
}

fn ratio_line(out: &mut String, ratio: &Ratio) {
    let _ = write!(out, "  {:36}{:>10.2}", format!("edgectl / {}", ratio.to), ratio.ratio);
    if let (Some(bar), Some(ok)) = (ratio.bar, ratio.ok()) {
        let _ = write!(out, "   at most {bar:.2}  {}", if ok { "ok" } else { "MISSED" });
    }
    out.push('\n');
}

fn warnings(out: &mut String, report: &Report) {
    for (name, log) in &report.access_logs {
        if log.lines < log.requests {
            let _ = writeln!(out, "MISSED: {name} logged {} of {} requests", log.lines, log.requests);
        }
    }
    let load = report.steady.iter().flat_map(|steady| &steady.peers).map(|peer| peer.load_busy).fold(0.0, f64::max);
    if load > LOADED {
        let share = load * 100.0;
        let _ = writeln!(
            out,
            "WARNING: the load's core was used to {share:.0}%: latencies at that rate are the load's own"
        );
    }
    let paces = report.cells.iter().flat_map(|cell| &cell.peers).filter_map(|peer| peer.pace.as_ref());
    let others = paces.map(|pace| pace.core_others).fold(0.0, f64::max) * 100.0;
    if others > QUIET * 100.0 {
        let _ = writeln!(
            out,
            "WARNING: other programs used up to {others:.0}% of the proxies' core: measure again in quiet"
        );
    }
}

fn heading(first: &str, columns: impl Iterator<Item = String>) -> String {
    let columns: Vec<String> = columns.collect();
    format!("| {first} | {} |\n|---|{}\n", columns.join(" | "), "---:|".repeat(columns.len()))
}

fn row(out: &mut String, label: &str, columns: impl Iterator<Item = String>) {
    let columns: Vec<String> = columns.collect();
    let _ = writeln!(out, "| {label} | {} |", columns.join(" | "));
}

fn ratio_text(ratio: &Ratio) -> String {
    let bar = ratio.bar.map(|bar| format!(" ({bar:.2})")).unwrap_or_default();
    let missed = if ratio.ok() == Some(false) { " **missed**" } else { "" };
    format!("{:.2}{bar}{missed}", ratio.ratio)
}

fn latency_text(peer: &SteadyPeer) -> String {
    let [p50, p99, p999] = [peer.p50_us, peer.p99_us, peer.p999_us].map(|us| us / 1e3);
    format!("{p50:.2} / {p99:.2} / {p999:.2}")
}
