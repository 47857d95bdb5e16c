//! What is stored of one certificate, in a folder of its own (0700, files 0600): `state_dir/acme/certificates/NAME`.
//!
//! `meta.json` names the generation that counts, `chain.N.pem` and `key.N.pem` are its files: a crash leaves the old
//! certificate or the new one, never a chain without its key. `attempts.json` is what failed, `order.json` an order on its
//! way. Nothing in it says where it is, so a copy works elsewhere. What is damaged is moved aside as a whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::acme::authority::FailureKind;
use crate::acme::schedule::{self, RenewalWindow, Validity};
use crate::acme::stamp;
use crate::config::CertificateFiles;
use crate::state::{create_private_dir, remove_half_written, set_aside, write_durably};
use crate::tls::{self, CertificateError, LoadedCertificate};

pub struct CertificateFolder {
    path: PathBuf,
}

/// Of the certificate that serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateMeta {
    pub generation: u64,
    pub names: Vec<String>,
    pub directory: String,
    #[serde(default)]
    pub profile: Option<String>,
    #[serde(with = "stamp")]
    pub issued: SystemTime,
    /// When the one before was.
    #[serde(default, with = "stamp::option")]
    pub previous: Option<SystemTime>,
    #[serde(with = "stamp")]
    pub renew_at: SystemTime,
    /// What the authority suggested when `renew_at` was drawn.
    #[serde(default)]
    pub window: Option<RenewalWindow>,
}

/// What became of attempts since the last success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    pub failures: u32,
    /// Begun, and not known to have ended.
    pub interrupted: u32,
    #[serde(with = "stamp::option")]
    pub next_try: Option<SystemTime>,
    pub last: Option<LastFailure>,
    /// A digest of the names and settings that these attempts were made with. Attempts made with others don't count.
    pub config: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    pub kind: FailureKind,
    pub text: String,
    #[serde(with = "stamp")]
    pub at: SystemTime,
}

/// An order on its way: enough to go on with it after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingOrder {
    pub url: String,
    pub directory: String,
    pub names: Vec<String>,
    pub profile: Option<String>,
    /// PEM, of the certificate to come.
    pub key: String,
    #[serde(with = "stamp")]
    pub begun: SystemTime,
    /// Records that a hook has set: name and value.
    #[serde(default)]
    pub records: Vec<(String, String)>,
}

/// A certificate with what is known of it.
#[derive(Debug, Clone)]
pub struct IssuedCertificate {
    pub meta: CertificateMeta,
    pub loaded: LoadedCertificate,
}

/// Why a file can't be used.
enum Unusable {
    Damaged(String),
    /// It can't be read now: too many files open, another owner.
    Unread(io::Error),
}

impl From<CertificateError> for Unusable {
    fn from(error: CertificateError) -> Self {
        match &error {
            CertificateError::Read { source, .. } if source.kind() != io::ErrorKind::NotFound => {
                Self::Unread(io::Error::new(source.kind(), error.to_string()))
            }
            _ => Self::Damaged(error.to_string()),
        }
    }
}

impl IssuedCertificate {
    pub fn validity(&self) -> Validity {
        Validity { from: self.loaded.not_before, until: self.loaded.not_after }
    }

    /// As drawn when it was issued or when its authority was asked, and not too soon after that.
    pub fn renew_at(&self) -> SystemTime {
        let CertificateMeta { issued, previous, renew_at, .. } = self.meta;
        renew_at.max(schedule::not_before(issued, previous, self.validity()))
    }
}

impl CertificateFolder {
    /// Made if it isn't there; what a crash left half-written is removed.
    pub fn open(certificates: &Path, name: &str) -> io::Result<Self> {
        let path = certificates.join(file_name(name));
        create_private_dir(&path)?;
        remove_half_written(&path);
        Ok(Self { path })
    }

    /// Every one that is there and has a certificate, by its record; those that were moved aside are not.
    pub fn all(certificates: &Path) -> Vec<(Self, CertificateMeta)> {
        let with_meta = |folder: Self| Some((folder.read::<CertificateMeta>("meta.json").ok()??, folder));
        Self::everyone(certificates).filter_map(with_meta).map(|(meta, folder)| (folder, meta)).collect()
    }

