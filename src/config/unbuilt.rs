//! Keys in the reference that this version does not act upon.
//!
//! Owns the one table of them. A key is accepted with the value that changes nothing, and refused with any other:
//! never silently ignored. Building a feature means deleting its row.

use toml::de::DeValue;

struct UnbuiltRow {
    section: &'static str,
    key: &'static str,
    refused: UnbuiltKey,
}

/// Which values are refused.
enum UnbuiltKey {
    /// All: there is no value that changes nothing.
    All,
    /// All but this text.
    Unless(&'static str),
}

use UnbuiltKey::{All, Unless};

const ROWS: &[UnbuiltRow] = &[
    row("site", "root", All),
    row("site", "cache_control", Unless("")),
    row("site", "basic_auth_file", Unless("")),
    row("site", "forward_auth", Unless("")),
    row("site.route", "root", All),
    row("site.route", "cache_control", Unless("")),
    row("site.route", "basic_auth_file", Unless("")),
    row("site.route", "forward_auth", Unless("")),
];

/// Whether the key is one of a row that nothing else reads.
pub(super) fn is_key(section: &str, key: &str) -> bool {
    find(section, key).is_some()
}

pub(super) fn keys(section: &str) -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter(move |row| row.section == section).map(|row| row.key)
}

pub(super) fn refuses(section: &str, key: &str, value: &DeValue<'_>) -> bool {
    find(section, key).is_some_and(|row| match row.refused {
        All => true,
        Unless(text) => value.as_str() != Some(text),
    })
}

pub(super) fn help(section: &str, key: &str) -> String {
    match find(section, key).map(|row| &row.refused) {
        Some(Unless(text)) => format!("leave it out, or set it to {text:?}"),
        _ => "leave it out".to_owned(),
    }
}

#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ROWS.iter().map(|row| (row.section, row.key))
}

const fn row(section: &'static str, key: &'static str, refused: UnbuiltKey) -> UnbuiltRow {
    UnbuiltRow { section, key, refused }
}

fn find(section: &str, key: &str) -> Option<&'static UnbuiltRow> {
    ROWS.iter().find(|row| row.section == section && row.key == key)
}
