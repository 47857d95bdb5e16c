//! The token of a preview: a look at one colour, until it expires.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::signed::{signed, verified};
use super::signer::{Purpose, Signer};
use crate::types::Color;

/// A look at one colour, whatever serves, until it expires: `green.1767225600.SIGNATURE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    pub color: Color,
    /// Unix time, in seconds.
    pub expires: u64,
}

impl Preview {
    pub fn token(&self, signer: &Signer, service: &str) -> String {
        signed(signer, Purpose::Preview, service, (self.color, self.expires))
    }

    /// `None`: forged, expired, or for another service.
    pub fn read(token: &str, signer: &Signer, service: &str, now: SystemTime) -> Option<Self> {
        let preview =
            |color: &str, expires: &str| Some(Self { color: color.parse().ok()?, expires: expires.parse().ok()? });
        let read = verified(token, signer, Purpose::Preview, service, preview)?;
        (!read.left(now).is_zero()).then_some(read)
    }

    pub fn left(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.expires).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_read_until_it_expires_and_for_its_service_alone() {
        let signer = Signer::new(&[7; 32]);
        let preview = Preview { color: Color::Green, expires: 1_000 };
        let token = preview.token(&signer, "app");
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let read = |token: &str, service, seconds| Preview::read(token, &signer, service, at(seconds));
        assert_eq!(read(&token, "app", 999), Some(preview));
        assert_eq!(preview.left(at(990)), Duration::from_secs(10));
        assert_eq!(read(&token, "app", 1_000), None, "expired");
        assert_eq!(read(&token, "shop", 1), None, "of another service");
        for (from, to) in [("green", "blue"), ("1000", "9999"), ("1000.", "1000.0")] {
            assert_eq!(read(&token.replacen(from, to, 1), "app", 1), None, "{from} made {to}");
        }
        for nothing in ["", ".", "..", "green", "green.1000", "green.1000."] {
            assert_eq!(read(nothing, "app", 1), None, "{nothing:?}");
        }
    }
}
