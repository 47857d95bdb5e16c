//! The clock: ours against the authority's. Pure.

use std::time::{Duration, SystemTime};

use super::finding::{Check, Finding, Mark};

const SUSPICIOUS: Duration = Duration::from_secs(5);

const WRONG: Duration = Duration::from_mins(5);

/// `theirs`: the Date of an answer, exact to the second; `ours`: when it was made, as far as we know.
pub fn judge(theirs: Option<SystemTime>, ours: SystemTime) -> Finding {
    let finding = |mark, found: String| Finding::new(Check::Clock, mark, "the clock", found);
    let Some(theirs) = theirs else { return finding(Mark::Skipped, "the directory tells no time".to_owned()) };
    let (apart, way) = match ours.duration_since(theirs) {
        // Their time is cut to the second.
        Ok(ahead) => (ahead.saturating_sub(Duration::from_millis(500)), "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let found = format!("{} s {way} the authority's", apart.as_secs());
    let mark = match apart {
        apart if apart > WRONG => Mark::Fail,
        apart if apart > SUSPICIOUS => Mark::Warn,
        _ => return finding(Mark::Ok, found),
    };
    finding(mark, found).advise("set this machine's clock, and keep it right: NTP (chrony, systemd-timesyncd)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_suspicious_and_minutes_wrong_either_way() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        for (seconds, mark) in [(0, Mark::Ok), (5, Mark::Ok), (7, Mark::Warn), (299, Mark::Warn), (302, Mark::Fail)] {
            let apart = Duration::from_secs(seconds);
            assert_eq!(judge(Some(now - apart), now).mark, mark, "{seconds} s ahead");
            assert_eq!(judge(Some(now + apart), now).mark, mark, "{seconds} s behind");
        }
        assert_eq!(judge(None, now).mark, Mark::Skipped);
    }
}
