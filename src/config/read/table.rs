//! A TOML table that hands out its keys, once each.
//!
//! When it is dropped, keys that were not read are reported: unknown ones with what was likely meant, and known ones that this
//! version does not act upon, by the rows of [`unbuilt`].

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Document, Mistake, Unknown, Value};
use crate::config::diagnostic::Diagnostic;
use crate::config::unbuilt;

pub(in crate::config) struct Table<'a> {
    document: &'a Document<'a>,
    /// Of a table in the file; none where it was left out and only defaults are read.
    entries: Option<&'a DeTable<'a>>,
    span: Range<usize>,
    /// What kind of table it is: `service.NAME`. Keys are known by it.
    section: &'static str,
    /// As messages name it: `service.app`.
    path: String,
    taken: BTreeSet<&'static str>,
}

/// A table under a name that the file chose, as `[zone.api]`.
pub(in crate::config) struct Named<'a> {
    pub name: &'a str,
    pub name_span: Range<usize>,
    pub table: Table<'a>,
}

impl<'a> Table<'a> {
    pub fn root(document: &'a Document<'a>, entries: &'a DeTable<'a>) -> Self {
        Self::new(document, Some(entries), 0..0, "", String::new())
    }

    fn new(
        document: &'a Document<'a>,
        entries: Option<&'a DeTable<'a>>,
        span: Range<usize>,
        section: &'static str,
        path: String,
    ) -> Self {
        document.known.borrow_mut().entry(section).or_default();
        Self { document, entries, span, section, path, taken: BTreeSet::new() }
    }

