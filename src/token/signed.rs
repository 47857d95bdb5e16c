//! The form of what we sign: `A.B.SIGNATURE`. In a URL as in a cookie, nothing of it needs escaping.

use std::fmt::Display;

use super::signer::{Purpose, Signer};

/// Neither part holds a dot.
pub(super) fn signed(signer: &Signer, purpose: Purpose, service: &str, parts: (impl Display, impl Display)) -> String {
    let payload = format!("{}.{}", parts.0, parts.1);
    let signature = signer.sign(purpose, service, &payload);
    format!("{payload}.{}", signature.as_str())
}

/// The two parts as `read` understands them. `None`: forged, made for another purpose or service, or not understood.
pub(super) fn verified<T>(
    text: &str,
    signer: &Signer,
    purpose: Purpose,
    service: &str,
    read: impl FnOnce(&str, &str) -> Option<T>,
) -> Option<T> {
    let (payload, signature) = text.rsplit_once('.')?;
    let (first, second) = payload.split_once('.')?;
    // What can't be understood costs no signature.
    let read = read(first, second)?;
    signer.verify(purpose, service, payload, signature).then_some(read)
}
