//! Where a name leads: A and AAAA, as the daemon's own resolver sees them. Pure.

use std::net::{IpAddr, Ipv6Addr};

use super::finding::{Check, Finding, Mark};
use crate::resolve::DnsRecords;

/// What DNS has of a name.
pub struct Addresses {
    pub v4: DnsRecords<IpAddr>,
    pub v6: DnsRecords<IpAddr>,
}

impl Addresses {
    pub fn all(&self) -> Vec<IpAddr> {
        let of = |records: &DnsRecords<IpAddr>| match records {
            DnsRecords::Found(found) => found.clone(),
            _ => Vec::new(),
        };
        [of(&self.v4), of(&self.v6)].concat()
    }

    /// `is_needed`: a challenge is enabled for which the authority connects. `is_private`: the authority is in a private
    /// network itself, and may reach what the internet does not.
    pub fn judge(&self, is_needed: bool, is_private: bool) -> Finding {
        let found = format!("A {}; AAAA {}", shown(&self.v4), shown(&self.v6));
        let finding = |mark| Finding::new(Check::Dns, mark, "DNS, A and AAAA", found.clone());
        let all = self.all();
        if all.is_empty() {
            let bad = if is_needed { Mark::Fail } else { Mark::Warn };
            return finding(bad).advise(match (&self.v4, &self.v6) {
                (DnsRecords::Failed(_), _) | (_, DnsRecords::Failed(_)) => {
                    "the name servers of the zone fail, or the resolver does: see [server] resolvers, DNSSEC, and the zone"
                }
                (DnsRecords::NoName, _) => "make an A record that leads here; mind the spelling",
                _ => "make an A record that leads here",
            });
        }
        if all.iter().any(|ip| is_unroutable(*ip)) {
            let bad = if is_private { Mark::Warn } else { Mark::Fail };
            let finding = finding(if is_needed { bad } else { Mark::Warn });
            return match is_private {
                true => finding.advise("private addresses: right if the authority is in the same network"),
                false => {
                    finding.advise("the authority can't reach private addresses: publish public ones, or use dns-01")
                }
            };
        }
        if matches!(self.v4, DnsRecords::Failed(_)) || matches!(self.v6, DnsRecords::Failed(_)) {
            return finding(Mark::Warn).advise("half of the look-ups fail: see the zone's name servers");
        }
        finding(Mark::Ok)
    }
}

fn shown(records: &DnsRecords<IpAddr>) -> String {
    match records {
        DnsRecords::Found(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        DnsRecords::NoRecord => "none".to_owned(),
        DnsRecords::NoName => "NXDOMAIN".to_owned(),
        DnsRecords::Failed(why) => why.clone(),
    }
}

/// Not reachable over the internet (RFC 6890).
pub fn is_unroutable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            let is_here = ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || a == 0;
            is_here || is_shared || ip.is_documentation() || ip.is_multicast() || a >= 240
        }
        IpAddr::V6(ip) => {
            let is_here = ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local();
            is_here || ip.is_multicast() || is_documentation(ip)
        }
    }
}

fn is_documentation(ip: Ipv6Addr) -> bool {
    ip.segments()[..2] == [0x2001, 0xdb8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> DnsRecords<IpAddr> {
        DnsRecords::Found(text.split(' ').map(|ip| ip.parse().unwrap()).collect())
    }

    fn mark(v4: DnsRecords<IpAddr>, v6: DnsRecords<IpAddr>, is_private: bool) -> Mark {
        Addresses { v4, v6 }.judge(true, is_private).mark
    }

    #[test]
    fn nothing_and_private_addresses_are_told_apart() {
        let none = || DnsRecords::NoRecord;
        assert_eq!(mark(found("93.184.216.34"), none(), false), Mark::Ok);
        assert_eq!(mark(found("93.184.216.34 10.0.0.1"), none(), false), Mark::Fail);
        assert_eq!(mark(found("10.0.0.1"), none(), true), Mark::Warn);
        assert_eq!(mark(found("93.184.216.34"), found("fd00::1"), false), Mark::Fail);
        assert_eq!(mark(found("93.184.216.34"), DnsRecords::Failed("SERVFAIL".to_owned()), false), Mark::Warn);
        assert_eq!(mark(none(), none(), false), Mark::Fail);
        let nowhere = Addresses { v4: DnsRecords::NoName, v6: DnsRecords::NoName };
        assert_eq!(nowhere.judge(false, false).mark, Mark::Warn, "dns-01 needs no address");
        let finding = nowhere.judge(true, false);
        assert!(finding.mark == Mark::Fail && finding.found.contains("NXDOMAIN"), "{finding:?}");
    }

    #[test]
    fn what_the_internet_does_not_reach() {
        for ip in ["127.16.0.1", "10.1.1.1", "100.64.0.1", "169.254.1.1", "::1", "fe80::1", "::ffff:10.0.0.1"] {
            assert!(is_unroutable(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["93.184.216.34", "100.128.0.1", "2606:2800:220:1::1"] {
            assert!(!is_unroutable(ip.parse().unwrap()), "{ip}");
        }
    }
}
