//! Circles: the children of a folder, files and folders alike, may know each other in one direction only.
//!
//! A path in the code (`super::conn::Conn`, `crate::http::serve`) is followed to the file that defines what it names, through
//! the `pub use` lines of a `mod.rs`. At every folder on the way, that is an arrow from one child to another. What a `mod.rs`
//! defines by itself makes it a child of its own folder; its `mod` and `pub use` lines alone are no arrows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::sources::{code, root, show, sources, test_modules, text};

/// For each folder, the arrows among its children.
type Arrows = BTreeMap<PathBuf, BTreeMap<String, BTreeSet<String>>>;

/// Every circle, in one line each.
pub fn found() -> Vec<String> {
    let mut all = Vec::new();
    for (folder, arrows) in arrows() {
        let mut told = BTreeSet::new();
        for child in arrows.keys() {
            let Some(way) = way_back(&arrows, child) else { continue };
            if told.insert(way.iter().cloned().collect::<BTreeSet<_>>()) {
                all.push(format!("{}: {}", show(&folder), way.join(" -> ")));
            }
        }
    }
    all
}

/// The shortest way from `child` to itself.
fn way_back(arrows: &BTreeMap<String, BTreeSet<String>>, child: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![child.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in arrows.get(way.last()?).into_iter().flatten() {
                let mut way = way.clone();
                way.push(next.clone());
                if next == child {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push(way);
                }
            }
        }
        ways = longer;
    }
    None
}

fn arrows() -> Arrows {
    let src = root().join("src");
    let test_modules = test_modules();
    let mut arrows = Arrows::new();
    for file in sources().into_iter().filter(|file| !test_modules.contains(file)) {
        for path in paths_in(&product_code(&file)) {
            let Some(target) = resolve(&file, &path).filter(|target| *target != file) else { continue };
            let (from, target) = (in_its_folder(&file), in_its_folder(&target));
            let shared = from.ancestors().skip(1).find(|folder| target.starts_with(folder));
            let Some(folder) = shared.filter(|folder| folder.starts_with(&src)) else { continue };
            let (from, to) = (child_of(folder, &from), child_of(folder, &target));
            arrows.entry(folder.to_owned()).or_default().entry(from).or_default().insert(to);
        }
    }
    arrows
}

/// `forwarded.rs` beside a folder `forwarded` counts as the folder's `mod.rs`.
fn in_its_folder(file: &Path) -> PathBuf {
    let folder = file.with_extension("");
    if folder.is_dir() { folder.join("mod.rs") } else { file.to_owned() }
}

fn child_of(folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).unwrap();
    inside.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The code up to the tests at the end of the file; for a `mod.rs`, without its re-exports.
fn product_code(file: &Path) -> String {
    let lines = code(file).map(|(_, line)| line).take_while(|line| line.trim() != "#[cfg(test)]");
    let text = lines.collect::<Vec<_>>().join("\n");
    if !is_folder_module(file) {
        return text;
    }
    let kept = text.split(';').filter(|statement| {
        let statement = statement.trim();
        !(statement.starts_with("pub") && statement.contains(" use ") || statement.contains("mod "))
    });
    let children: Vec<String> = modules_of(file);
    // A child is named without `self::` in a `mod.rs`; written out, it is a path like any other.
    let mut text = kept.collect::<Vec<_>>().join(";");
    for child in children {
        text = text.replace(&format!("use {child}::"), &format!("use self::{child}::"));
        text = text.replace(&format!(" {child}::"), &format!(" self::{child}::"));
        text = text.replace(&format!("({child}::"), &format!("(self::{child}::"));
    }
    text
}

/// The segments of every path that begins with `crate`, `super` or `self`, brace lists spelt out.
fn paths_in(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            spell_out(&code[at..], &mut Vec::new(), &mut found);
        }
    }
    found
}

fn spell_out(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        let (mut depth, mut begin) = (0, 0);
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    spell_out(&list[begin..at], &mut prefix.clone(), found);
                    begin = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                _ => {}
            }
        }
        return;
    }
    let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if name.is_empty() {
        if !prefix.is_empty() {
            found.push(prefix.clone());
        }
        return;
    }
    let rest = &text[name.len()..];
    prefix.push(name);
    match rest.strip_prefix("::") {
        Some(rest) => spell_out(rest, prefix, found),
        None => found.push(prefix.clone()),
    }
}

/// The file that defines what `path`, written in `file`, names.
fn resolve(file: &Path, path: &[String]) -> Option<PathBuf> {
    let mut module = file.to_owned();
    let mut segments = path.iter().peekable();
    while let Some(segment) = segments.peek() {
        match segment.as_str() {
            "crate" => module = root().join("src/lib.rs"),
            "super" => module = parent_of(&module)?,
            "self" => {}
            _ => break,
        }
        segments.next();
    }
    for segment in segments {
        match child_module(&module, segment) {
            Some(child) => module = child,
            None => return definer(&module, segment, 0),
        }
    }
    Some(module)
}

/// Where `name`, looked for in `module`, is defined: there, or where a re-export leads.
fn definer(module: &Path, name: &str, depth: usize) -> Option<PathBuf> {
    if !is_folder_module(module) || depth > 8 {
        return Some(module.to_owned());
    }
    let lines: String = code(module).map(|(_, line)| line + "\n").collect();
    for statement in lines.split(';').map(str::trim).filter(|s| s.starts_with("pub") && s.contains("use ")) {
        let mut spelt = Vec::new();
        let (_, path) = statement.split_once("use ")?;
        spell_out(path, &mut Vec::new(), &mut spelt);
        for path in spelt.iter().filter(|path| path.last().is_some_and(|last| last == name)) {
            if let Some(child) = path.first().and_then(|first| child_module(module, first)) {
                let inner = path[1..].iter().try_fold(child, |at, part| match child_module(&at, part) {
                    Some(deeper) => Some(deeper),
                    None => definer(&at, part, depth + 1),
                });
                return inner;
            }
        }
    }
    Some(module.to_owned())
}

fn child_module(module: &Path, name: &str) -> Option<PathBuf> {
    let folder = if is_folder_module(module) { module.parent()?.to_owned() } else { module.with_extension("") };
    [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")].into_iter().find(|path| path.exists())
}

fn parent_of(module: &Path) -> Option<PathBuf> {
    let folder = module.parent()?;
    let folder = if is_folder_module(module) { folder.parent()? } else { folder };
    let beside = folder.with_extension("rs");
    let candidates = [folder.join("mod.rs"), folder.join("lib.rs"), beside];
    candidates.into_iter().find(|path| path.exists())
}

fn is_folder_module(file: &Path) -> bool {
    file.ends_with("mod.rs") || file.ends_with("lib.rs")
}

fn modules_of(file: &Path) -> Vec<String> {
    let declared = |line: &str| {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(super) ").to_owned();
        line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')).map(str::to_owned)
    };
    text(file).lines().filter_map(declared).collect()
}
