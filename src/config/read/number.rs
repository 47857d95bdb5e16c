//! TOML integers, which may be written in four radixes and with underscores.

use std::ops::RangeInclusive;

use toml::de::DeInteger;

use super::Mistake;

/// The integer, if it is within the range.
pub(super) fn within<N>(integer: &DeInteger<'_>, range: &RangeInclusive<N>) -> Result<N, Mistake>
where
    N: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let digits = integer.as_str();
    let number = i64::from_str_radix(digits, integer.radix()).ok().and_then(|number| N::try_from(number).ok());
    number.filter(|number| range.contains(number)).ok_or_else(|| out_of(digits, range))
}

fn out_of<N: std::fmt::Display>(digits: &str, range: &RangeInclusive<N>) -> Mistake {
    let (first, last) = (range.start().to_string(), range.end().to_string());
    let help = if last.len() > 9 {
        format!("a whole number, {first} or more")
    } else {
        format!("a whole number from {first} to {last}")
    };
    Mistake::new(format!("{digits} is out of range")).help(help)
}