    /// Every one that is there, whatever it has.
    pub fn everyone(certificates: &Path) -> impl Iterator<Item = Self> {
        let paths = fs::read_dir(certificates).into_iter().flatten().flatten().map(|entry| entry.path());
        paths.filter(|path| !path.to_string_lossy().contains(".damaged-")).map(|path| Self { path })
    }

    /// Whether it is this site's.
    pub fn is_of(&self, name: &str) -> bool {
        self.path.file_name().is_some_and(|own| *own == *file_name(name))
    }

    /// Or had one that can't be read now.
    pub fn has_certificate(&self) -> bool {
        self.path.join("meta.json").symlink_metadata().is_ok()
    }

    /// The certificate, if there is one that can be used; nothing is moved.
    pub fn peek(&self) -> Option<IssuedCertificate> {
        self.read_issued().ok().flatten()
    }

    /// Its certificate for another folder.
    pub fn copy(&self, meta: &CertificateMeta, to: &Self) -> io::Result<()> {
        let (chain, key) = self.files(meta.generation);
        to.install(meta, &fs::read_to_string(chain)?, &fs::read_to_string(key)?)
    }

    /// The certificate, if there is one that can be used. A damaged folder is moved aside, and empty from then on; one that
    /// can't be read now is left alone.
    pub fn issued(&self) -> io::Result<Option<IssuedCertificate>> {
        match self.read_issued() {
            Ok(issued) => Ok(issued),
            Err(Unusable::Unread(error)) => Err(error),
            Err(Unusable::Damaged(why)) => {
                let aside = set_aside(&self.path)?;
                create_private_dir(&self.path)?;
                tracing::error!(aside = %aside.display(), why, "a certificate is damaged and was moved aside: it is issued anew");
                Ok(None)
            }
        }
    }

    fn read_issued(&self) -> Result<Option<IssuedCertificate>, Unusable> {
        let Some(meta) = self.read::<CertificateMeta>("meta.json")? else { return Ok(None) };
        let (cert, key) = self.files(meta.generation);
        let loaded = tls::load(&CertificateFiles { cert, key })?;
        Ok(Some(IssuedCertificate { meta, loaded }))
    }

    /// Once it has returned, this certificate counts; the one before is gone.
    pub fn install(&self, meta: &CertificateMeta, chain: &str, key: &str) -> io::Result<()> {
        let (chain_path, key_path) = self.files(meta.generation);
        write_durably(&key_path, key.as_bytes())?;
        write_durably(&chain_path, chain.as_bytes())?;
        self.write("meta.json", meta)?;
        let current = format!(".{}.pem", meta.generation);
        for entry in fs::read_dir(&self.path)?.flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if ["chain.", "key."].iter().any(|kind| name.starts_with(kind)) && !name.ends_with(&current) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    pub fn set_meta(&self, meta: &CertificateMeta) -> io::Result<()> {
        self.write("meta.json", meta)
    }

    pub fn attempts(&self) -> io::Result<Attempts> {
        Ok(self.read_or_aside("attempts.json")?.unwrap_or_default())
    }

    pub fn set_attempts(&self, attempts: &Attempts) -> io::Result<()> {
        self.write("attempts.json", attempts)
    }

    pub fn pending(&self) -> io::Result<Option<PendingOrder>> {
        self.read_or_aside("order.json")
    }

    pub fn has_pending(&self) -> bool {
        self.path.join("order.json").symlink_metadata().is_ok()
    }

    pub fn set_pending(&self, pending: &PendingOrder) -> io::Result<()> {
        self.write("order.json", pending)
    }

    /// Whether an order has become the certificate of this generation: a crash came before it was struck.
    pub fn is_done(&self, pending: &PendingOrder, generation: u64) -> bool {
        fs::read_to_string(self.files(generation).1).is_ok_and(|key| key == pending.key)
    }

    pub fn clear_pending(&self) {
        let _ = fs::remove_file(self.path.join("order.json"));
    }

    /// As errors name them.
    pub fn files(&self, generation: u64) -> (PathBuf, PathBuf) {
        (self.path.join(format!("chain.{generation}.pem")), self.path.join(format!("key.{generation}.pem")))
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
        write_durably(&self.path.join(name), &text)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Unusable> {
        let path = self.path.join(name);
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| Unusable::Damaged(told(&error))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Unusable::Unread(io::Error::new(error.kind(), told(&error)))),
        }
    }

