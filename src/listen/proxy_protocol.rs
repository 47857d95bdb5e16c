//! The PROXY protocol, versions 1 and 2, from load balancers that must send it (HAProxy's `proxy-protocol.txt`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Section 2.1: the longest line of version 1, with its CRLF.
const V1_MAX: usize = 107;
/// Version 2 addresses with their extensions; more is refused.
const V2_MAX: usize = 4096;

/// Reads exactly the header, not a byte more. `None`: a health check of the balancer itself (LOCAL or UNKNOWN).
pub async fn read_proxy_header<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Option<SocketAddr>> {
    // The shortest header of all is `PROXY UNKNOWN\r\n`, 15 bytes; version 2 has 16 before its addresses.
    let mut start = [0; 15];
    io.read_exact(&mut start).await?;
    if start.starts_with(V2_SIGNATURE) { read_v2(io, &start).await } else { read_v1(io, &start).await }
}

async fn read_v1<T: AsyncRead + Unpin>(io: &mut T, start: &[u8]) -> io::Result<Option<SocketAddr>> {
    if !start.starts_with(b"PROXY ") {
        return Err(invalid("a PROXY header was expected"));
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_MAX {
            return Err(invalid("the PROXY line is too long"));
        }
        line.push(io.read_u8().await?);
    }
    parse_v1(&line).ok_or_else(|| invalid("the PROXY line is malformed"))
}

#[allow(clippy::option_option, reason = "malformed, a check of the balancer, or an address: three outcomes")]
fn parse_v1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let text = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let fields: Vec<&str> = text.split(' ').collect();
    match fields.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", "TCP4", source, _, port, _] => {
            Some(Some((source.parse::<Ipv4Addr>().ok()?, port.parse().ok()?).into()))
        }
        ["PROXY", "TCP6", source, _, port, _] => {
            Some(Some((source.parse::<Ipv6Addr>().ok()?, port.parse().ok()?).into()))
        }
        _ => None,
    }
}

async fn read_v2<T: AsyncRead + Unpin>(io: &mut T, start: &[u8; 15]) -> io::Result<Option<SocketAddr>> {
    let (command, family) = (start[12], start[13]);
    let length = usize::from(u16::from_be_bytes([start[14], io.read_u8().await?]));
    if command >> 4 != 2 || length > V2_MAX {
        return Err(invalid("the PROXY header is malformed"));
    }
    let mut rest = vec![0; length];
    io.read_exact(&mut rest).await?;
    match command & 0x0f {
        0 => Ok(None),
        1 => source_v2(family, &rest).ok_or_else(|| invalid("the PROXY header is malformed")),
        _ => Err(invalid("the PROXY command is unknown")),
    }
}

#[allow(clippy::option_option, reason = "as parse_v1")]
fn source_v2(family: u8, addresses: &[u8]) -> Option<Option<SocketAddr>> {
    let port = |at: usize| Some(u16::from_be_bytes(addresses.get(at..at + 2)?.try_into().ok()?));
    match family >> 4 {
        1 => {
            let ip: [u8; 4] = addresses.get(..4)?.try_into().ok()?;
            Some(Some((IpAddr::from(ip), port(8)?).into()))
        }
        2 => {
            let ip: [u8; 16] = addresses.get(..16)?.try_into().ok()?;
            Some(Some((IpAddr::from(ip), port(32)?).into()))
        }
        _ => Some(None),
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(bytes: &[u8]) -> io::Result<(Option<SocketAddr>, Vec<u8>)> {
        let mut io = bytes;
        let source = read_proxy_header(&mut io).await?;
        Ok((source, io.to_vec()))
    }

    #[tokio::test]
    async fn reads_exactly_the_header() {
        let v1 = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\nGET /";
        assert_eq!(parse(v1).await.unwrap(), (Some("192.0.2.7:4711".parse().unwrap()), b"GET /".to_vec()));
        let unknown = b"PROXY UNKNOWN\r\nrest";
        assert_eq!(parse(unknown).await.unwrap(), (None, b"rest".to_vec()));
        let mut v2 = V2_SIGNATURE.to_vec();
        v2.extend([0x21, 0x11, 0, 12, 192, 0, 2, 9, 192, 0, 2, 1, 0x12, 0x67, 1, 187]);
        v2.extend(b"rest");
        assert_eq!(parse(&v2).await.unwrap(), (Some("192.0.2.9:4711".parse().unwrap()), b"rest".to_vec()));
    }

    #[tokio::test]
    async fn bytes_that_are_no_header_are_refused() {
        for bad in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"PROXY TCP4 nonsense\r\n", b"PROXY TCP4 "] {
            assert!(parse(bad).await.is_err());
        }
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        assert!(parse(&endless).await.is_err());
    }
}
