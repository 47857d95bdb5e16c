//! From a document to [`Config`]: the only place that knows keys, defaults and what fits together.
//!
//! One file per section. Sections are read in the order of their references: zones, services and header tables before
//! the sites that name them. A value that is wrong is reported and replaced by its default, so that the walk goes on;
//! a config is handed out only when no error was found.

mod acme;
mod headers;
mod health;
mod listeners;
mod parse;
mod pools;
mod process;
mod server;
mod service;
mod site;
mod tls;
mod zone;

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use toml::de::{DeTable, Error as SyntaxError};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::read::{Document, Outside, Table};
use super::{Config, Loaded};

pub use server::{DEFAULT_SOCKET, DEFAULT_STATE_DIR};

/// Resolves a text. Reads no file: a `_file` twin of a secret and a folder of pages are errors here, only [`super::load()`] follows them.
///
/// # Errors
/// Every mistake in it; `name` is used as the file's name.
pub fn parse(name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Diagnostics> {
    let file = |_: &Path| Err(io::Error::from(io::ErrorKind::Unsupported));
    resolve(name, text, Outside { env, file: &file, memory: None })
}

pub(super) fn resolve(name: &str, text: &str, outside: Outside<'_>) -> Result<Loaded, Diagnostics> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(Diagnostics::new(name, text, syntax(text, &errors)));
    }
    let document = Document::new(text, outside);
    let config = config(Table::root(&document, root.get_ref()));
    let (found, _) = document.finish();
    let found = Diagnostics::new(name, text, found);
    if found.has_errors() { Err(found) } else { Ok(Loaded { config, warnings: found, files: Vec::new() }) }
}

/// Every key that is read, by section: for the test that pins the reference.
#[cfg(test)]
pub(super) fn known_keys(text: &str) -> super::read::KnownKeys {
    let (root, _) = DeTable::parse_recoverable(text);
    let file = |_: &Path| Ok(String::new());
    let document = Document::new(text, Outside { env: &|_| None, file: &file, memory: None });
    config(Table::root(&document, root.get_ref()));
    document.finish().1
}

fn config(mut root: Table<'_>) -> Config {
    let server = server::read(&mut root);
    let limits = process::limits(&mut root, &server);
    let log = process::log(&mut root);
    let tls = tls::read(&mut root);
    let acme = acme::read(&mut root, &server);
    let zones = zone::read(&mut root);
    let services = service::read(&mut root);
    let policies = headers::read(&mut root);
    let context = site::SiteContext {
        server: &server,
        limits: &limits,
        tls: &tls,
        acme: &acme,
        zones: &zones,
        services: &services,
        policies: &policies,
    };
    let sites = site::read(&mut root, &context);
    Config { server, limits, log, tls: tls.tls, acme, zones, services, sites }
}

/// The first mistake of each line: the parser goes on behind it, and often stumbles over the rest.
fn syntax(text: &str, errors: &[SyntaxError]) -> Vec<Diagnostic> {
    let mut lines = BTreeSet::new();
    let mut found = Vec::new();
    for error in errors {
        let span = error.span().unwrap_or_default();
        let line = text.get(..span.start).map(|before| before.matches('\n').count());
        if lines.insert(line) {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            found.push(Diagnostic::error(message).at(span));
        }
    }
    found
}
