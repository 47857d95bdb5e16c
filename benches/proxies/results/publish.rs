//! Keeps a run: `<processor>.json`, `.md` and `.svg`; and the README's block from all processors that are kept.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::report::Report;
use super::{chart, table, worst};

const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->";
/// Lies beside the reports, but is none.
const COUNTS: &str = "instructions.json";

/// Writes what one processor has shown.
pub fn keep(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let slug = report.machine.slug();
    let json = serde_json::to_string_pretty(report)? + "\n";
    let cells: Vec<_> = report.cells.iter().collect();
    for (extension, text) in
        [("json", json), ("md", table::page(report)), ("svg", chart::svg(&cells, &report.setting()))]
    {
        let file = folder.join(format!("{slug}.{extension}"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Draws the overview in `folder` and puts the tables between the README's marks.
pub fn overview(folder: &Path, readme: &Path) -> Result<()> {
    let reports = kept(folder)?;
    let cells: Vec<_> = worst::cells(&reports).iter().map(|worst| worst.cell).collect();
    let note = format!("the worst of {} processors", reports.len());
    fs::write(folder.join("overview.svg"), chart::svg(&cells, &note)).context("cannot write overview.svg")?;
    let old = fs::read_to_string(readme).with_context(|| format!("cannot read {}", readme.display()))?;
    let picture = "![CPU per request, side by side](benches/results/overview.svg)";
    let block = format!("\n{picture}\n\n{}\n", table::overview(&reports));
    let new = between(&old, &block).context("the README lacks the marks of the bench's block")?;
    fs::write(readme, new).with_context(|| format!("cannot write {}", readme.display()))
}

/// Every report in the folder, by name.
pub fn kept(folder: &Path) -> Result<Vec<Report>> {
    let mut files: Vec<_> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "json") && !file.ends_with(COUNTS));
    files.sort();
    let read = |file: &std::path::PathBuf| {
        let text = fs::read_to_string(file)?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report of this bench", file.display()))
    };
    files.iter().map(read).collect()
}

/// The text with the block between its marks replaced.
pub fn between(text: &str, block: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{block}{END}{after}"))
}
