//! Errors, times and what others wrote, as they go into logs and messages: one line each, bounded.

use std::error::Error as StdError;
use std::time::SystemTime;

use jiff::Timestamp;

/// What someone else wrote: without control characters, and no longer than a line of a log.
pub fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().map(clean).take(600).collect()
}

/// An error with its causes.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let next = cause.to_string();
        if !text.contains(&next) {
            text += &format!(": {next}");
        }
        source = cause.source();
    }
    one_line(&text)
}

/// For logs and errors, to the second.
pub fn show_time(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default()
}
