//! The nouns of the trade: small values that are valid once they exist.
//!
//! Owns parsing of single values (`"10r/s"`, `"64KiB"`, `"app-blue:8000"`), and the words for one that is wrong
//! ([`Invalid`]). Never reads a file or a socket, nor a clock, but for the one in a new [`RequestId`].
//! The config that is made of them: [`crate::config`].

mod address;
mod color;
mod control;
mod host;
mod invalid;
mod quantity;
mod rate;
mod request_id;
mod tls_version;
mod waker;

pub use address::{BackendAddr, ListenAddr, Scheme};
pub use color::Color;
pub use control::{has_control, is_control};
pub use host::{HostName, HostPattern, certificate_name_covers, normal_name, parent_of, wildcard_parent};
pub use invalid::Invalid;
pub use quantity::{parse_duration, parse_size, show_duration, show_size};
pub use rate::Rate;
pub use request_id::RequestId;
pub use tls_version::TlsVersion;
pub use waker::keep_waker;
