//! Whether a port leads back to this process: what was seen there, and what that means. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::doctor::finding::{Check, Finding, Mark};

/// What an address has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortAnswer {
    /// The nonce.
    Us,
    Refused,
    /// No connection within the time.
    TimedOut,
    /// A connection, and then nothing.
    Silent,
    Unreachable(String),
    /// An HTTP answer without the nonce.
    Other {
        status: u16,
        server: Option<String>,
    },
    Redirected {
        status: u16,
        to: String,
    },
    /// Another server answered the handshake: the names in its certificate, and its issuer.
    Terminated {
        certificate: String,
    },
    /// It speaks TLS but not acme-tls/1.
    NoProtocol(String),
    /// Something that is neither HTTP nor TLS, whichever was expected.
    Nonsense(String),
    /// The name is being validated right now.
    Busy,
}

/// One challenge at every address of a name.
pub struct Reached<'a> {
    pub host: &'a str,
    pub check: Check,
    pub seen: &'a [(SocketAddr, PortAnswer)],
}

impl Reached<'_> {
    /// A finding for each address.
    pub fn judge(&self) -> Vec<Finding> {
        self.seen.iter().map(|(address, seen)| self.judge_one(*address, seen)).collect()
    }

    fn judge_one(&self, address: SocketAddr, seen: &PortAnswer) -> Finding {
        let subject = format!("{} at {address}", self.challenge());
        let mark = match seen {
            PortAnswer::Us => Mark::Ok,
            PortAnswer::Busy => Mark::Skipped,
            _ => Mark::Fail,
        };
        let finding = Finding::new(self.check, mark, subject, describe(seen));
        if self.is_apart(address.ip(), seen) {
            return finding.advise(
                "the AAAA record leads elsewhere than the A record, and authorities prefer IPv6: let it lead here, or remove it",
            );
        }
        match self.advice(seen, address.port()) {
            Some(advice) => finding.advise(advice),
            None => finding,
        }
    }

    fn challenge(&self) -> &'static str {
        if self.check == Check::Http01 { "http-01" } else { "tls-alpn-01" }
    }

    /// IPv4 leads here, IPv6 does not.
    fn is_apart(&self, ip: IpAddr, seen: &PortAnswer) -> bool {
        let leads_here = |(at, seen): &(SocketAddr, PortAnswer)| at.is_ipv4() && *seen == PortAnswer::Us;
        ip.is_ipv6() && !matches!(seen, PortAnswer::Us | PortAnswer::Busy) && self.seen.iter().any(leads_here)
    }

    fn advice(&self, seen: &PortAnswer, port: u16) -> Option<String> {
        let (host, challenge) = (self.host, self.challenge());
        let without = format!("or leave {challenge:?} out of acme.challenges");
        let advice = match seen {
            PortAnswer::Us => return None,
            PortAnswer::Busy => "ask again in a minute".to_owned(),
            PortAnswer::Refused => {
                format!("nothing listens there: publish or forward port {port} to this machine, {without}")
            }
            PortAnswer::TimedOut | PortAnswer::Silent => format!(
                "a firewall, or a router that does not lead its own network back (look from outside then): open port {port}, {without}"
            ),
            PortAnswer::Unreachable(_) => {
                format!("no way there from here: see the address of {host} and this machine's routes")
            }
            PortAnswer::Other { .. } | PortAnswer::NoProtocol(_) | PortAnswer::Nonsense(_) => {
                format!(
                    "another server has {host} or this port: let address and port {port} lead to this process, {without}"
                )
            }
            PortAnswer::Redirected { .. } => {
                format!("the authority would go there: let {host} lead to this process, without a redirect before it")
            }
            PortAnswer::Terminated { .. } => {
                format!("someone before this process ends TLS: pass port {port} through as TCP, {without}")
            }
        };
        Some(advice)
    }
}

fn describe(seen: &PortAnswer) -> String {
    match seen {
        PortAnswer::Us => "leads to this process".to_owned(),
        PortAnswer::Refused => "connection refused".to_owned(),
        PortAnswer::TimedOut => "no connection within 3 s".to_owned(),
        PortAnswer::Silent => "connected, but no answer within 5 s".to_owned(),
        PortAnswer::Unreachable(why) => why.clone(),
        PortAnswer::Other { status, server: Some(server) } => format!("{server:?} answers, with {status}"),
        PortAnswer::Other { status, server: None } => format!("someone else answers, with {status}"),
        PortAnswer::Redirected { status, to } => format!("someone else answers, with {status} to {to}"),
        PortAnswer::Terminated { certificate } => format!("someone else's TLS, with a certificate {certificate}"),
        PortAnswer::NoProtocol(why) => format!("someone else's TLS, which refuses acme-tls/1: {why}"),
        PortAnswer::Nonsense(why) => format!("someone else answers: {why}"),
        PortAnswer::Busy => "an authority is validating the name right now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(seen: &[(&str, PortAnswer)]) -> Vec<Finding> {
        let seen: Vec<_> = seen.iter().map(|(address, seen)| (address.parse().unwrap(), seen.clone())).collect();
        Reached { host: "a.example.com", check: Check::Http01, seen: &seen }.judge()
    }

    #[test]
    fn only_the_nonce_is_a_proof() {
        let other = PortAnswer::Other { status: 404, server: Some("nginx".to_owned()) };
        for seen in [
            PortAnswer::Refused,
            PortAnswer::TimedOut,
            PortAnswer::Silent,
            other,
            PortAnswer::Nonsense("SSH-2.0".to_owned()),
        ] {
            let finding = &judged(&[("192.0.2.1:80", seen)])[0];
            assert!(finding.mark == Mark::Fail && finding.advice.is_some(), "{finding:?}");
        }
        assert_eq!(judged(&[("192.0.2.1:80", PortAnswer::Us)])[0].advice, None);
        assert_eq!(judged(&[("192.0.2.1:80", PortAnswer::Busy)])[0].mark, Mark::Skipped);
    }

    #[test]
    fn an_aaaa_record_that_leads_elsewhere_is_called_so() {
        let both = judged(&[("192.0.2.1:80", PortAnswer::Us), ("[2001:db8::1]:80", PortAnswer::Refused)]);
        assert!(both[1].advice.as_ref().is_some_and(|advice| advice.contains("AAAA")), "{both:?}");
        let neither = judged(&[("192.0.2.1:80", PortAnswer::Refused), ("[2001:db8::1]:80", PortAnswer::Refused)]);
        assert!(neither[1].advice.as_ref().is_some_and(|advice| advice.contains("nothing listens")), "{neither:?}");
    }
}
