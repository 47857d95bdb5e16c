//! Values that are text on the wire.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error, Serialize, Serializer};

use crate::types::{Color, Invalid, parse_duration, show_duration};

/// A value that is read from text, or the mistake in that text.
///
/// The mistake is kept because its answer needs more than the text: the field's name, and a code of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T>(Result<T, Invalid>);

impl<T> Written<T> {
    pub fn read(self) -> Result<T, Invalid> {
        self.0
    }
}

impl<T> From<T> for Written<T> {
    fn from(value: T) -> Self {
        Self(Ok(value))
    }
}

/// How a value is written as text.
trait WireText: Sized {
    fn parse(text: &str) -> Result<Self, Invalid>;
    fn show(&self) -> String;
}

impl WireText for Duration {
    fn parse(text: &str) -> Result<Self, Invalid> {
        parse_duration(text)
    }

    fn show(&self) -> String {
        show_duration(*self)
    }
}

impl WireText for Color {
    fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl<T: WireText> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Ok(value) => serializer.serialize_str(&value.show()),
            Err(invalid) => Err(S::Error::custom(invalid)),
        }
    }
}

impl<'de, T: WireText> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(T::parse(&String::deserialize(deserializer)?)))
    }
}
