//! Medians, ratios, the worst of several processors, names of files, the README's block.

use crate::cells::CELLS;
use crate::results::machine::{Machine, processor};
use crate::results::publish::{between, keep, kept, overview};
use crate::results::report::{Report, Sample, median};
use crate::results::{table, worst};

fn machine(cpu: &str) -> Machine {
    Machine { cpu: cpu.to_owned(), ..Machine::read() }
}

/// edgectl's and nginx's costs of the first cell, which has a bar of 1.10 to nginx.
fn report(cpu: &str, costs: [f64; 2]) -> Report {
    let versions = ["edgectl", "nginx"].map(|name| (name.to_owned(), "1".to_owned()));
    let mut report = Report::new(machine(cpu), versions.to_vec(), &CELLS[..1], 1);
    for (peer, cost) in ["edgectl", "nginx"].into_iter().zip(costs) {
        report.add(CELLS[0].id, peer, Sample { cost, pace: None });
    }
    report
}

#[test]
fn a_median_is_the_middle_value() {
    assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
}

#[test]
fn a_bar_is_held_or_missed() {
    assert!(report("a", [11.0, 10.0]).passes());
    let missed = report("a", [12.0, 10.0]);
    assert!(!missed.passes());
    assert!(table::page(&missed).contains("1.20 (1.10) **missed**"), "{}", table::page(&missed));
}

#[test]
fn a_peer_that_was_not_measured_has_no_ratio() {
    let versions = ["edgectl", "nginx"].map(|name| (name.to_owned(), "1".to_owned()));
    let mut report = Report::new(machine("a"), versions.to_vec(), &CELLS[..1], 1);
    report.add(CELLS[0].id, "edgectl", Sample { cost: 1.0, pace: None });
    assert!(report.cells[0].ratios().is_empty());
    assert!(!report.passes(), "nothing was judged");
}

#[test]
fn the_worst_processor_is_shown() {
    let reports = [report("a", [9.0, 10.0]), report("b", [21.0, 20.0]), report("c", [4.0, 5.0])];
    let worst = worst::cells(&reports);
    assert_eq!(worst.len(), 1);
    assert_eq!(worst[0].ratios[0].ratio, 1.05);
    assert_eq!(worst[0].cell.peers[0].cost, 21.0);
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let text = serde_json::to_string(&report("a", [9.0, 10.0])).unwrap();
    let read: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(read.cells[0].ratios(), report("a", [9.0, 10.0]).cells[0].ratios());
}

#[test]
fn files_are_named_by_the_processor() {
    assert_eq!(machine("Intel(R) Xeon(R) Platinum 8480C @ 2.00GHz").slug(), "intel-xeon-platinum-8480c-2-00ghz");
    assert_eq!(machine("AMD EPYC 7B13").slug(), "amd-epyc-7b13");
}

#[test]
fn a_processor_without_a_number_is_named_by_family_and_model() {
    let cpuinfo = "cpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Intel(R) Xeon(R) Processor\n";
    assert_eq!(processor(cpuinfo), "Intel(R) Xeon(R) Processor (family 6, model 207)");
    assert_eq!(processor("cpu family\t: 25\nmodel\t: 1\nmodel name\t: AMD EPYC 7B13\n"), "AMD EPYC 7B13");
    assert_eq!(processor(""), "unknown");
}

#[test]
fn only_the_block_of_the_readme_is_replaced() {
    let old = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
    assert_eq!(between(old, "new\n").unwrap(), "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n");
    assert_eq!(between("a\n", "new\n"), None);
}

#[test]
fn the_overview_is_of_all_that_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let readme = folder.path().join("README.md");
    std::fs::write(&readme, "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n").unwrap();
    std::fs::write(folder.path().join("instructions.json"), "{}").unwrap();
    keep(&report("one", [9.0, 10.0]), folder.path()).unwrap();
    keep(&report("two", [12.0, 10.0]), folder.path()).unwrap();
    assert_eq!(kept(folder.path()).unwrap().len(), 2);

    overview(folder.path(), &readme).unwrap();
    let text = std::fs::read_to_string(&readme).unwrap();
    assert!(text.contains("| h1 plain, 1 KiB | 12.0 µs | 10.0 µs | 1.20 (1.10) **missed** |"), "{text}");
    assert!(text.contains("[one](benches/results/one.md)") && text.contains("[two](benches/results/two.md)"), "{text}");
    assert!(!text.contains("old") && text.ends_with("<!-- /bench -->\nb\n"), "{text}");
    assert!(folder.path().join("overview.svg").exists());
}

#[test]
fn a_file_that_is_no_report_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.json"), "{}").unwrap();
    assert!(kept(folder.path()).unwrap_err().to_string().contains("old.json"));
}
