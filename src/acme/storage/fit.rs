//! Whether a certificate or an order at hand is what the config asks for now. Pure.

use std::collections::BTreeSet;

use aws_lc_rs::digest;

use super::folder::{CertificateMeta, PendingOrder};
use crate::config::Acme;
use crate::tls::WantedCertificate;

/// Whether a certificate is what the config asks for.
pub fn fits(meta: &CertificateMeta, wanted: &WantedCertificate, settings: &Acme) -> bool {
    let is_ours = meta.directory == settings.directory || settings.fallback.as_ref() == Some(&meta.directory);
    is_same_set(&meta.names, &wanted.names) && meta.profile == settings.profile && is_ours
}

/// In any order: the first name is the site's, and a certificate has no first name.
fn is_same_set(a: &[String], b: &[String]) -> bool {
    BTreeSet::from_iter(a) == BTreeSet::from_iter(b)
}

/// Whether an order was for other names, or for another authority. One with records is still of use: it says what to take back.
pub fn is_forsaken(pending: &PendingOrder, wanted: &WantedCertificate, settings: &Acme) -> bool {
    let is_ours = pending.directory == settings.directory || settings.fallback.as_ref() == Some(&pending.directory);
    let is_wanted = is_ours && pending.profile == settings.profile && is_same_set(&pending.names, &wanted.names);
    !is_wanted && pending.records.is_empty()
}

/// Changes with anything that the outcome of an attempt may depend on.
pub fn fingerprint(wanted: &WantedCertificate, settings: &Acme) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(format!("{:?} {settings:?}", wanted.names).as_bytes());
    context.update(settings.eab.as_ref().map_or(&[], |eab| &eab.hmac_key));
    context.finish().as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
