//! What is wrong with a chain that can still be served: missing or misplaced issuers, issuers that have expired.
//!
//! A root is not expected in it. Whether clients trust the last issuer can't be known here.

use std::path::Path;
use std::time::SystemTime;

use x509_parser::prelude::X509Certificate;

use crate::tls::name::rfc4514;

/// A line for each thing to mend. Names are compared, signatures are not.
pub(super) fn warnings(path: &Path, chain: &[X509Certificate<'_>], now: SystemTime) -> Vec<String> {
    let path = path.display();
    let mut found = Vec::new();
    for (index, pair) in chain.windows(2).enumerate() {
        let (cert, next) = (&pair[0], &pair[1]);
        if cert.issuer().as_raw() == next.subject().as_raw() {
            continue;
        }
        let number = index + 1;
        let issuer = rfc4514(cert.issuer());
        match chain.iter().position(|other| other.subject().as_raw() == cert.issuer().as_raw()) {
            Some(at) if at != index => found.push(format!(
                "{path} is in the wrong order: the issuer of its certificate {number} is certificate {}; put each \
                 behind the one it has issued",
                at + 1
            )),
            Some(_) => {}
            None => found.push(missing(&path, number, &issuer)),
        }
    }
    if let [only] = chain
        && !is_self_signed(only)
    {
        found.push(missing(&path, 1, &rfc4514(only.issuer())));
    }
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    for (index, issuer) in chain.iter().enumerate().skip(1) {
        if u64::try_from(issuer.validity().not_after.timestamp()).unwrap_or_default() < seconds {
            found.push(format!(
                "{path}: its certificate {} ({}) has expired: get the chain anew from your authority",
                index + 1,
                rfc4514(issuer.subject())
            ));
        }
    }
    found
}

fn missing(path: &impl std::fmt::Display, number: usize, issuer: &str) -> String {
    format!(
        "{path}: the issuer of its certificate {number} is missing ({issuer}): clients that don't have it can't verify \
         the site; append it, unless it is a root that they trust"
    )
}

fn is_self_signed(cert: &X509Certificate<'_>) -> bool {
    cert.issuer().as_raw() == cert.subject().as_raw()
}
