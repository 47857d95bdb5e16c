//! The shape of the sources, kept by tests: layers, docs, no panics, files short enough to read, documents that name existing files.
//!
//! The layers are in the comments of `src/lib.rs`, where a reader meets them. The list here says which siblings may know each
//! other. Sources are read as text: that is easy to fool, and easy to read.

#![allow(clippy::unwrap_used, reason = "what helpers of a test can't read is a failed test")]

mod circles;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sources::{code, files_under, is_tests, root, show, sources, test_modules, text};

/// Within a layer a module knows these siblings and no others. What is listed must be used.
const SIBLINGS: &[(&str, &[&str])] = &[
    ("service", &["trust"]),
    ("limit", &["headers"]),
    ("site", &["headers", "limit", "metrics", "policy", "service", "trust"]),
    ("snapshot", &["headers", "limit", "metrics", "policy", "service", "site", "trust"]),
    ("decide", &["error", "headers", "policy", "site", "snapshot", "trust"]),
    ("supervise", &["metrics"]),
    ("token", &["service"]),
    ("health", &["resolve", "upstream"]),
    ("worker", &["health", "listen", "upstream"]),
    ("http", &["listen", "tls", "upstream", "worker"]),
    ("doctor", &["acme"]),
    ("daemon", &["admin"]),
    ("demo", &["admin", "daemon"]),
];

/// How many lines a file may have.
const MAX_LINES: usize = 400;

/// How many files a folder may have, `mod.rs` included.
const MAX_FILES: usize = 12;

/// Folders that may have more: `src` holds the modules of the tour, `src/cli` one file for each command.
const CROWDED: &[&str] = &["src", "src/cli"];

/// Which files have more lines, and why.
const LONGER: &[(&str, &str)] = &[];

/// Files that the documents name before they exist. Remove each entry when its file exists.
const COMING: &[&str] = &[];

#[test]
fn a_module_imports_from_lower_layers_and_listed_siblings_alone() {
    let layers = layers();
    let mut wrong = Vec::new();
    for (from, to, place) in imports() {
        let is_below = layers[&to] < layers[&from];
        let is_listed = siblings_of(&from).contains(&to.as_str()) && layers[&to] == layers[&from];
        if !is_below && !is_listed {
            wrong.push(format!("{place}: {from} (layer {}) imports {to} (layer {})", layers[&from], layers[&to]));
        }
    }
    none(&wrong);
}

#[test]
fn listed_siblings_are_used_and_make_no_circle() {
    let used: BTreeSet<_> = imports().into_iter().map(|(from, to, _)| (from, to)).collect();
    let mut wrong = Vec::new();
    for (from, to) in SIBLINGS.iter().flat_map(|(from, all)| all.iter().map(move |to| (*from, *to))) {
        if !used.contains(&(from.to_owned(), to.to_owned())) {
            wrong.push(format!("{from} does not import {to}: strike it"));
        }
        if reaches(to, from) {
            wrong.push(format!("{from} and {to} know each other"));
        }
    }
    none(&wrong);
}

#[test]
fn every_file_says_what_it_owns() {
    let silent = |file: &&PathBuf| !is_tests(file) && !text(file).starts_with("//! ");
    none(&sources().iter().filter(silent).map(|file| format!("{}: begin with //!", show(file))).collect::<Vec<_>>());
}

#[test]
fn nothing_panics_on_purpose_outside_of_tests() {
    let test_modules = test_modules();
    let mut wrong = Vec::new();
    for file in sources().iter().filter(|file| !test_modules.contains(*file)) {
        for (number, line) in code(file).take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]")) {
            if [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!("].iter().any(|word| line.contains(word))
            {
                wrong.push(format!("{}:{number}: {}", show(file), line.trim()));
            }
        }
    }
    none(&wrong);
}

#[test]
fn files_and_folders_beside_each_other_make_no_circle() {
    none(&circles::found());
}

