//! Where to connect to ([`BackendAddr`]) and where to listen ([`ListenAddr`]).
//!
//! Owns the way addresses are written. Resolves no name and opens no socket: a backend keeps its host as text, because
//! names are resolved again and again while the daemon runs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::{HostName, Invalid};

/// How a backend is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `host:port` or `http://host:port`: HTTP/1.1.
    Http1,
    /// `h2c://host:port`: HTTP/2 with prior knowledge.
    H2c,
    /// `https://host:port`.
    Https,
    /// `unix:/path`: HTTP/1.1.
    Unix,
}

/// One backend as the config names it. Displays as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendAddr {
    /// As written; the `backend` label of logs and metrics.
    pub text: Arc<str>,
    pub scheme: Scheme,
    /// A name or an IP address, IPv6 without brackets; empty for a unix socket.
    pub host: String,
    /// 0 for a unix socket.
    pub port: u16,
    /// The socket, for `Scheme::Unix`.
    pub path: Option<PathBuf>,
}

/// A listening socket. TCP wildcards are always `[::]`, which takes IPv4 too, unless `0.0.0.0` was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What `sun_path` holds, without its closing zero (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

impl BackendAddr {
    /// Whether both lead to the same socket, however they are written.
    #[must_use]
    pub fn is_same_target(&self, other: &Self) -> bool {
        (self.scheme, self.host.as_str(), self.port, &self.path)
            == (other.scheme, other.host.as_str(), other.port, &other.path)
    }
}

impl BackendAddr {
    /// `None` for a name, which has to be looked up, and for a unix socket.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// Whether it has a name that has to be looked up; addresses and unix sockets are what they are.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.scheme != Scheme::Unix && self.socket_addr().is_none()
    }

    /// What a Host header says about it: the port only where the scheme does not imply it.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.scheme, self.port) {
            (Scheme::Unix, _) => "localhost".to_owned(),
            (Scheme::Https, 443) | (Scheme::Http1 | Scheme::H2c, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl FromStr for BackendAddr {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = Some(socket_path(path)?);
            return Ok(Self { text: text.into(), scheme: Scheme::Unix, host: String::new(), port: 0, path });
        }
        let (scheme, default_port, authority) = match text.split_once("://") {
            None => (Scheme::Http1, None, text),
            Some(("http", rest)) => (Scheme::Http1, Some(80), rest),
            Some(("h2c", rest)) => (Scheme::H2c, Some(80), rest),
            Some(("https", rest)) => (Scheme::Https, Some(443), rest),
            Some((other, _)) => return Err(unknown_scheme(text, other)),
        };
        if authority.contains(['/', '?', '#']) {
            return Err(Invalid::new(format!("{text:?} has a path"))
                .help("a backend is a host and a port; see strip_prefix to change paths"));
        }
        let (host, port) = host_and_port(text, authority, default_port)?;
        Ok(Self { text: text.into(), scheme, host, port, path: None })
    }
}

impl fmt::Display for BackendAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for ListenAddr {
    type Err = Invalid;

    /// `"[::]:443"`, `"0.0.0.0:80"`, `"unix:/path"`; and as nginx's `listen`: `"80"`, `":80"`, `"*:80"`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket_path(path).map(Self::Unix);
        }
        let port = text.strip_prefix("*:").or_else(|| text.strip_prefix(':')).unwrap_or(text);
        if let Ok(port) = port.parse() {
            return Ok(Self::Tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)));
        }
        text.parse().map(Self::Tcp).map_err(|_| {
            let error = Invalid::new(format!("{text:?} is not an address to listen on"));
            match text.parse::<IpAddr>() {
                Ok(ip) => error.help(format!("add a port: \"{}\"", SocketAddr::new(ip, 443))),
                Err(_) => error
                    .help("an IP address and a port, such as \"[::]:443\" or \"127.0.0.1:8080\", or \"unix:/path\""),
            }
        })
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn unknown_scheme(text: &str, scheme: &str) -> Invalid {
    let error = Invalid::new(format!("{text:?}: no backend is spoken to by {scheme:?}"));
    match scheme {
        "h2" | "grpc" => error.help("write \"h2c://host:port\", or \"https://host:port\" for TLS"),
        "grpcs" => error.help("write \"https://host:port\""),
        _ => error.help("write \"host:port\", \"h2c://host:port\", \"https://host:port\" or \"unix:/path\""),
    }
}

