//! Durations and sizes as people write them: `"500ms"`, `"1h30m"`, `"64KiB"`.
//!
//! Owns the units in both directions. A number without its unit is refused, and so are nginx's `10m` and `64k` for
//! sizes: `m` is a minute here.

use std::fmt::Write;
use std::time::Duration;

use super::Invalid;

/// Names and milliseconds, longest first: what [`show_duration`] prints with.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Names and bytes, largest first.
const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A hundred years. A clock can be asked for "now plus this" without overflow.
const LONGEST_MS: u64 = 100 * 365 * 24 * 3_600_000;

/// `"500ms"`, `"30s"`, `"5m"`, `"24h"`, `"7d"`, `"2w"`, `"1y"` (365 days), one after another (`"1h30m"`), or `"0"`.
///
/// # Errors
/// When a unit is missing or unknown, or the whole is more than 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, Invalid> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    loop {
        let (number, unit, after) = quantity(rest).ok_or_else(|| not_a_duration(text))?;
        let scale = scale_of(unit, &DURATION_UNITS).ok_or_else(|| not_a_duration(text))?;
        total = number
            .checked_mul(scale)
            .and_then(|part| total.checked_add(part))
            .filter(|ms| *ms <= LONGEST_MS)
            .ok_or_else(|| Invalid::new(format!("{text:?} is longer than 100 years")))?;
        rest = after;
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

/// `"512B"`, `"64KiB"`, `"10MiB"`, `"1GiB"`, `"2TiB"`, or `"0"`: bytes.
///
/// # Errors
/// When the unit is missing or not one of these, or the number does not fit 64 bits.
pub fn parse_size(text: &str) -> Result<u64, Invalid> {
    if text == "0" {
        return Ok(0);
    }
    let (number, unit, after) = quantity(text).ok_or_else(|| not_a_size(text))?;
    match scale_of(unit, &SIZE_UNITS) {
        Some(scale) if after.is_empty() => {
            number.checked_mul(scale).ok_or_else(|| Invalid::new(format!("{text:?} is too large a size")))
        }
        _ => Err(not_a_size(text)),
    }
}

/// The shortest exact way to write it, to the millisecond: `1h30m`, `250ms`, `0s`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in DURATION_UNITS {
        if rest >= scale {
            let _ = write!(text, "{}{unit}", rest / scale);
            rest %= scale;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// In the largest unit that divides it: `10MiB`, `1500B`; [`u64::MAX`] is `unbounded`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    if bytes == u64::MAX {
        return "unbounded".to_owned();
    }
    let fits = |(_, scale): &&(&str, u64)| bytes >= *scale && bytes.is_multiple_of(*scale);
    SIZE_UNITS.iter().find(fits).map_or_else(|| "0B".to_owned(), |(unit, scale)| format!("{}{unit}", bytes / scale))
}

/// The leading number, the letters after it, and what follows.
fn quantity(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Some((number.parse().ok()?, unit, rest))
}

fn scale_of(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

fn not_a_duration(text: &str) -> Invalid {
    let error = Invalid::new(format!("{text:?} is not a duration"));
    match quantity(text) {
        Some((number, "", "")) => error.help(format!("add a unit: \"{number}s\", \"{number}ms\", \"{number}m\"")),
        Some((number, unit, "")) if scale_of(&unit.to_ascii_lowercase(), &DURATION_UNITS).is_some() => {
            error.help(format!("write \"{number}{}\"", unit.to_ascii_lowercase()))
        }
        _ => error.help("whole numbers with ms, s, m, h, d, w or y: \"500ms\", \"30s\", \"1h30m\""),
    }
}

fn not_a_size(text: &str) -> Invalid {
    let error = Invalid::new(format!("{text:?} is not a size"));
    let Some((number, unit, "")) = quantity(text) else {
        return error.help("a whole number with B, KiB, MiB, GiB or TiB: \"64KiB\", \"10MiB\"");
    };
    let instead = match unit.to_ascii_lowercase().as_str() {
        "" => {
            return error.help(format!("add a unit: \"{number}B\", \"{number}KiB\", \"{number}MiB\""));
        }
        "b" => "B",
        "k" | "kb" | "kib" => "KiB",
        "m" | "mb" | "mib" => "MiB",
        "g" | "gb" | "gib" => "GiB",
        "t" | "tb" | "tib" => "TiB",
        _ => return error.help("the units are B, KiB, MiB, GiB and TiB: \"64KiB\", \"10MiB\""),
    };
    error.help(format!("write \"{number}{instead}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_their_units() {
        for (text, millis) in
            [("0", 0), ("0s", 0), ("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h30m", 5_400_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("1y"), Ok(Duration::from_hours(365 * 24)));
    }

    #[test]
    fn the_error_about_a_duration_shows_a_good_one() {
        for (text, help) in
            [("30", "\"30s\""), ("5M", "\"5m\""), ("1.5s", "whole numbers"), ("", "whole"), ("-1s", "whole")]
        {
            let error = parse_duration(text).unwrap_err();
            assert!(error.to_string().contains(help), "{text}: {error}");
        }
        assert!(parse_duration("101y").is_err());
        assert!(parse_duration("99999999999999999999s").is_err());
    }

    #[test]
    fn sizes_take_their_units() {
        for (text, bytes) in [("0", 0), ("512B", 512), ("64KiB", 65_536), ("10MiB", 10_485_760), ("1GiB", 1 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn the_error_about_a_size_of_nginx_shows_ours() {
        for (text, help) in
            [("10m", "\"10MiB\""), ("64k", "\"64KiB\""), ("1GB", "\"1GiB\""), ("10", "\"10B\""), ("x", "KiB")]
        {
            let error = parse_size(text).unwrap_err();
            assert!(error.to_string().contains(help), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read() {
        for text in ["1h30m", "250ms", "30s", "1y", "0s"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
        for text in ["10MiB", "1500B", "64KiB", "0B"] {
            assert_eq!(show_size(parse_size(text).unwrap()), text);
        }
    }
}
