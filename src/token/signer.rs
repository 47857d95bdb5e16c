//! The key and the arithmetic: HMAC-SHA256 (RFC 2104), cut to 128 bits. A signature holds for one purpose, one service and one
//! payload.

use std::path::Path;
use std::{fs, io};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand;

use crate::state::{set_aside, write_durably};

const KEY_LENGTH: usize = 32;

/// Bytes of a signature that are kept.
const CUT: usize = 16;

/// What a signature is for. A signature for another purpose is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Preview,
    Canary,
    Sticky,
}

/// Signs, and verifies its signatures over restarts too.
pub struct Signer {
    key: hmac::Key,
}

/// A signature as text: lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 2 * CUT]);

impl Signer {
    /// Signs with the key in `token.key`, which is made when there is none. A damaged key is set aside, and every link and cookie
    /// that was signed with it becomes void. Blocks on the disk.
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

    pub(super) fn new(key: &[u8]) -> Self {
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
    fn a_signature_is_hmac_sha_256() {
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
}