    /// The header, or the braces of an inline table.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub fn document(&self) -> &'a Document<'a> {
        self.document
    }

    pub fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// The path of a key, for messages.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Where the key's name stands, if it is given.
    pub fn key_span(&self, key: &str) -> Option<Range<usize>> {
        self.entries?.get_key_value(key).map(|(key, _)| key.span())
    }

    /// The value, unless it is absent or something that this version can't do, which is reported.
    pub fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.taken.insert(key);
        self.document.known.borrow_mut().entry(self.section).or_default().insert(key);
        let item = self.entries?.get(key)?;
        if unbuilt::refuses(self.section, key, item.get_ref()) {
            self.report_unbuilt(key, item.span());
            return None;
        }
        Some(Value { document: self.document, item })
    }

    /// The value, or the default when it is absent or wrong; what is wrong is reported.
    pub fn read<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&Value<'a>) -> Result<T, Mistake>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    pub fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&Value<'a>) -> Result<T, Mistake>) -> Option<T> {
        let value = self.take(key)?;
        value.or_report(&self.path_of(key), read)
    }

    /// As [`Self::optional`], but a missing key is a mistake too.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        help: &str,
        read: impl FnOnce(&Value<'a>) -> Result<T, Mistake>,
    ) -> Option<T> {
        if !self.has(key) {
            self.error(format!("`{key}` is missing"), self.span(), help);
        }
        self.optional(key, read)
    }

    /// `None` when absent. Elements that are wrong are reported and left out.
    pub fn list<T>(&mut self, key: &'static str, read: impl Fn(&Value<'a>) -> Result<T, Mistake>) -> Option<Vec<T>> {
        let path = self.path_of(key);
        self.optional(key, |value| value.list(&path, read))
    }

    /// For lists that need an element.
    pub fn report_if_empty(&self, key: &str, help: &str) {
        let item = self.entries.and_then(|entries| entries.get(key));
        if let Some(item) = item.filter(|item| item.get_ref().as_array().is_some_and(|list| list.is_empty())) {
            self.error(format!("`{key}` is empty"), item.span(), help);
        }
    }

    /// A table within this one; an empty one when it is absent, so that its defaults are read the same way.
    pub fn table(&mut self, key: &'static str, section: &'static str) -> Self {
        self.given_table(key, section)
            .unwrap_or_else(|| Self::new(self.document, None, self.span(), section, self.path_of(key)))
    }

    pub fn given_table(&mut self, key: &'static str, section: &'static str) -> Option<Self> {
        let value = self.take(key)?;
        self.inner(value.item, section, self.path_of(key))
    }

    /// `[[key]]`, in the file's order.
    pub fn tables(&mut self, key: &'static str, section: &'static str) -> Vec<Self> {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            self.document.known.borrow_mut().entry(section).or_default();
            return Vec::new();
        };
        if let DeValue::Table(_) = value.item() {
            let mistake = Mistake::new("expected a list of tables, found a table");
            self.document.mistake(&path, value.span(), mistake.help(format!("write [[{path}]], with two brackets")));
            return Vec::new();
        }
        let elements = value.or_report(&path, Value::elements).into_iter().flatten();
        elements.filter_map(|element| self.inner(element.item, section, path.clone())).collect()
    }

    /// `[key.NAME]`, in the file's order.
    pub fn named_tables(&mut self, key: &'static str, section: &'static str) -> Vec<Named<'a>> {
        let path = self.path_of(key);
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let DeValue::Table(entries) = value.item() else {
            let mistake = value.wrong_type("a table").help(format!("write [{path}.NAME]"));
            self.document.mistake(&path, value.span(), mistake);
            return Vec::new();
        };
        let mut names: Vec<_> = entries.iter().collect();
        names.sort_by_key(|(name, _)| name.span().start);
        let named = names.into_iter().filter_map(|(name, item)| {
            let table = self.inner(item, section, format!("{path}.{}", name.get_ref()))?;
            Some(Named { name: name.get_ref(), name_span: name.span(), table })
        });
        named.collect()
    }

    /// The keys that were not read, as values under names that the file chose: for `[headers.NAME]`.
    pub fn take_rest(&mut self) -> Vec<(&'a str, Range<usize>, Value<'a>)> {
        let entries = self.entries.take().into_iter().flat_map(DeTable::iter);
        let rest = entries.filter(|(key, _)| !self.taken.contains(key.get_ref().as_ref()));
        let document = self.document;
        let mut rest: Vec<_> =
            rest.map(|(key, item)| (key.get_ref().as_ref(), key.span(), Value { document, item })).collect();
        rest.sort_by_key(|(_, span, _)| span.start);
        rest
    }

    pub fn error(&self, message: impl AsRef<str>, span: Range<usize>, help: &str) {
        let message = match self.path.as_str() {
            "" => message.as_ref().to_owned(),
            path => format!("{path}: {}", message.as_ref()),
        };
        let found = Diagnostic::error(message).at(span);
        self.document.report(if help.is_empty() { found } else { found.help(help) });
    }

    pub fn warn(&self, message: impl AsRef<str>, span: Range<usize>, help: &str) {
        let message = format!("{}: {}", self.path, message.as_ref());
        self.document.report(Diagnostic::warning(message).at(span).help(help));
    }

    fn inner(&self, item: &'a Spanned<DeValue<'a>>, section: &'static str, path: String) -> Option<Self> {
        let value = Value { document: self.document, item };
        match item.get_ref() {
            DeValue::Table(entries) => Some(Self::new(self.document, Some(entries), item.span(), section, path)),
            _ => {
                let key = path.rsplit('.').next().unwrap_or_default();
                let help = format!("write [{path}], or {key} = {{ … }}");
                let mistake = value.wrong_type("a table").help(help);
                self.document.mistake(&path, item.span(), mistake);
                None
            }
        }
    }

    fn report_unbuilt(&self, key: &str, span: Range<usize>) {
        let found = Diagnostic::error(format!("{}: not built yet in this version", self.path_of(key)));
        self.document.report(found.at(span).help(unbuilt::help(self.section, key)));
    }

    fn report_untaken(&self, key: &Spanned<std::borrow::Cow<'a, str>>, item: &Spanned<DeValue<'a>>) {
        if unbuilt::is_key(self.section, key.get_ref()) {
            if unbuilt::refuses(self.section, key.get_ref(), item.get_ref()) {
                self.report_unbuilt(key.get_ref(), key.span().start..item.span().end.max(key.span().end));
            }
            return;
        }
        self.document.unknown(Unknown {
            key: key.get_ref().to_string(),
            span: key.span(),
            section: self.section,
            path: self.path.clone(),
        });
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        for (key, item) in self.entries.into_iter().flat_map(DeTable::iter) {
            if !self.taken.contains(key.get_ref().as_ref()) {
                self.report_untaken(key, item);
            }
        }
    }
}
