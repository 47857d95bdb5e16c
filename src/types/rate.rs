//! `"10r/s"`: how many requests in how long.
//!
//! The limiter (GCRA) turns it into an interval; the definition is nginx's `rate=` with hours added.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::Invalid;

/// At least one request per second, minute or hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Never 0.
    pub requests: u32,
    /// One second, minute or hour.
    pub per: Duration,
}

const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 3600)];

impl FromStr for Rate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(format!("{text:?} is not a rate"));
        let shape = || invalid().help("requests per second, minute or hour: \"10r/s\", \"5r/m\", \"1000r/h\"");
        let (count, unit) = text.split_once('/').ok_or_else(shape)?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(shape)?;
        let Some(number) = count.strip_suffix('r') else {
            return Err(match count.parse::<u32>() {
                Ok(_) => invalid().help(format!("write \"{count}r/{unit}\"")),
                Err(_) => shape(),
            });
        };
        match number.parse() {
            Ok(0) => Err(Invalid::new("a rate of 0 lets nothing pass")
                .help("to refuse everyone, use deny = [\"0.0.0.0/0\", \"::/0\"]")),
            Ok(requests) => Ok(Self { requests, per: Duration::from_secs(*seconds) }),
            Err(_) => Err(shape()),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        match UNITS.iter().find(|(_, unit)| *unit == seconds) {
            Some((unit, _)) => write!(f, "{}r/{unit}", self.requests),
            None => write!(f, "{}r/{seconds}s", self.requests),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_back_what_it_prints() {
        for (text, requests, seconds) in [("10r/s", 10, 1), ("5r/m", 5, 60), ("1000r/h", 1000, 3600)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.requests, rate.per), (requests, Duration::from_secs(seconds)));
            assert_eq!(rate.to_string(), text);
        }
    }

    #[test]
    fn the_error_about_a_rate_shows_a_good_one() {
        for (text, help) in
            [("10/s", "write \"10r/s\""), ("10r", "10r/s"), ("0r/s", "deny"), ("-1r/s", "5r/m"), ("10r/d", "1000r/h")]
        {
            let error = text.parse::<Rate>().unwrap_err();
            assert!(error.to_string().contains(help), "{text}: {error}");
        }
    }
}
