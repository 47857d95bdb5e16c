//! A name that moves from one site to another goes on being served by the certificate of the other site's folder, until an
//! authority has issued one for its new site. The certificate is copied or lent: the other folder keeps its own.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::folder::{CertificateFolder, CertificateMeta, IssuedCertificate};
use crate::tls::LoadedCertificate;
use crate::types::certificate_name_covers;

/// The certificates of all folders. Read once, when first needed.
pub struct OtherFolders<'a> {
    certificates: &'a Path,
    all: OnceCell<Vec<(CertificateFolder, CertificateMeta)>>,
}

impl<'a> OtherFolders<'a> {
    pub fn of(certificates: &'a Path) -> Self {
        Self { certificates, all: OnceCell::new() }
    }

    /// If the folder has no certificate, copies the one into it that covers most of these names.
    pub fn hand_on(&self, to: &CertificateFolder, names: &[String]) -> io::Result<()> {
        if to.has_certificate() {
            return Ok(());
        }
        let found = self.fitting(names).next();
        let Some((from, issued)) = found else { return Ok(()) };
        tracing::info!(names = names.join(", "), of = issued.meta.names.join(", "), "a certificate is taken over");
        from.copy(&issued.meta, to)
    }

    /// Certificates for the names that the site's own certificate does not cover, or no longer: names that came from other sites.
    pub fn lend(&self, own: Option<&LoadedCertificate>, names: &[String]) -> Vec<LoadedCertificate> {
        let has = |loaded: Option<&LoadedCertificate>, name: &str| loaded.is_some_and(|loaded| loaded.covers(name));
        let own = own.filter(|loaded| loaded.not_after > SystemTime::now());
        let mut bare: Vec<String> = names.iter().filter(|name| !has(own, name)).cloned().collect();
        let mut lent = Vec::new();
        if bare.is_empty() {
            return lent;
        }
        for (_, issued) in self.fitting(&bare.clone()) {
            let before = bare.len();
            bare.retain(|name| !issued.loaded.covers(name));
            if bare.len() < before {
                lent.push(issued.loaded);
            }
        }
        lent
    }

    /// Valid certificates that cover any of these names; those that cover most of them come first.
    fn fitting(&self, names: &[String]) -> impl Iterator<Item = (&CertificateFolder, IssuedCertificate)> {
        let all = self.all.get_or_init(|| CertificateFolder::all(self.certificates));
        let share = |meta: &CertificateMeta| {
            names.iter().filter(|name| meta.names.iter().any(|has| certificate_name_covers(has, name))).count()
        };
        let mut fitting: Vec<_> = all.iter().map(|(folder, meta)| (share(meta), folder)).collect();
        fitting.retain(|(share, _)| *share > 0);
        fitting.sort_by_key(|(share, _)| Reverse(*share));
        let is_valid = |issued: &IssuedCertificate| issued.loaded.not_after > SystemTime::now();
        fitting.into_iter().filter_map(move |(_, folder)| Some((folder, folder.peek().filter(is_valid)?)))
    }
}
