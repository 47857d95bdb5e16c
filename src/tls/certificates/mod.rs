//! Which certificate is shown for which name: pairs from files, leafs of the internal CA, what an authority has issued, and one
//! index of them all.

mod chain;
mod files;
mod index;
mod internal_ca;
mod key_type;
mod pairs;
mod store;
mod survey;
mod wanted;

pub use files::{CertificateError, Content, LoadedCertificate, load, parse};
pub use index::{CertSource, CertStatus};
pub use internal_ca::{CaError, InternalCa, Root};
pub use key_type::KeyType;
pub use pairs::unfit_now;
pub use store::{CertStore, IssuedState};
pub use survey::survey;
pub use wanted::WantedCertificate;
