//! Where a backend is reached, once its name is resolved.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Where a backend is reached, its name already resolved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Tcp(SocketAddr),
    /// One host that is reached by either.
    Both {
        v4: SocketAddr,
        v6: SocketAddr,
    },
    Unix(PathBuf),
}

impl Endpoint {
    /// The addresses without their port; none for a unix socket.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> {
        let (one, other) = match self {
            Self::Tcp(addr) => (Some(addr.ip()), None),
            Self::Both { v4, v6 } => (Some(v4.ip()), Some(v6.ip())),
            Self::Unix(_) => (None, None),
        };
        one.into_iter().chain(other)
    }

    /// What a hash balance tells it apart by: the same on a node without IPv6.
    pub(super) fn identity(&self) -> String {
        match self {
            Self::Both { v4, .. } => v4.to_string(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Both { v4, v6 } => write!(f, "{v4}, {v6}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
