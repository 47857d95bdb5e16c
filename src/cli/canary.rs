//! `edgectl canary`: a share of the clients goes to the other colour, until it is changed.

use super::context::CommandContext;
use super::operation::{self, GateAndDrain};
use super::terminal::CommandFailure;
use crate::admin::wire::{CanaryBody, Written};
use crate::types::Color;

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "edgectl canary [OPTIONS] <COLOR> <PERCENT> [SERVICE]\n       edgectl canary [OPTIONS] off [SERVICE]",
    after_long_help = "Examples:
  edgectl canary green 5        five per cent of the clients, kept by a signed cookie
  edgectl canary green 25       more of them; those who are there stay
  edgectl switch green          all of them
  edgectl canary off            none"
)]
pub struct Args {
    /// A colour and a share in per cent (0 to 100), or off; then the service, where several have colours
    #[arg(required = true, num_args = 1..=3, value_name = "WORDS")]
    words: Vec<String>,
    /// Return without waiting for the drain, which goes on in the daemon
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    how: GateAndDrain,
}

/// What the words mean.
#[derive(Debug, PartialEq, Eq)]
enum CanaryWords {
    Share { color: Color, percent: u8, service: Option<String> },
    Off { service: Option<String> },
}

impl Args {
    /// Exit 4 when the gate was not passed, 5 when a switch runs or the generation differs; nothing has changed then.
    pub fn run(self, context: &CommandContext) -> Result<(), CommandFailure> {
        let GateAndDrain { timeout, drain, change } = self.how;
        let common = CanaryBody {
            timeout: timeout.map(Written::from),
            drain: drain.map(Written::from),
            wait: !self.no_wait,
            if_generation: change.if_generation,
            reason: change.reason,
            ..CanaryBody::default()
        };
        let (service, body) = match meant(&self.words)? {
            CanaryWords::Share { color, percent, service } => {
                (service, CanaryBody { color: Some(color.into()), percent: Some(percent), ..common })
            }
            CanaryWords::Off { service } => (service, CanaryBody { off: true, ..common }),
        };
        operation::run(context, service.as_deref(), &body)
    }
}

fn meant(words: &[String]) -> Result<CanaryWords, CommandFailure> {
    match words {
        [off] if off == "off" => Ok(CanaryWords::Off { service: None }),
        [off, service] | [service, off] if off == "off" => Ok(CanaryWords::Off { service: Some(service.clone()) }),
        [color, percent] => share(color, percent, None),
        [service, color, percent] if color.parse::<Color>().is_ok() && percent_of(percent).is_some() => {
            share(color, percent, Some(service.clone()))
        }
        [color, percent, service] => share(color, percent, Some(service.clone())),
        _ => Err(CommandFailure::usage("say a colour and a share in per cent, or off: edgectl canary green 5")),
    }
}

fn share(color: &str, percent: &str, service: Option<String>) -> Result<CanaryWords, CommandFailure> {
    let color = color.parse::<Color>().map_err(|error| CommandFailure::usage(error.to_string()))?;
    let not_a_share = || CommandFailure::usage(format!("{percent:?} is not a share in per cent, 0 to 100"));
    Ok(CanaryWords::Share { color, percent: percent_of(percent).ok_or_else(not_a_share)?, service })
}

/// `5`, or `5%`.
fn percent_of(text: &str) -> Option<u8> {
    text.strip_suffix('%').unwrap_or(text).parse().ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &str) -> Result<CanaryWords, String> {
        meant(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).map_err(|failure| failure.text)
    }

    #[test]
    fn a_share_or_off_with_the_service_on_either_side() {
        let green = |percent, service: Option<&str>| {
            Ok(CanaryWords::Share { color: Color::Green, percent, service: service.map(str::to_owned) })
        };
        assert_eq!(of("green 5"), green(5, None));
        assert_eq!(of("green 100%"), green(100, None));
        assert_eq!(of("green 0 app"), green(0, Some("app")));
        assert_eq!(of("app green 0"), green(0, Some("app")));
        assert_eq!(of("off"), Ok(CanaryWords::Off { service: None }));
        assert_eq!(of("off app"), Ok(CanaryWords::Off { service: Some("app".to_owned()) }));
        assert!(of("green 101").unwrap_err().contains("\"101\""));
        assert!(of("grene 5").unwrap_err().contains("\"grene\""));
        assert!(of("green").unwrap_err().contains("edgectl canary green 5"));
    }
}
