//! What the answers to several questions come to: both families of addresses, and the names of a search list. Pure.
//!
//! Caution decides: that a name has no address is said only when every server that was asked has said so.

use std::net::IpAddr;

use crate::service::NameAnswer;

/// What DNS has of one kind under a name. It tells the kinds of nothing apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsRecords<T> {
    Found(Vec<T>),
    /// The name is there, without a record of this kind.
    NoRecord,
    /// NXDOMAIN.
    NoName,
    /// SERVFAIL, or no answer.
    Failed(String),
}

/// What a search list without a hit comes to: what is not known outweighs what is not there.
pub(super) fn less_certain<T>(one: DnsRecords<T>, other: DnsRecords<T>) -> DnsRecords<T> {
    use DnsRecords::{Failed, Found, NoName, NoRecord};
    match (one, other) {
        (found @ Found(_), _) | (_, found @ Found(_)) => found,
        (failed @ Failed(_), _) | (_, failed @ Failed(_)) => failed,
        (NoRecord, _) | (_, NoRecord) => NoRecord,
        (NoName, NoName) => NoName,
    }
}

/// Both families of one name.
///
/// NXDOMAIN is about all types of records (RFC 8020), but some servers say it of AAAA alone (RFC 4074, 4.2): it counts as "no
/// record" of its family.
pub(super) fn both(host: &str, v4: DnsRecords<IpAddr>, v6: DnsRecords<IpAddr>) -> NameAnswer {
    use DnsRecords::{Failed, Found, NoName, NoRecord};
    match (v4, v6) {
        (v4 @ Found(_), v6) | (v4, v6 @ Found(_)) => NameAnswer::Found { v4: known(v4), v6: known(v6) },
        (Failed(why), _) | (_, Failed(why)) => NameAnswer::Unknown(format!("name {host:?} does not resolve: {why}")),
        (NoName, _) | (_, NoName) => NameAnswer::Nothing(format!("name {host:?} does not resolve")),
        (NoRecord, NoRecord) => NameAnswer::Nothing(format!("name {host:?} does not resolve: it has no address")),
    }
}

fn known(family: DnsRecords<IpAddr>) -> Option<Vec<IpAddr>> {
    match family {
        DnsRecords::Found(addresses) => Some(addresses),
        DnsRecords::NoRecord | DnsRecords::NoName => Some(Vec::new()),
        DnsRecords::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use DnsRecords::{Failed, Found, NoName, NoRecord};

    use super::*;

    fn servfail() -> DnsRecords<IpAddr> {
        Failed("SERVFAIL".to_owned())
    }

    fn one(address: &str) -> DnsRecords<IpAddr> {
        Found(vec![address.parse().unwrap()])
    }

    #[test]
    fn a_name_has_no_address_only_if_both_families_say_so() {
        let (v4, v6) = (|| one("192.0.2.1"), || one("2001:db8::1"));
        let kind = |a, aaaa| match both("app", a, aaaa) {
            NameAnswer::Found { v4, v6 } => {
                let count = |family: Option<Vec<IpAddr>>| family.map_or("?".to_owned(), |all| all.len().to_string());
                format!("{} {}", count(v4), count(v6))
            }
            NameAnswer::Nothing(_) => "nothing".to_owned(),
            NameAnswer::Unknown(_) => "unknown".to_owned(),
        };
        let rows = [
            (v4(), v6(), "1 1"),
            (v4(), NoRecord, "1 0"),
            (v4(), NoName, "1 0"),
            (v4(), servfail(), "1 ?"),
            (NoRecord, v6(), "0 1"),
            (servfail(), v6(), "? 1"),
            (NoRecord, NoRecord, "nothing"),
            (NoName, NoName, "nothing"),
            (NoRecord, NoName, "nothing"),
            (servfail(), NoRecord, "unknown"),
            (NoName, servfail(), "unknown"),
            (servfail(), servfail(), "unknown"),
        ];
        for (a, aaaa, expected) in rows {
            let asked = format!("{a:?} {aaaa:?}");
            assert_eq!(kind(a, aaaa), expected, "{asked}");
        }
    }

    #[test]
    fn one_failure_in_a_search_list_leaves_the_rest_open() {
        assert_eq!(less_certain(NoName, servfail()), servfail());
        assert_eq!(less_certain(servfail(), NoName), servfail());
        assert_eq!(less_certain(NoName, NoRecord), DnsRecords::<IpAddr>::NoRecord);
        assert_eq!(less_certain(NoName, NoName), DnsRecords::<IpAddr>::NoName);
        assert_eq!(less_certain(servfail(), one("192.0.2.1")), one("192.0.2.1"));
    }
}
