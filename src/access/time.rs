//! The time as text, its seconds made once.
//!
//! A worker logs thousands of lines a second: all but the milliseconds is kept from line to line.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::line::push_digits3;

/// One second's texts.
#[derive(Debug, Default)]
pub(super) struct TimeStamp {
    /// Since 1970. Before the first line the texts are empty.
    second: u64,
    /// `2026-01-31T12:00:00`
    rfc3339: Vec<u8>,
    /// `31/Jan/2026:12:00:00 +0000`
    clf: Vec<u8>,
}

impl TimeStamp {
    /// `2026-01-31T12:00:00.123Z` (RFC 3339, UTC).
    pub(super) fn rfc3339(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        let millis = self.turn_to(time);
        out.extend_from_slice(&self.rfc3339);
        out.push(b'.');
        push_digits3(out, millis);
        out.push(b'Z');
    }

    /// `31/Jan/2026:12:00:00 +0000`, nginx's `$time_local`.
    pub(super) fn clf(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        self.turn_to(time);
        out.extend_from_slice(&self.clf);
    }

    /// `12:00:00.123`
    pub(super) fn clock(&mut self, out: &mut Vec<u8>, time: SystemTime) {
        let millis = self.turn_to(time);
        out.extend_from_slice(self.rfc3339.get(11..).unwrap_or_default());
        out.push(b'.');
        push_digits3(out, millis);
    }

    /// Makes the texts those of `time`; returns its milliseconds.
    fn turn_to(&mut self, time: SystemTime) -> u32 {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        if since.as_secs() != self.second || self.rfc3339.is_empty() {
            self.second = since.as_secs();
            self.make();
        }
        since.subsec_millis()
    }

    fn make(&mut self) {
        let second = i64::try_from(self.second).unwrap_or(i64::MAX);
        let time = Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
        self.rfc3339.clear();
        self.clf.clear();
        // Writing to a Vec does not fail.
        let _ = write!(self.rfc3339, "{}", time.strftime("%Y-%m-%dT%H:%M:%S"));
        let _ = write!(self.clf, "{}", time.strftime("%d/%b/%Y:%H:%M:%S +0000"));
    }
}

#[cfg(test)]
mod tests {
    use super::TimeStamp;
    use std::time::{Duration, UNIX_EPOCH};

    fn rfc3339(stamp: &mut TimeStamp, millis: u64) -> String {
        let mut out = Vec::new();
        stamp.rfc3339(&mut out, UNIX_EPOCH + Duration::from_millis(millis));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_second_follows_the_time() {
        let mut stamp = TimeStamp::default();
        assert_eq!(rfc3339(&mut stamp, 5), "1970-01-01T00:00:00.005Z");
        assert_eq!(rfc3339(&mut stamp, 1_769_860_800_999), "2026-01-31T12:00:00.999Z");
        assert_eq!(rfc3339(&mut stamp, 1_769_860_801_000), "2026-01-31T12:00:01.000Z");
        assert_eq!(rfc3339(&mut stamp, 1_769_860_800_040), "2026-01-31T12:00:00.040Z");
    }

    #[test]
    fn nginx_and_the_clock_read_as_expected() {
        let (mut stamp, time) = (TimeStamp::default(), UNIX_EPOCH + Duration::from_millis(1_769_860_800_999));
        let (mut clf, mut clock) = (Vec::new(), Vec::new());
        stamp.clf(&mut clf, time);
        stamp.clock(&mut clock, time);
        assert_eq!(clf, b"31/Jan/2026:12:00:00 +0000");
        assert_eq!(clock, b"12:00:00.999");
    }
}
