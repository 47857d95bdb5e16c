//! Whether a name leads back to this process: by http-01 and by tls-alpn-01, as an authority would look.

mod connect;
pub mod handshake;
pub mod plain;
mod verdict;

pub use verdict::{PortAnswer, Reached};
