//! What the tests are built from: the daemon ([`Edge`]), its config ([`Setup`]), backends ([`Origin`], [`H2Origin`]), clients
//! ([`Client`], [`h2::H2`]) and whole crowds of them ([`Load`]), name servers ([`Dns`]), authorities ([`Pebble`], [`Authority`]),
//! a screen and a keyboard ([`Terminal`]).

pub mod alpn;
pub mod authority;
pub mod certs;
pub mod client;
pub mod crowd;
pub mod dead;
pub mod dns;
pub mod edge;
pub mod frames;
pub mod h2;
pub mod load;
pub mod origin;
pub mod pebble;
pub mod setup;
pub mod steps;
pub mod terminal;
pub mod tls;
pub mod tools;
pub mod wait;
pub mod wire;

pub use alpn::AlpnOrigin;
pub use authority::{Authority, Instead};
pub use client::{Answer, Client};
pub use crowd::Crowd;
pub use dead::DeadAddress;
pub use dns::Dns;
pub use edge::Edge;
pub use h2::H2Origin;
pub use load::{Load, Turn, colors, serves_load};
pub use origin::{Origin, Then};
pub use pebble::{Names, Pebble};
pub use rustix::process::Signal;
pub use setup::{Setup, own_address};
pub use steps::Steps;
pub use terminal::Terminal;
pub use tls::{Identity, Root};
pub use tools::is_there;
pub use wait::{PATIENCE, wait_for, wait_until};

use std::time::Duration;

pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Checks what every answer carries, from a backend or from the proxy itself.
pub fn assert_has_our_fields(answer: &Answer) {
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "SAMEORIGIN"),
        ("referrer-policy", "strict-origin-when-cross-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(answer.get(name), Some(value), "{name} of {:?}", answer.head);
    }
    assert_eq!(answer.id().len(), 36, "{:?}", answer.head);
    assert_eq!(answer.head.all("x-request-id").len(), 1, "{:?}", answer.head);
}