    fn read_or_aside<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match self.read(name) {
            Ok(found) => Ok(found),
            Err(Unusable::Unread(error)) => Err(error),
            Err(Unusable::Damaged(error)) => {
                tracing::error!(error, "damaged, and moved aside");
                let _ = set_aside(&self.path.join(name));
                Ok(None)
            }
        }
    }
}

fn file_name(site: &str) -> String {
    site.replace('*', "_")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn identity(name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn meta(generation: u64) -> CertificateMeta {
        let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        CertificateMeta {
            generation,
            names: vec!["a.example.com".to_owned()],
            directory: "https://ca.test/dir".to_owned(),
            profile: None,
            issued,
            previous: None,
            renew_at: issued,
            window: Some(RenewalWindow { start: issued, end: issued }),
        }
    }

    fn names(folder: &CertificateFolder) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&folder.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_new_certificate_replaces_the_old_one_as_a_whole() {
        let root = tempfile::tempdir().unwrap();
        let folder = CertificateFolder::open(root.path(), "*.example.com").unwrap();
        assert!(folder.path.ends_with("_.example.com"));
        for generation in 1..=2 {
            let (chain, key) = identity("a.example.com");
            folder.install(&meta(generation), &chain, &key).unwrap();
        }
        // As a crash leaves it before the record is written.
        fs::write(folder.path.join("key.3.pem"), "half").unwrap();
        fs::write(folder.path.join("chain.3.tmp"), "half").unwrap();
        let folder = CertificateFolder::open(root.path(), "*.example.com").unwrap();
        let issued = folder.issued().unwrap().unwrap();
        assert_eq!(issued.meta, meta(2));
        assert_eq!(issued.loaded.names, ["a.example.com"]);
        assert_eq!(names(&folder), ["chain.2.pem", "key.2.pem", "key.3.pem", "meta.json"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder.path), mode(&folder.files(2).1)), (0o700, 0o600));
    }

    #[test]
    fn what_is_damaged_is_kept_aside() {
        let root = tempfile::tempdir().unwrap();
        let folder = CertificateFolder::open(root.path(), "a.example.com").unwrap();
        let ((chain, _), (_, other_key)) = (identity("a.example.com"), identity("a.example.com"));
        folder.install(&meta(1), &chain, &other_key).unwrap();
        assert!(folder.issued().unwrap().is_none());
        assert!(names(&folder).is_empty());
        let kept = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(kept.into_iter().any(|name| name.starts_with("a.example.com.damaged-")));
        fs::write(folder.path.join("attempts.json"), "{").unwrap();
        assert_eq!(folder.attempts().unwrap(), Attempts::default());
    }

    #[test]
    fn what_cannot_be_read_now_stays_where_it_is() {
        let root = tempfile::tempdir().unwrap();
        let folder = CertificateFolder::open(root.path(), "a.example.com").unwrap();
        let (chain, key) = identity("a.example.com");
        folder.install(&meta(1), &chain, &key).unwrap();
        folder.set_attempts(&Attempts { failures: 3, ..Attempts::default() }).unwrap();
        for name in ["chain.1.pem", "meta.json", "attempts.json"] {
            let (path, aside) = (folder.path.join(name), root.path().join(name));
            fs::rename(&path, &aside).unwrap();
            // A loop: even root can't read it.
            std::os::unix::fs::symlink(&path, &path).unwrap();
            assert!(folder.issued().is_err() || folder.attempts().is_err(), "{name}");
            fs::rename(&aside, &path).unwrap();
        }
        assert_eq!(folder.issued().unwrap().unwrap().meta, meta(1));
        assert_eq!(folder.attempts().unwrap().failures, 3);
    }
}
