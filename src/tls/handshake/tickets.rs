//! Session tickets (RFC 5077; RFC 8446, 4.6.1): keys that change every twelve hours and outlive a reload.
//!
//! One set of keys for the process. A ticket opens only under the rules it was given under (what was asked of the client,
//! which roots counted): they are sealed into it, so that no session is resumed past a `client_ca` that has come since.
//! Keys never touch the disk, where they would undo forward secrecy; an upgrade takes them along by [`TicketKeys::export`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

/// A key seals for this long, and opens for as long again.
pub const PERIOD: Duration = Duration::from_hours(12);

const NAME_LEN: usize = 16;
const KEY_LEN: usize = 32;
/// A larger ticket is not ours: the largest thing that a session holds is a chain of client certificates.
const MOST: usize = 64 << 10;

/// The keys of the process. Cheap to read, replaced as a whole.
pub struct TicketKeys {
    ring: ArcSwap<Ring>,
}

struct Ring {
    current: TicketKey,
    previous: Option<TicketKey>,
}

#[derive(Clone)]
struct TicketKey {
    name: [u8; NAME_LEN],
    secret: [u8; KEY_LEN],
    aead: Arc<RandomizedNonceKey>,
    since: SystemTime,
}

/// What one process hands to the next: as secret as a private key.
#[derive(Serialize, Deserialize)]
pub struct ExportedKeys {
    current: ExportedKey,
    previous: Option<ExportedKey>,
}

#[derive(Serialize, Deserialize)]
struct ExportedKey {
    name: [u8; NAME_LEN],
    secret: [u8; KEY_LEN],
    /// Unix time.
    since: u64,
}

/// The system gave no randomness, or refused the key.
#[derive(Debug, thiserror::Error)]
#[error("no key for session tickets: the system gave no randomness")]
pub struct NoKey;

impl TicketKeys {
    pub fn new(now: SystemTime) -> Result<Self, NoKey> {
        Ok(Self { ring: ArcSwap::from_pointee(Ring { current: TicketKey::generate(now)?, previous: None }) })
    }

    /// Brings in a new key if the current one has had its time, and forgets the one before. Asked every few minutes; a
    /// failure leaves what is there.
    pub fn rotate(&self, now: SystemTime) -> Result<(), NoKey> {
        let ring = self.ring.load();
        if ring.current.since > now {
            // The clock was set back: the key's time begins now, or it would seal until the clock is there again.
            let current = TicketKey { since: now, ..ring.current.clone() };
            self.ring.store(Arc::new(Ring { current, previous: ring.previous.clone() }));
            return Ok(());
        }
        let periods = ring.current.age(now).as_secs() / PERIOD.as_secs();
        if periods == 0 {
            return Ok(());
        }
        // After a long sleep the current one is too old to open anything, too.
        let previous = (periods < 2).then(|| ring.current.clone());
        self.ring.store(Arc::new(Ring { current: TicketKey::generate(now)?, previous }));
        Ok(())
    }

    /// For the process that takes over.
    pub fn export(&self) -> ExportedKeys {
        let ring = self.ring.load();
        ExportedKeys { current: ring.current.export(), previous: ring.previous.as_ref().map(TicketKey::export) }
    }

    /// Goes on with another process's keys; their age goes on too.
    pub fn import(keys: &ExportedKeys) -> Result<Self, NoKey> {
        let previous = keys.previous.as_ref().map(TicketKey::import).transpose()?;
        Ok(Self { ring: ArcSwap::from_pointee(Ring { current: TicketKey::import(&keys.current)?, previous }) })
    }

