//! Limits: what failed lately, and until when an authority is left alone. Pure.

use std::time::SystemTime;

use super::finding::{Check, Finding, Mark};
use crate::acme::Attempts;
use crate::acme::VALIDATIONS;
use crate::acme::show_time;

/// Let's Encrypt's, as documented; others have their own.
const LETS_ENCRYPT: &str = "Let's Encrypt allows per name 5 failed validations an hour, per set of names 5 certificates a week, \
    per registered domain 50 certificates a week: try with directory = \"letsencrypt-staging\" first";

/// What is on disk of one name.
pub struct PastAttempts {
    pub attempts: Attempts,
    /// Failed validations within the hour.
    pub recent: usize,
    /// Until when they forbid another.
    pub held: Option<SystemTime>,
}

impl PastAttempts {
    pub fn judge(&self, directory: &str, now: SystemTime) -> Finding {
        let finding = |mark, found: String| Finding::new(Check::Limits, mark, "the limits", found);
        let advise = |finding: Finding, advice: &str| match is_lets_encrypt(directory) {
            true => finding.advise(format!("{advice}; {LETS_ENCRYPT}")),
            false => finding.advise(advice),
        };
        let Attempts { failures, next_try, last, .. } = &self.attempts;
        let recent = match self.recent {
            0 => "no failed validation in the last hour".to_owned(),
            recent => format!("{recent} of {VALIDATIONS} failed validations in the last hour"),
        };
        let why =
            last.as_ref().map(|last| format!("; last, {}: {}", show_time(last.at), last.text)).unwrap_or_default();
        if let Some(until) = self.held.filter(|until| *until > now) {
            let found = format!("{recent}: none before {}{why}", show_time(until));
            return advise(
                finding(Mark::Fail, found),
                "mend what is wrong meanwhile: the next attempt comes by itself",
            );
        }
        if *failures > 0 {
            let next = next_try.filter(|next| *next > now).map(|next| format!(", next attempt {}", show_time(next)));
            let found = format!("{failures} failed attempts in a row{}; {recent}{why}", next.unwrap_or_default());
            return advise(finding(Mark::Warn, found), "mend it, then `edgectl certs renew HOST` does not wait");
        }
        finding(Mark::Ok, recent)
    }
}

fn is_lets_encrypt(directory: &str) -> bool {
    let host = directory.split('/').nth(2).unwrap_or_default();
    host == "letsencrypt.org" || host.ends_with(".letsencrypt.org")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::acme::FailureKind;
    use crate::acme::LastFailure;

    #[test]
    fn what_holds_an_order_back_is_said() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let later = Some(now + Duration::from_mins(10));
        let none = || PastAttempts { attempts: Attempts::default(), recent: 0, held: None };
        assert_eq!(none().judge("https://ca.test/dir", now).mark, Mark::Ok);
        let held = PastAttempts { recent: 5, held: later, ..none() };
        let finding = held.judge("https://acme-v02.api.letsencrypt.org/directory", now);
        assert!(finding.mark == Mark::Fail && finding.advice.unwrap().contains("Let's Encrypt"), "{}", finding.found);
        let last = Some(LastFailure { kind: FailureKind::Refused, text: "no".to_owned(), at: now });
        let attempts = Attempts { failures: 2, next_try: later, last, ..Attempts::default() };
        let finding = PastAttempts { attempts, ..none() }.judge("https://letsencrypt.org.evil.test/dir", now);
        assert!(finding.mark == Mark::Warn && finding.found.contains("1970-01-12 13:56:40Z"), "{}", finding.found);
        assert!(!finding.advice.unwrap().contains("Let's Encrypt"));
    }
}
