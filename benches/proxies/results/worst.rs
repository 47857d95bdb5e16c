//! The reports of all processors as one: of each cell and each rate the processor on which edgectl stands worst.

use super::report::{CellReport, Ratio, Report, SteadyReport};

/// A cell of one processor, with the worst ratios of all.
pub struct WorstCell<'a> {
    pub cell: &'a CellReport,
    pub ratios: Vec<Ratio>,
}

/// Every cell that any report has, in the order of the first that has it. Shown are the costs of the processor with the highest ratio to
/// the first other peer; each ratio is the highest anywhere.
pub fn cells(reports: &[Report]) -> Vec<WorstCell<'_>> {
    let mut worst: Vec<WorstCell> = Vec::new();
    for cell in reports.iter().flat_map(|report| &report.cells) {
        let ratios = cell.ratios();
        let Some(known) = worst.iter_mut().find(|known| known.cell.id == cell.id) else {
            worst.push(WorstCell { cell, ratios });
            continue;
        };
        if first(&ratios) > first(&known.cell.ratios()) {
            known.cell = cell;
        }
        for ratio in ratios {
            match known.ratios.iter_mut().find(|known| known.to == ratio.to) {
                Some(known) => known.ratio = known.ratio.max(ratio.ratio),
                None => known.ratios.push(ratio),
            }
        }
    }
    worst
}

/// Every rate of every cell, of the processor on which edgectl's p99 is highest beside that of the first other peer.
pub fn steady(reports: &[Report]) -> Vec<&SteadyReport> {
    let mut worst: Vec<&SteadyReport> = Vec::new();
    for steady in reports.iter().flat_map(|report| &report.steady) {
        match worst.iter_mut().find(|known| known.id == steady.id && known.percent == steady.percent) {
            Some(known) if tail(steady) > tail(known) => *known = steady,
            Some(_) => {}
            None => worst.push(steady),
        }
    }
    worst
}

fn first(ratios: &[Ratio]) -> f64 {
    ratios.first().map_or(0.0, |ratio| ratio.ratio)
}

fn tail(steady: &SteadyReport) -> f64 {
    match &steady.peers[..] {
        [own, other, ..] => own.p99_us / other.p99_us,
        _ => 0.0,
    }
}
