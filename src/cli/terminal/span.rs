//! Times and durations as people read them.

use std::time::Duration;

use jiff::Timestamp;

/// In UTC, to the second: `2026-03-01 17:02:41Z`.
pub fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// In the largest unit that fits: `12s`, `5m`, `3h`, `40d`. Zero if `then` is in the future.
pub fn since(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A measured time, in about three figures: `312µs`, `48ms`, `1.2s`, `31s`.
pub fn took(span: Duration) -> String {
    let micros = span.as_micros();
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..1_000_000 => format!("{}ms", micros / 1_000),
        1_000_000..10_000_000 => format!("{:.1}s", span.as_secs_f64()),
        _ => format!("{}s", span.as_secs()),
    }
}

/// The same for milliseconds; 0 is `<1ms`.
pub fn took_ms(millis: u64) -> String {
    if millis == 0 { "<1ms".to_owned() } else { took(Duration::from_millis(millis)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_shown_in_the_unit_that_fits() {
        for (micros, text) in [(312, "312µs"), (48_000, "48ms"), (1_240_000, "1.2s"), (31_000_000, "31s")] {
            assert_eq!(took(Duration::from_micros(micros)), text);
        }
        assert_eq!((took_ms(0), took_ms(48)), ("<1ms".to_owned(), "48ms".to_owned()));
        let then = Timestamp::UNIX_EPOCH;
        for (seconds, text) in [(12, "12s"), (300, "5m"), (90_000, "25h"), (3_456_000, "40d")] {
            assert_eq!(since(then, then + Duration::from_secs(seconds)), text);
        }
        assert_eq!(clock(then), "1970-01-01 00:00:00Z");
    }
}