#[test]
fn a_folder_has_few_enough_files_to_know_them() {
    let mut files_in: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for file in sources() {
        *files_in.entry(file.parent().unwrap().to_owned()).or_default() += 1;
    }
    let is_crowded = |(folder, files): &(PathBuf, usize)| *files > MAX_FILES && !CROWDED.contains(&&*show(folder));
    let wrong = files_in.into_iter().filter(is_crowded);
    none(
        &wrong
            .map(|(folder, files)| format!("{} has {files} files: give it sub-rooms", show(&folder)))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_file_is_short_enough_to_read() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines = text(&file).lines().count();
        let reason = LONGER.iter().find(|(name, _)| *name == show(&file));
        match (lines > MAX_LINES, reason) {
            (true, None) => wrong.push(format!("{} has {lines} lines: split it, or say why not", show(&file))),
            (false, Some(_)) => wrong.push(format!("{} fits again: strike it from LONGER", show(&file))),
            _ => {}
        }
    }
    none(&wrong);
}

#[test]
fn documents_name_files_that_exist() {
    let mut wrong = Vec::new();
    for document in documents() {
        for name in named_in(&text(&document)) {
            let beside = document.parent().unwrap_or(Path::new(""));
            let is_there = root().join(&name).exists() || beside.join(&name).exists();
            let is_coming = COMING.iter().any(|coming| name.starts_with(coming));
            if !is_there && !is_coming {
                wrong.push(format!("{}: no {name}", show(&document)));
            }
        }
    }
    none(&wrong);
}

fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Module to layer, from the tour in `src/lib.rs`: a comment `// N: ...` opens layer N.
fn layers() -> BTreeMap<String, u32> {
    let mut layers = BTreeMap::new();
    let mut layer = None;
    for line in text(&root().join("src/lib.rs")).lines() {
        if let Some((number, _)) = line.strip_prefix("// ").and_then(|rest| rest.split_once(": ")) {
            layer = Some(number.parse().unwrap());
        }
        if let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            layers.insert(module.to_owned(), layer.unwrap_or_else(|| panic!("{module} is in no layer")));
        }
    }
    layers
}

fn siblings_of(module: &str) -> &'static [&'static str] {
    SIBLINGS.iter().find(|(name, _)| *name == module).map_or(&[], |(_, siblings)| siblings)
}

fn reaches(from: &str, to: &str) -> bool {
    siblings_of(from).iter().any(|next| *next == to || reaches(next, to))
}

/// Every `crate::NAME` in code: in which module, which, and where.
fn imports() -> Vec<(String, String, String)> {
    let layers = layers();
    let mut found = Vec::new();
    let test_modules = test_modules();
    for file in sources().into_iter().filter(|file| !test_modules.contains(file)) {
        let module = module_of(&file);
        if !layers.contains_key(&module) {
            continue;
        }
        for (number, line) in code(&file) {
            for rest in line.split("crate::").skip(1) {
                let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let place = format!("{}:{number}", show(&file));
                assert!(
                    layers.contains_key(&name),
                    "{place}: crate::{name} is no module of src/lib.rs; one `use` a module"
                );
                if name != module {
                    found.push((module.clone(), name, place));
                }
            }
        }
    }
    found
}

/// `src/http/conn.rs` and `src/http.rs` are of `http`.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap().to_str().unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// The README, what lies beside it, and `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut documents = files_under(&root().join("docs"), "md");
    documents.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(|name| root().join(name)));
    documents
}

/// Relative link targets, and paths in code marks that begin with a folder of the project.
fn named_in(text: &str) -> BTreeSet<String> {
    const FOLDERS: [&str; 8] = ["src/", "tests/", "docs/", "examples/", "config/", "benches/", "fuzz/", ".ci/"];
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.contains("://") && !link.starts_with('#'));
    let links = links.map(|link| link.split('#').next().unwrap_or(link));
    let marks = text.split('`').skip(1).step_by(2).filter(|mark| FOLDERS.iter().any(|folder| mark.starts_with(folder)));
    let plain = |name: &&str| !name.contains(['*', ' ', '{', '\n']);
    links.chain(marks).filter(plain).map(str::to_owned).collect()
}
