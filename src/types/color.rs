//! The two colours of a service.
//!
//! Owns their names and their order. Which of them serves is in the service's state, not here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;

/// One of the two pools that a deploy goes back and forth between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    Blue,
    Green,
}

impl Color {
    pub const ALL: [Self; 2] = [Self::Blue, Self::Green];

    /// The colour that a deploy goes to while this one serves.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blue => "blue",
            Self::Green => "green",
        }
    }

    /// 0 for blue, 1 for green: the place in a `[T; 2]` kept per colour.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Blue => 0,
            Self::Green => 1,
        }
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Color {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "blue" => Ok(Self::Blue),
            "green" => Ok(Self::Green),
            _ => Err(Invalid::new(format!("no colour is called {text:?}")).help("use \"blue\" or \"green\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_reads_back_what_it_prints() {
        for color in Color::ALL {
            assert_eq!(color.as_str().parse(), Ok(color));
            assert_eq!(color.other().other(), color);
            assert_eq!(Color::ALL[color.index()], color);
            assert_eq!(serde_json::to_string(&color).unwrap(), format!("\"{color}\""));
        }
    }

    #[test]
    fn the_error_about_a_colour_names_both() {
        let error = "Blue".parse::<Color>().unwrap_err();
        assert_eq!(error.to_string(), "no colour is called \"Blue\"; use \"blue\" or \"green\"");
    }
}
