//! The addresses of `[server]` that are bound, and those that can't be bound together.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use crate::config::diagnostic::Diagnostic;
use crate::config::read::Table;
use crate::types::ListenAddr;

/// A listener, the key it was asked for by, and where; `None` when by default.
pub(super) struct Claim {
    pub key: &'static str,
    pub address: ListenAddr,
    pub span: Option<Range<usize>>,
}

/// The listeners of `http` or `https`: the port on every address, unless the file says otherwise.
pub(super) fn read(t: &mut Table<'_>, key: &'static str, port: u16) -> Vec<Claim> {
    let everywhere = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    let by_default = || vec![Claim { key, address: ListenAddr::Tcp(everywhere), span: None }];
    t.list(key, |v| Ok(Claim { key, address: v.parsed()?, span: Some(v.span()) })).unwrap_or_else(by_default)
}

pub(super) fn addresses(claims: &[Claim]) -> Vec<ListenAddr> {
    claims.iter().map(|claim| claim.address.clone()).collect()
}

pub(super) fn report_conflicts(t: &Table<'_>, claims: &[Claim]) {
    for (index, second) in claims.iter().enumerate() {
        let is_in_the_way = |first: &&Claim| conflict(&first.address, &second.address);
        if let Some(first) = claims[..index].iter().find(is_in_the_way) {
            report(t, first, second);
        }
    }
}

fn report(t: &Table<'_>, first: &Claim, second: &Claim) {
    // A default listener has no line in the file: then the other one is to be changed.
    let Some(here) = second.span.clone().or_else(|| first.span.clone()) else {
        return;
    };
    let message = format!("server: {} {} is in the way of {} {}", second.key, second.address, first.key, first.address);
    let found = Diagnostic::error(message).at(here.clone()).help(way_out(first, second));
    t.document().report(match first.span.clone().filter(|first| *first != here) {
        Some(first) => found.related(first, "first claimed here"),
        None => found,
    });
}

fn way_out(first: &Claim, second: &Claim) -> &'static str {
    let is_everywhere = |claim: &Claim| match claim.address {
        ListenAddr::Tcp(address) => address.ip() == Ipv6Addr::UNSPECIFIED,
        ListenAddr::Unix(_) => false,
    };
    if first.address != second.address && (is_everywhere(first) || is_everywhere(second)) {
        "\"[::]\" takes every address, IPv4 too: leave the other out, or choose another port"
    } else {
        "choose another port, or leave one of them out"
    }
}

/// Whether both can't be bound at once. Port 0 is a free one each time.
fn conflict(a: &ListenAddr, b: &ListenAddr) -> bool {
    match (a, b) {
        (ListenAddr::Unix(a), ListenAddr::Unix(b)) => a == b,
        (ListenAddr::Tcp(a), ListenAddr::Tcp(b)) => a.port() != 0 && a.port() == b.port() && overlap(a.ip(), b.ip()),
        _ => false,
    }
}

fn overlap(a: IpAddr, b: IpAddr) -> bool {
    let takes = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V6(wide) => wide.is_unspecified(),
        IpAddr::V4(wide) => wide.is_unspecified() && narrow.is_ipv4(),
    };
    a == b || takes(a, b) || takes(b, a)
}
