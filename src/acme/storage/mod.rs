//! What is on disk of certificates from authorities: a folder for each, the failed validations, and whether what is at hand is
//! what the config asks for.

mod fit;
mod folder;
mod inherit;
mod ledger;

pub use fit::{fingerprint, fits, is_forsaken};
pub use folder::{Attempts, CertificateFolder, CertificateMeta, IssuedCertificate, LastFailure, PendingOrder};
pub use inherit::OtherFolders;
pub use ledger::ValidationLedger;
