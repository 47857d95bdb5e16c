//! Runs `tests/config/*.txt`: a config, a line of ten dashes, and what is to be said about it.
//!
//! Nothing below the dashes: the config is valid and raises no warning. `UPDATE_GOLDEN=1` writes what is said now.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use super::{Diagnostics, Loaded, parse};

const DASHES: &str = "----------\n";

#[test]
fn every_config_gets_the_diagnostics_it_expects() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let files = files();
    assert!(files.len() >= 18, "the golden files are missing");
    let mut failures = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let (input, expected) = text.split_once(DASHES).unwrap_or((&text, ""));
        let said = said_about(input);
        if update {
            std::fs::write(&file, format!("{input}{DASHES}{said}")).unwrap();
        } else if said != expected {
            failures.push(format!("{}\n--- expected\n{expected}\n--- said\n{said}", file.display()));
        }
    }
    assert!(failures.is_empty(), "{}\nUPDATE_GOLDEN=1 accepts what is said", failures.join("\n"));
}

/// The name of a file tells whether its config is valid.
#[test]
fn only_configs_called_valid_are_taken() {
    for file in files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let (input, _) = text.split_once(DASHES).unwrap();
        let valid = file.file_name().unwrap().to_str().unwrap().starts_with("valid-");
        assert_eq!(parse("edge.toml", input, &env).is_ok(), valid, "{}", file.display());
    }
}

proptest! {
    /// Whatever is typed into a valid file, it is judged and the judgement can be shown.
    #[test]
    fn no_text_is_too_strange_to_be_judged(at in any::<Index>(), cut in 0..30_usize, typed in TYPED) {
        let mut text: Vec<char> = include_str!("../../config/edge.toml").chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, typed.chars());
        let text: String = text.into_iter().collect();
        if let Err(found) = parse("edge.toml", &text, &env) {
            prop_assert!(!found.render(true).is_empty());
            prop_assert!(serde_json::to_string(&found).is_ok());
        }
    }
}

/// Bits of TOML, and what is not.
const TYPED: &str = r#"([\[\]{}=".,$#:\n\\ ]|[a-z0-9]{1,4}|\PC){0,8}"#;

fn said_about(input: &str) -> String {
    let (Ok(Loaded { warnings: found, .. }) | Err(found)): Result<Loaded, Diagnostics> =
        parse("edge.toml", input, &env);
    let text = found.render(false);
    if text.is_empty() { text } else { text + "\n" }
}

fn env(name: &str) -> Option<String> {
    (name == "DOMAIN").then(|| "shop.test".to_owned())
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}
