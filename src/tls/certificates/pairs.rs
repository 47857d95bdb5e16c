//! Certificate and key change together or not at all.
//!
//! Of each pair of files the last usable state is held. While one file is newer than the other, damaged or expired, the pair
//! held before goes on, and the fault is logged once.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use jiff::Timestamp;

use super::files::{self, CertificateError, Content, LoadedCertificate};
use crate::config::CertificateFiles;
use crate::tls::digest::sha256;

/// What is held of each pair.
#[derive(Default)]
pub(super) struct Pairs {
    held: HashMap<CertificateFiles, HeldPair>,
}

#[derive(Default)]
struct HeldPair {
    pair: Option<(Prints, LoadedCertificate)>,
    said: Vec<String>,
}

/// What the files held: enough to see a change, and no second copy of a key.
#[derive(Clone, PartialEq, Eq)]
struct Prints {
    cert: [u8; 32],
    key: [u8; 32],
}

impl Prints {
    fn of(content: &Content) -> Self {
        Self { cert: sha256(&content.cert), key: sha256(&content.key) }
    }
}

/// What is to be served of a pair, and what is to be said about it.
pub(super) struct Taken {
    pub loaded: Option<LoadedCertificate>,
    trouble: Option<PairTrouble>,
    pub warnings: Vec<String>,
    /// The pair is another one than at the look before.
    pub is_new: bool,
}

impl Taken {
    pub fn error(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.text.as_str())
    }
}

impl Pairs {
    /// Looks at the files again. Touches the disk.
    pub fn take(&mut self, files: &CertificateFiles, now: SystemTime) -> Taken {
        let held = self.held.entry(files.clone()).or_default();
        let before = held.prints();
        let trouble = held.look(files, now);
        let is_new = held.prints() != before;
        let loaded = held.pair.as_ref().map(|(_, loaded)| loaded.clone());
        let warnings = loaded.as_ref().map(|loaded| loaded.warnings.clone()).unwrap_or_default();
        Taken { loaded, trouble, warnings, is_new }
    }

    /// Logs what is wrong with it, unless that was said before.
    pub fn say(&mut self, files: &CertificateFiles, taken: &Taken) {
        self.held.entry(files.clone()).or_default().say(taken.trouble.as_ref(), &taken.warnings);
    }

    /// Forgets the others.
    pub fn retain(&mut self, files: &[CertificateFiles]) {
        let wanted: HashSet<_> = files.iter().collect();
        self.held.retain(|files, _| wanted.contains(files));
    }
}

impl HeldPair {
    fn prints(&self) -> Option<Prints> {
        self.pair.as_ref().map(|(prints, _)| prints.clone())
    }

    /// Each thing once, for as long as it lasts.
    fn say(&mut self, trouble: Option<&PairTrouble>, warnings: &[String]) {
        let mut now = Vec::new();
        for (text, waits) in trouble
            .map(|trouble| (&trouble.text, trouble.waits))
            .into_iter()
            .chain(warnings.iter().map(|text| (text, true)))
        {
            if !self.said.contains(text) {
                match waits {
                    true => tracing::warn!("{text}"),
                    false => tracing::error!(error = text, "certificate not taken up"),
                }
            }
            now.push(text.clone());
        }
        self.said = now;
    }

    /// Takes up a pair that fits together and is valid; else says why not.
    fn look(&mut self, files: &CertificateFiles, now: SystemTime) -> Option<PairTrouble> {
        match self.changed(files) {
            Ok(None) => self.pair.as_ref().and_then(|(_, loaded)| unfit(files, loaded, now)),
            Ok(Some((prints, loaded))) => {
                let unfit = unfit(files, &loaded, now);
                if unfit.is_some() && self.serves(files, now) {
                    return unfit.map(PairTrouble::consoled);
                }
                self.pair = Some((prints, loaded));
                unfit
            }
            Err(trouble) if self.pair.is_some() => Some(trouble.consoled()),
            Err(trouble) => Some(trouble),
        }
    }

    /// The pair on the disk, if it is another one than the one held.
    fn changed(&self, files: &CertificateFiles) -> Result<Option<(Prints, LoadedCertificate)>, PairTrouble> {
        let content = Content::read(files)?;
        let prints = Prints::of(&content);
        if self.pair.as_ref().is_some_and(|(held, _)| *held == prints) {
            return Ok(None);
        }
        match files::parse(files, &content) {
            Ok(loaded) => Ok(Some((prints, loaded))),
            Err(error) => Err(self.half(files, &prints, &error).unwrap_or_else(|| error.into())),
        }
    }

    /// One file is new, the other is not yet.
    fn half(&self, files: &CertificateFiles, found: &Prints, error: &CertificateError) -> Option<PairTrouble> {
        let (held, _) = self.pair.as_ref().filter(|_| matches!(error, CertificateError::Mismatch { .. }))?;
        let (cert, key) = (files.cert.display(), files.key.display());
        let text = match (held.cert == found.cert, held.key == found.key) {
            (false, true) => format!("waiting for the key: {cert} is new, and {key} does not belong to it"),
            (true, false) => format!("waiting for the certificate: {key} is new, and {cert} does not belong to it"),
            _ => return None,
        };
        Some(PairTrouble { text, waits: true })
    }

    fn serves(&self, files: &CertificateFiles, now: SystemTime) -> bool {
        self.pair.as_ref().is_some_and(|(_, loaded)| unfit(files, loaded, now).is_none())
    }
}

/// What is wrong with a pair, and whether the missing half may still be written.
struct PairTrouble {
    text: String,
    waits: bool,
}

impl PairTrouble {
    fn consoled(self) -> Self {
        Self { text: format!("{}; the pair before goes on", self.text), ..self }
    }
}

impl From<CertificateError> for PairTrouble {
    fn from(error: CertificateError) -> Self {
        Self { text: error.to_string(), waits: false }
    }
}

/// As text, for who only looks.
pub fn unfit_now(files: &CertificateFiles, loaded: &LoadedCertificate) -> Option<String> {
    unfit(files, loaded, SystemTime::now()).map(|trouble| trouble.text)
}

/// Expired or not valid yet: served only if there is nothing better.
fn unfit(files: &CertificateFiles, loaded: &LoadedCertificate, now: SystemTime) -> Option<PairTrouble> {
    let cert = files.cert.display();
    let text = if loaded.not_after <= now {
        format!("{cert} has expired on {}: clients refuse it, renew it", day(loaded.not_after))
    } else if loaded.not_before > now {
        let clock = "clients refuse it until then; is the clock right?";
        format!("{cert} is not valid before {}: {clock}", day(loaded.not_before))
    } else {
        return None;
    };
    Some(PairTrouble { text, waits: false })
}

fn day(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "a day beyond the calendar".to_owned(), |time| time.to_string())
}
