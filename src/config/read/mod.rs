//! Reads a TOML document and collects every mistake on the way.
//!
//! Owns the walk: a [`Table`] hands out its keys once each and reports the rest as unknown; a [`Value`] becomes a Rust
//! value or a [`Mistake`]. Knows no key and no default: those are in `resolve`, which asks.

mod expand;
mod mistake;
mod number;
mod table;
mod value;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::Path;

pub(super) use mistake::{Mistake, nearest};
pub(super) use table::{Named, Table};
pub(super) use value::Value;

use super::diagnostic::Diagnostic;
use super::unbuilt;

/// What a file may refer to outside itself.
#[derive(Clone, Copy)]
pub(super) struct Outside<'a> {
    /// An environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The text of a file: of a secret, of a page.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// The process's limit of memory in bytes, if it has one; some defaults follow it.
    pub memory: Option<u64>,
}

/// One file while it is being read.
pub(super) struct Document<'a> {
    text: &'a str,
    outside: Outside<'a>,
    found: RefCell<Vec<Diagnostic>>,
    unknown: RefCell<Vec<Unknown>>,
    /// What "did you mean" chooses from.
    known: RefCell<KnownKeys>,
}

/// Section → keys asked for.
pub(super) type KnownKeys = BTreeMap<&'static str, BTreeSet<&'static str>>;

/// A key that nobody asked for.
struct Unknown {
    key: String,
    span: Range<usize>,
    section: &'static str,
    path: String,
}

impl<'a> Document<'a> {
    pub fn new(text: &'a str, outside: Outside<'a>) -> Self {
        Self { text, outside, found: RefCell::default(), unknown: RefCell::default(), known: RefCell::default() }
    }

    pub fn outside(&self) -> Outside<'a> {
        self.outside
    }

    pub fn report(&self, found: Diagnostic) {
        self.found.borrow_mut().push(found);
    }

    /// Reports a mistake of the value of `key`; `key` is a path such as `limits.headers`.
    pub fn mistake(&self, key: &str, span: Range<usize>, mistake: Mistake) {
        let message = format!("{key}: {}", mistake.message);
        let mut found = Diagnostic::error(message).at(mistake.span.unwrap_or(span));
        found.help = mistake.help;
        found.related = mistake.related;
        self.report(found);
    }

    /// What was found, and every key that was asked for. Unknown keys are judged here, when all sections were read.
    pub fn finish(self) -> (Vec<Diagnostic>, KnownKeys) {
        let known = self.known.into_inner();
        let unknown = self.unknown.into_inner();
        let mut found = self.found.into_inner();
        found.extend(unknown.into_iter().map(|unknown| unknown.diagnose(&known)));
        (found, known)
    }

    fn unknown(&self, unknown: Unknown) {
        self.unknown.borrow_mut().push(unknown);
    }
}

impl Unknown {
    fn diagnose(&self, known: &KnownKeys) -> Diagnostic {
        let key = self.key.as_str();
        let found = Diagnostic::error(match self.path.as_str() {
            "" => format!("unknown section or key `{key}`"),
            path => format!("{path}: unknown key `{key}`"),
        });
        let found = found.at(self.span.clone());
        let here = known.get(self.section).into_iter().flatten().copied();
        let near = nearest(key, here.chain(unbuilt::keys(self.section)));
        let elsewhere = || known.iter().find(|(section, keys)| !section.is_empty() && keys.contains(key));
        match (near, elsewhere()) {
            (_, Some((section, _))) => found.help(format!("`{key}` belongs to [{section}]")),
            (Some(near), None) => found.help(format!("did you mean `{near}`?")),
            (None, None) => found,
        }
    }
}