    fn seal(&self, rules: &[u8; 32], plain: &[u8]) -> Option<Vec<u8>> {
        let ring = self.ring.load();
        let key = &ring.current;
        let mut sealed = plain.to_vec();
        let nonce = key.aead.seal_in_place_append_tag(Aad::from(rules), &mut sealed).ok()?;
        Some([&key.name[..], nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, rules: &[u8; 32], ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > MOST {
            return None;
        }
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let ring = self.ring.load();
        // Key names are public, so comparing them needs no constant time.
        let key = std::iter::once(&ring.current).chain(&ring.previous).find(|key| key.name == *name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let length = key.aead.open_in_place(nonce, Aad::from(rules), &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

impl TicketKey {
    fn generate(now: SystemTime) -> Result<Self, NoKey> {
        let (mut name, mut secret) = ([0; NAME_LEN], [0; KEY_LEN]);
        rand::fill(&mut name).map_err(|_| NoKey)?;
        rand::fill(&mut secret).map_err(|_| NoKey)?;
        Self::from_parts(name, secret, now)
    }

    fn from_parts(name: [u8; NAME_LEN], secret: [u8; KEY_LEN], since: SystemTime) -> Result<Self, NoKey> {
        let aead = RandomizedNonceKey::new(&AES_256_GCM, &secret).map_err(|_| NoKey)?;
        Ok(Self { name, secret, aead: Arc::new(aead), since })
    }

    fn export(&self) -> ExportedKey {
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        ExportedKey { name: self.name, secret: self.secret, since }
    }

    fn import(key: &ExportedKey) -> Result<Self, NoKey> {
        Self::from_parts(key.name, key.secret, SystemTime::UNIX_EPOCH + Duration::from_secs(key.since))
    }

    /// A clock that was set back makes it young, not old.
    fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.since).unwrap_or_default()
    }
}

/// The keys under one set of rules: what a TLS config holds.
pub(super) struct Tickets {
    pub keys: Arc<TicketKeys>,
    /// A digest of the rules.
    pub rules: [u8; 32],
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal(&self.rules, plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.keys.open(&self.rules, ticket)
    }
}

/// Shows nothing of the keys.
impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: [u8; 32] = [1; 32];

    fn at(hours: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000 + hours)
    }

    #[test]
    fn a_ticket_opens_for_one_more_period_than_its_key_seals() {
        let keys = TicketKeys::new(at(0)).unwrap();
        let ticket = keys.seal(&RULES, b"session").unwrap();
        for (hour, opens) in [(0, true), (11, true), (12, true), (23, true), (24, false)] {
            keys.rotate(at(hour)).unwrap();
            assert_eq!(keys.open(&RULES, &ticket).is_some(), opens, "after {hour} h");
        }
        assert_eq!(keys.open(&RULES, &keys.seal(&RULES, b"new").unwrap()).unwrap(), b"new");
    }

    #[test]
    fn a_key_that_slept_through_its_time_opens_nothing() {
        let keys = TicketKeys::new(at(0)).unwrap();
        let ticket = keys.seal(&RULES, b"session").unwrap();
        keys.rotate(at(30)).unwrap();
        assert!(keys.open(&RULES, &ticket).is_none());
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_key_everlasting() {
        let keys = TicketKeys::new(at(10_000)).unwrap();
        let ticket = keys.seal(&RULES, b"session").unwrap();
        for (hour, opens) in [(0, true), (12, true), (24, false)] {
            keys.rotate(at(hour)).unwrap();
            assert_eq!(keys.open(&RULES, &ticket).is_some(), opens, "after {hour} h");
        }
    }

    #[test]
    fn other_rules_open_nothing() {
        let keys = TicketKeys::new(at(0)).unwrap();
        let ticket = keys.seal(&RULES, b"session").unwrap();
        assert!(keys.open(&[2; 32], &ticket).is_none());
        assert_eq!(keys.open(&RULES, &ticket).unwrap(), b"session");
    }

    #[test]
    fn what_was_tampered_with_opens_nothing() {
        let keys = TicketKeys::new(at(0)).unwrap();
        let ticket = keys.seal(&RULES, b"session").unwrap();
        for index in 0..ticket.len() {
            let mut bent = ticket.clone();
            bent[index] ^= 1;
            assert!(keys.open(&RULES, &bent).is_none(), "byte {index}");
            assert!(keys.open(&RULES, &ticket[..index]).is_none(), "{index} bytes");
        }
        assert!(keys.open(&RULES, &vec![0; MOST + 1]).is_none());
    }

    #[test]
    fn the_next_process_opens_what_this_one_has_sealed() {
        let keys = TicketKeys::new(at(0)).unwrap();
        let old = keys.seal(&RULES, b"old").unwrap();
        keys.rotate(at(13)).unwrap();
        let new = keys.seal(&RULES, b"new").unwrap();
        let text = serde_json::to_string(&keys.export()).unwrap();
        let next = TicketKeys::import(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(next.open(&RULES, &old).unwrap(), b"old");
        assert_eq!(next.open(&RULES, &new).unwrap(), b"new");
        next.rotate(at(25)).unwrap();
        assert!(next.open(&RULES, &old).is_none(), "its age counts on");
        assert!(next.open(&RULES, &new).is_some());
    }
}
