//! What we give to clients and have to know again when it comes back: signed with a key that never leaves `state_dir`.
//!
//! Owns the key, the arithmetic (HMAC-SHA256, RFC 2104, cut to 128 bits) and the form of a preview's token. A signature holds
//! for one purpose, one service and one payload. Who hands tokens out: [`crate::admin`]; who meets them: [`crate::http`].

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;

use crate::state::{set_aside, write_durably};
use crate::types::Color;

const KEY_LENGTH: usize = 32;

/// Bytes of a signature that are kept.
const CUT: usize = 16;

/// What a signature is for: one made for another is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Preview,
    Canary,
    Sticky,
}

/// Signs, and knows its signatures again over restarts.
pub struct Signer {
    key: hmac::Key,
}

/// A signature as text: lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 2 * CUT]);

impl Signer {
    /// With the key in `token.key`, which is made when there is none. One that is damaged is set aside, and every link and
    /// cookie signed with it is void. Blocks on the disk.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("token.key");
        match fs::read(&path) {
            Ok(key) if key.len() == KEY_LENGTH => return Ok(Self::new(&key)),
            Ok(damaged) => {
                let aside = set_aside(&path)?;
                tracing::error!(
                    aside = %aside.display(),
                    bytes = damaged.len(),
                    "THE KEY OF TOKENS IS DAMAGED and was moved aside: preview links, and the cookies of canaries and \
                     sticky clients, that were handed out are void"
                );
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut key = [0; KEY_LENGTH];
        rand::fill(&mut key).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        write_durably(&path, &key)?;
        Ok(Self::new(&key))
    }

    fn new(key: &[u8]) -> Self {
        Self { key: hmac::Key::new(HMAC_SHA256, key) }
    }

    pub fn sign(&self, purpose: Purpose, service: &str, payload: &str) -> Signature {
        let mut context = hmac::Context::with_key(&self.key);
        // Each part ends where it says: no two triples read the same.
        context.update(purpose.tag());
        context.update(&(service.len() as u64).to_be_bytes());
        context.update(service.as_bytes());
        context.update(payload.as_bytes());
        Signature::of(context.sign().as_ref())
    }

    /// Takes the same time wherever the two differ.
    pub fn verify(&self, purpose: Purpose, service: &str, payload: &str, signature: &str) -> bool {
        let own = self.sign(purpose, service, payload);
        verify_slices_are_equal(&own.0, signature.as_bytes()).is_ok()
    }
}

impl Signature {
    fn of(tag: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; 2 * CUT];
        for (pair, byte) in text.chunks_exact_mut(2).zip(tag) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Purpose {
    /// All of one length.
    fn tag(self) -> &'static [u8; 8] {
        match self {
            Self::Preview => b"preview\0",
            Self::Canary => b"canary\0\0",
            Self::Sticky => b"sticky\0\0",
        }
    }
}

/// A look at one colour, whatever serves, until it expires: `green.1767225600.SIGNATURE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preview {
    pub color: Color,
    /// Unix time, in seconds.
    pub expires: u64,
}

impl Preview {
    /// In a URL as in a cookie, nothing of it needs escaping.
    pub fn token(&self, signer: &Signer, service: &str) -> String {
        let payload = format!("{}.{}", self.color, self.expires);
        let signature = signer.sign(Purpose::Preview, service, &payload);
        format!("{payload}.{}", signature.as_str())
    }

    /// `None`: forged, expired, or for another service.
    pub fn read(token: &str, signer: &Signer, service: &str, now: SystemTime) -> Option<Self> {
        let (payload, signature) = token.rsplit_once('.')?;
        let (color, expires) = payload.split_once('.')?;
        let read = Self { color: color.parse().ok()?, expires: expires.parse().ok()? };
        let is_ours = signer.verify(Purpose::Preview, service, payload, signature);
        (is_ours && !read.left(now).is_zero()).then_some(read)
    }

    pub fn left(&self, now: SystemTime) -> Duration {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        Duration::from_secs(self.expires).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_survives_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let first = Signer::open(folder.path()).unwrap().sign(Purpose::Preview, "app", "green.1");
        assert!(Signer::open(folder.path()).unwrap().verify(Purpose::Preview, "app", "green.1", first.as_str()));
        let mode = fs::metadata(folder.path().join("token.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(first.as_str().len(), 32);
    }

    #[test]
    fn a_damaged_key_is_set_aside_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("token.key"), b"short").unwrap();
        let signature = Signer::open(folder.path()).unwrap().sign(Purpose::Sticky, "app", "x");
        assert!(Signer::open(folder.path()).unwrap().verify(Purpose::Sticky, "app", "x", signature.as_str()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the old one is kept");
    }

    #[test]
    fn it_is_hmac_sha_256() {
        // RFC 4231, test case 2, cut.
        let key = hmac::Key::new(HMAC_SHA256, b"Jefe");
        let tag = hmac::sign(&key, b"what do ya want for nothing?");
        assert_eq!(Signature::of(tag.as_ref()).as_str(), "5bdcc146bf60754e6a042426089575c7");
    }

    #[test]
    fn a_signature_holds_for_one_purpose_one_service_and_one_payload() {
        let signer = Signer::new(&[7; KEY_LENGTH]);
        let signed = signer.sign(Purpose::Canary, "app", "1.2");
        let verify = |purpose, service, payload| signer.verify(purpose, service, payload, signed.as_str());
        assert!(verify(Purpose::Canary, "app", "1.2"));
        assert!(!verify(Purpose::Sticky, "app", "1.2"));
        assert!(!verify(Purpose::Canary, "app1", ".2"));
        assert!(!verify(Purpose::Canary, "ap", "p1.2"));
        assert!(!verify(Purpose::Canary, "app", "1.3"));
        assert!(!signer.verify(Purpose::Canary, "app", "1.2", ""));
        assert!(!signer.verify(Purpose::Canary, "app", "1.2", &signed.as_str()[..30]));
        assert!(!Signer::new(&[8; KEY_LENGTH]).verify(Purpose::Canary, "app", "1.2", signed.as_str()));
    }

    #[test]
    fn a_preview_is_read_until_it_expires_and_for_its_service_alone() {
        let signer = Signer::new(&[7; KEY_LENGTH]);
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
