//! One TOML value on its way to a Rust value.
//!
//! Every reader takes the value whole or returns a [`Mistake`]. Lists report each bad element by itself.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::expand::{Unexpandable, expand};
use super::{Document, Mistake, number};
use crate::types::{Invalid, parse_duration, parse_size};

#[derive(Clone, Copy)]
pub(in crate::config) struct Value<'a> {
    pub(super) document: &'a Document<'a>,
    pub(super) item: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub fn span(&self) -> Range<usize> {
        self.item.span()
    }

    pub fn item(&self) -> &'a DeValue<'a> {
        self.item.get_ref()
    }

    /// With its variables replaced.
    pub fn text(&self) -> Result<Cow<'a, str>, Mistake> {
        let DeValue::String(text) = self.item() else {
            return Err(self.wrong_type("a string"));
        };
        expand(text, self.document.outside.env).map_err(|error| self.unexpandable(&error))
    }

    pub fn string(&self) -> Result<String, Mistake> {
        self.text().map(Cow::into_owned)
    }

    pub fn parsed<T: FromStr<Err = Invalid>>(&self) -> Result<T, Mistake> {
        self.text()?.parse().map_err(Mistake::from)
    }

    pub fn boolean(&self) -> Result<bool, Mistake> {
        match self.item() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    pub fn integer<N>(&self, range: RangeInclusive<N>) -> Result<N, Mistake>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        match self.item() {
            DeValue::Integer(value) => number::within(value, &range),
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    /// A number with or without a fraction.
    pub fn number(&self, range: RangeInclusive<f64>) -> Result<f64, Mistake> {
        let text = match self.item() {
            DeValue::Integer(value) => value.as_str(),
            DeValue::Float(value) => value.as_str(),
            _ => return Err(self.wrong_type("a number")),
        };
        let number = text.replace('_', "").parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            Mistake::new(format!("{text} is out of range")).help(format!("from {} to {}", range.start(), range.end()))
        })
    }

    pub fn duration(&self) -> Result<Duration, Mistake> {
        match self.item() {
            DeValue::Integer(number) => Err(self.wrong_type("a duration").help(format!("write \"{number}s\""))),
            DeValue::String(_) => Ok(parse_duration(&self.text()?)?),
            _ => Err(self.wrong_type("a duration such as \"30s\"")),
        }
    }

    pub fn duration_above_zero(&self) -> Result<Duration, Mistake> {
        let duration = self.duration()?;
        if duration.is_zero() {
            return Err(Mistake::new("must be longer than 0"));
        }
        Ok(duration)
    }

    pub fn size(&self) -> Result<u64, Mistake> {
        match self.item() {
            DeValue::Integer(number) => Err(self.wrong_type("a size").help(format!("write \"{number}B\""))),
            DeValue::String(_) => Ok(parse_size(&self.text()?)?),
            _ => Err(self.wrong_type("a size such as \"64KiB\"")),
        }
    }

    pub fn path(&self) -> Result<PathBuf, Mistake> {
        let text = self.string()?;
        if text.is_empty() {
            return Err(Mistake::new("must not be empty").help("write the path of a file"));
        }
        Ok(text.into())
    }

    /// `None` for the empty string, which stands for "not set" wherever a default can't be left out.
    pub fn unless_empty<T>(&self, read: impl FnOnce(&Self) -> Result<T, Mistake>) -> Result<Option<T>, Mistake> {
        if self.item().as_str() == Some("") || self.text().is_ok_and(|text| text.is_empty()) {
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Mistake> {
        let text = self.text()?;
        let chosen = words.iter().find(|(word, _)| *word == text);
        chosen.map(|(_, value)| *value).ok_or_else(|| {
            Mistake::unknown(format!("{text:?} is not a choice"), &text, words.iter().map(|(word, _)| *word))
        })
    }

    /// The elements that could be read; the others are reported here, under `key`.
    pub fn list<T>(&self, key: &str, read: impl Fn(&Self) -> Result<T, Mistake>) -> Result<Vec<T>, Mistake> {
        let elements = self.elements()?;
        Ok(elements.filter_map(|element| element.or_report(key, &read)).collect())
    }

    pub fn elements(&self) -> Result<impl Iterator<Item = Self> + use<'a>, Mistake> {
        let document = self.document;
        match self.item() {
            DeValue::Array(items) => Ok(items.iter().map(move |item| Self { document, item })),
            DeValue::String(text) => Err(self.wrong_type("a list").help(format!("write [{text:?}]"))),
            _ => Err(self.wrong_type("a list")),
        }
    }

    pub fn or_report<T>(&self, key: &str, read: impl FnOnce(&Self) -> Result<T, Mistake>) -> Option<T> {
        match read(self) {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.document.mistake(key, self.span(), mistake);
                None
            }
        }
    }

    pub fn wrong_type(&self, wanted: &str) -> Mistake {
        let found = match self.item() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let mistake = Mistake::new(format!("expected {wanted}, found {found}"));
        match self.item() {
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) if wanted == "a string" => {
                mistake.help(format!("write \"{}\"", self.source()))
            }
            DeValue::String(text) if !wanted.starts_with("a table") => Self::unquoted(mistake, text),
            _ => mistake,
        }
    }

    /// The file has `"5"` and a number was expected.
    fn unquoted(mistake: Mistake, text: &str) -> Mistake {
        if text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok() {
            return mistake.help(format!("leave the quotes out: {text}"));
        }
        mistake
    }

    /// As written in the file.
    fn source(&self) -> &'a str {
        self.document.text.get(self.span()).unwrap_or_default()
    }

    fn unexpandable(&self, error: &Unexpandable<'_>) -> Mistake {
        let (mut mistake, part) = match error {
            Unexpandable::Unset { name } => (
                Mistake::new(format!("the environment variable {name} is not set"))
                    .help(format!("set it, or give a default: \"${{{name}:-default}}\"")),
                format!("${{{name}}}"),
            ),
            Unexpandable::Malformed { from } => (
                Mistake::new("\"${\" without a variable's name and \"}\"")
                    .help("write \"${NAME}\" or \"${NAME:-default}\"; \"$${\" is a literal \"${\""),
                (*from).to_owned(),
            ),
        };
        let start = self.source().find(&part).map(|at| self.span().start + at);
        mistake.span = start.map(|start| start..start + part.len());
        mistake
    }
}