fn host_and_port(text: &str, authority: &str, default: Option<u16>) -> Result<(String, u16), Invalid> {
    let no_port = || Invalid::new(format!("{text:?} has no port"));
    let (host, port) = match split_port(authority) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if host.is_empty() {
        return Err(Invalid::new(format!("{text:?} has no host")).help("write \"host:port\", such as \"app:8000\""));
    }
    let host: HostName = host.parse()?;
    let port = match port {
        None => default.ok_or_else(|| no_port().help(format!("add one: \"{authority}:8000\"")))?,
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => {
                return Err(Invalid::new(format!("{text:?}: {port:?} is not a port"))
                    .help("a port is a number from 1 to 65535"));
            }
            Ok(port) => port,
        },
    };
    Ok((host.as_str().to_owned(), port))
}

/// Splits at the last colon, unless that one belongs to an IPv6 address.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    let is_bare_ipv6 = authority.parse::<Ipv6Addr>().is_ok();
    authority.rsplit_once(':').filter(|(_, port)| !port.contains(']') && !is_bare_ipv6)
}

fn socket_path(path: &str) -> Result<PathBuf, Invalid> {
    let error = |why: &str| Invalid::new(format!("\"unix:{path}\" {why}"));
    if path.starts_with('@') || path.contains('\0') {
        return Err(error("is an abstract socket").help("use a socket with a path: \"unix:/run/app.sock\""));
    }
    if !Path::new(path).is_absolute() {
        return Err(error("is not an absolute path").help("write \"unix:/run/app.sock\""));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(error("is longer than the 107 bytes that a socket's path may have"));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> (Scheme, String, u16) {
        let address: BackendAddr = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        (address.scheme, address.host, address.port)
    }

    #[test]
    fn backends_are_written_in_five_ways() {
        assert_eq!(backend("app:8000"), (Scheme::Http1, "app".into(), 8000));
        assert_eq!(backend("[::1]:8000"), (Scheme::Http1, "::1".into(), 8000));
        assert_eq!(backend("http://10.0.0.1"), (Scheme::Http1, "10.0.0.1".into(), 80));
        assert_eq!(backend("h2c://app:50051"), (Scheme::H2c, "app".into(), 50051));
        assert_eq!(backend("https://app"), (Scheme::Https, "app".into(), 443));
        let unix: BackendAddr = "unix:/run/app.sock".parse().unwrap();
        assert_eq!((unix.scheme, unix.path), (Scheme::Unix, Some("/run/app.sock".into())));
    }

    #[test]
    fn the_error_about_a_backend_shows_a_good_one() {
        for (text, help) in [
            ("app", "\"app:8000\""),
            ("app:0", "1 to 65535"),
            ("app:99999", "1 to 65535"),
            (":8000", "no host"),
            ("grpc://app:1", "h2c://"),
            ("http://app:1/x", "path"),
            ("unix:@abstract", "with a path"),
            ("unix:run/app", "absolute"),
        ] {
            let error = text.parse::<BackendAddr>().unwrap_err();
            assert!(error.to_string().contains(help), "{text}: {error}");
        }
    }

    #[test]
    fn the_same_target_is_recognized_in_another_spelling() {
        let same = |a: &str, b: &str| a.parse::<BackendAddr>().unwrap().is_same_target(&b.parse().unwrap());
        assert!(same("app:80", "http://App"));
        assert!(!same("app:80", "h2c://app:80"));
    }

    #[test]
    fn listeners_are_written_as_nginx_users_type_them() {
        for (text, shown) in [
            ("[::]:443", "[::]:443"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            (":80", "[::]:80"),
            ("80", "[::]:80"),
            ("*:80", "[::]:80"),
            ("unix:/run/edge.sock", "unix:/run/edge.sock"),
        ] {
            assert_eq!(text.parse::<ListenAddr>().unwrap().to_string(), shown);
        }
        for (text, help) in [("localhost:80", "127.0.0.1:8080"), ("::", "[::]:443"), ("99999", "IP address")] {
            let error = text.parse::<ListenAddr>().unwrap_err();
            assert!(error.to_string().contains(help), "{text}: {error}");
        }
    }
}
