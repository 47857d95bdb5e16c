//! A colour and perhaps a service, in either order: `green`, `green app`, `app green`.

use crate::cli::terminal::CommandFailure;
use crate::types::Color;

/// What was typed.
#[derive(Debug, clap::Args)]
pub struct ColorWords {
    /// blue or green
    #[arg(value_name = "COLOR")]
    first: String,
    /// The service, where several have colours; may stand on either side
    #[arg(value_name = "SERVICE")]
    second: Option<String>,
}

/// What it means.
#[derive(Debug, PartialEq, Eq)]
pub struct ColorTarget {
    pub color: Color,
    pub service: Option<String>,
}

impl ColorTarget {
    /// Finds out which word is the colour. If both are, a service has the name of a colour, and `preferred` says which word is
    /// the colour.
    pub fn parse(words: &ColorWords, preferred: Preferred) -> Result<Self, CommandFailure> {
        let (first, Some(second)) = (&words.first, &words.second) else {
            let color = words.first.parse::<Color>().map_err(|error| CommandFailure::usage(error.to_string()))?;
            return Ok(Self { color, service: None });
        };
        let found = match (first.parse::<Color>(), second.parse::<Color>(), preferred) {
            (Ok(color), Err(_), _) | (Ok(color), Ok(_), Preferred::First) => Ok((color, second)),
            (Err(_), Ok(color), _) | (Ok(_), Ok(color), Preferred::Last) => Ok((color, first)),
            (Err(error), Err(_), Preferred::First) | (Err(_), Err(error), Preferred::Last) => Err(error),
        };
        let (color, service) = found.map_err(|error| CommandFailure::usage(error.to_string()))?;
        Ok(Self { color, service: Some(service.clone()) })
    }
}

/// Where the usage of a command has the colour.
#[derive(Debug, Clone, Copy)]
pub enum Preferred {
    First,
    Last,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str, preferred: Preferred) -> Result<(Color, Option<String>), String> {
        let (first, second) = words.split_once(' ').map_or((words, None), |(first, second)| (first, Some(second)));
        let words = ColorWords { first: first.to_owned(), second: second.map(str::to_owned) };
        let target = ColorTarget::parse(&words, preferred);
        target.map(|t| (t.color, t.service)).map_err(|failure| failure.text)
    }

    #[test]
    fn either_order_is_understood() {
        let green = |service: &str| Ok((Color::Green, Some(service.to_owned())));
        assert_eq!(parse("green", Preferred::First), Ok((Color::Green, None)));
        assert_eq!(parse("green app", Preferred::First), green("app"));
        assert_eq!(parse("app green", Preferred::First), green("app"));
        assert_eq!(parse("green blue", Preferred::First), green("blue"));
        assert_eq!(parse("blue green", Preferred::Last), green("blue"));
    }

    #[test]
    fn the_word_that_should_be_a_colour_is_named() {
        assert!(parse("grene", Preferred::First).unwrap_err().contains("\"grene\""));
        assert!(parse("grene app", Preferred::First).unwrap_err().contains("\"grene\""));
        assert!(parse("app grene", Preferred::Last).unwrap_err().contains("\"grene\""));
    }
}
