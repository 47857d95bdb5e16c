//! The sources as text: which files there are, their code without comments, which of them are tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines with their numbers, without comments.
pub fn code(file: &Path) -> impl Iterator<Item = (usize, String)> {
    let lines: Vec<String> = text(file).lines().map(|line| line.split("//").next().unwrap_or("").to_owned()).collect();
    (1..).zip(lines)
}

/// Files declared as `#[cfg(test)] mod NAME;`.
pub fn test_modules() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for file in sources() {
        let folder = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" | "lib" | "main" => file.parent().unwrap().to_owned(),
            _ => file.with_extension(""),
        };
        let text = text(&file);
        for declared in text.split("#[cfg(test)]\n").skip(1) {
            if let Some((name, _)) = declared.strip_prefix("mod ").and_then(|rest| rest.split_once(';')) {
                found.insert(folder.join(name).with_extension("rs"));
            }
        }
    }
    found
}

/// A file of tests needs no more than its name.
pub fn is_tests(file: &Path) -> bool {
    file.ends_with("tests.rs")
}

pub fn sources() -> Vec<PathBuf> {
    files_under(&root().join("src"), "rs")
}

pub fn files_under(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn text(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// As written from the project's root.
pub fn show(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
