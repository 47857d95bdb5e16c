//! One entry of a pool's list, and what its name resolves to. Pure: what DNS says comes in, which addresses count comes out.
//!
//! That a name does not exist is believed when it was said twice, a second apart: a container that restarts has no name for a
//! moment. No answer, or a server's failure, says nothing, and what was known before stays. Look-ups are made in `resolve`.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Endpoint;
use crate::types::{BackendAddr, Scheme};

/// How long a name has to be gone until its addresses are dropped, and how long an address that it has left may go on serving
/// while no backend at the new one is healthy.
const CONFIRMED_AFTER: Duration = Duration::from_secs(1);

/// Timers are not exact: the second look-up may come a little early.
const SLACK: Duration = Duration::from_millis(50);

/// What DNS says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameAnswer {
    /// It has addresses. A family whose servers gave no answer is `None`.
    Found { v4: Option<Vec<IpAddr>>, v6: Option<Vec<IpAddr>> },
    /// There is no such name, or it has no address; in words.
    Nothing(String),
    /// SERVFAIL, a timeout, silence; in words.
    Unknown(String),
}

/// What an answer has changed, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameChange {
    Same,
    /// It has no address any more, or none that is known of.
    Lost,
    /// Its addresses have been dropped.
    Dropped,
    /// It has addresses again, or others than before.
    Moved,
}

/// One entry of the config's list and what its name resolved to last.
#[derive(Debug, Clone)]
pub struct PoolTarget {
    pub addr: BackendAddr,
    /// Where it is reached.
    pub endpoints: Vec<Endpoint>,
    /// Where it was reached a moment ago.
    leaving: Vec<(Endpoint, Instant)>,
    trouble: Option<NameTrouble>,
    known: Known,
}

/// Each family's last answer.
#[derive(Debug, Clone, Default)]
struct Known {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

/// Why the last look-up gave no address.
#[derive(Debug, Clone)]
struct NameTrouble {
    why: String,
    is_gone: bool,
    /// Since when it has been said that the name has no address, if it was.
    gone_since: Option<Instant>,
}

impl PoolTarget {
    pub(super) fn new(addr: BackendAddr) -> Self {
        let endpoints = match (addr.scheme, addr.socket_addr()) {
            (Scheme::Unix, _) => addr.path.clone().map(Endpoint::Unix).into_iter().collect(),
            (_, Some(literal)) => vec![Endpoint::Tcp(literal)],
            _ => Vec::new(),
        };
        Self { addr, endpoints, leaving: Vec::new(), trouble: None, known: Known::default() }
    }

    /// Why the last look-up gave no address, if it gave none.
    pub fn error(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.why.as_str())
    }

    /// Whether DNS says now that there is no such address: not merely that nothing is known.
    pub fn is_gone(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_gone)
    }

    /// Whether the addresses are those that the name has now.
    pub fn is_current(&self) -> bool {
        self.trouble.is_none() && !self.endpoints.is_empty()
    }

    /// Whether the next look-up may well say something else.
    pub(super) fn is_changing(&self) -> bool {
        self.trouble.is_some() || !self.leaving.is_empty()
    }

    /// An address that the name had a moment ago.
    pub(super) fn is_leaving(&self, endpoint: &Endpoint) -> bool {
        self.leaving.iter().any(|(left, _)| left == endpoint)
    }

    /// Another name has these addresses now: this one has left them for good.
    pub(super) fn yield_to(&mut self, taken: &[(BackendAddr, IpAddr)]) {
        let addr = &self.addr;
        let is_taken = |ip: IpAddr| taken.iter().any(|(other, theirs)| other != addr && *theirs == ip);
        self.leaving.retain(|(endpoint, _)| !endpoint.ips().any(is_taken));
    }

    /// Takes in what a look-up has said.
    pub(super) fn take(&mut self, answer: NameAnswer, now: Instant) -> NameChange {
        self.leaving.retain(|(_, since)| now.duration_since(*since) + SLACK < CONFIRMED_AFTER);
        match answer {
            NameAnswer::Found { v4, v6 } => self.found(v4, v6, now),
            NameAnswer::Nothing(why) => self.nothing(why, now),
            NameAnswer::Unknown(why) => {
                let before = self.trouble.take();
                let change = if before.is_some() { NameChange::Same } else { NameChange::Lost };
                let gone_since = before.and_then(|trouble| trouble.gone_since);
                self.trouble = Some(NameTrouble { why, is_gone: false, gone_since });
                change
            }
        }
    }

    fn found(&mut self, v4: Option<Vec<IpAddr>>, v6: Option<Vec<IpAddr>>, now: Instant) -> NameChange {
        self.known.v4 = v4.unwrap_or_else(|| std::mem::take(&mut self.known.v4));
        self.known.v6 = v6.unwrap_or_else(|| std::mem::take(&mut self.known.v6));
        let had_trouble = self.trouble.take().is_some();
        let endpoints = hosts(&self.endpoints, &self.known, self.addr.port);
        let left = std::mem::replace(&mut self.endpoints, endpoints);
        let has_moved = left != self.endpoints;
        let left = left.into_iter().filter(|endpoint| !self.endpoints.contains(endpoint)).map(|left| (left, now));
        let left: Vec<_> = left.collect();
        self.leaving.retain(|(endpoint, _)| !self.endpoints.contains(endpoint));
        self.leaving.extend(left);
        if has_moved || had_trouble { NameChange::Moved } else { NameChange::Same }
    }

    fn nothing(&mut self, why: String, now: Instant) -> NameChange {
        let before = self.trouble.take();
        let since = before.as_ref().and_then(|trouble| trouble.gone_since).unwrap_or(now);
        let change = if before.is_some() { NameChange::Same } else { NameChange::Lost };
        self.trouble = Some(NameTrouble { why, is_gone: true, gone_since: Some(since) });
        if self.endpoints.is_empty() || now.duration_since(since) + SLACK < CONFIRMED_AFTER {
            return change;
        }
        self.endpoints.clear();
        self.leaving.clear();
        self.known = Known::default();
        NameChange::Dropped
    }
}

/// The hosts behind the addresses of a name. DNS does not say which addresses of the two families are one host's: pairs of before
/// stay, and the others are taken in order. A wrong pair is two hosts that serve the same.
fn hosts(before: &[Endpoint], known: &Known, port: u16) -> Vec<Endpoint> {
    let at = |ip: &IpAddr| SocketAddr::new(*ip, port);
    let is_pair = |endpoint: &&Endpoint| match endpoint {
        Endpoint::Both { v4, v6 } => known.v4.contains(&v4.ip()) && known.v6.contains(&v6.ip()),
        Endpoint::Tcp(_) | Endpoint::Unix(_) => false,
    };
    let mut hosts: Vec<Endpoint> = before.iter().filter(is_pair).cloned().collect();
    let paired: Vec<IpAddr> = hosts.iter().flat_map(Endpoint::ips).collect();
    let mut v4 = known.v4.iter().filter(|ip| !paired.contains(ip)).map(at);
    let mut v6 = known.v6.iter().filter(|ip| !paired.contains(ip)).map(at);
    loop {
        hosts.push(match (v4.next(), v6.next()) {
            (Some(v4), Some(v6)) => Endpoint::Both { v4, v6 },
            (Some(one), None) | (None, Some(one)) => Endpoint::Tcp(one),
            (None, None) => return hosts,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> PoolTarget {
        PoolTarget::new("app:80".parse().unwrap())
    }

    /// `-` is no record, `?` no answer of that family; else addresses by their last number.
    fn family(text: &str, prefix: &str) -> Option<Vec<IpAddr>> {
        let ips = |text: &str| text.split(' ').map(|last| format!("{prefix}{last}").parse().unwrap()).collect();
        match text {
            "?" => None,
            "-" => Some(Vec::new()),
            text => Some(ips(text)),
        }
    }

    fn found(v4: &str, v6: &str) -> NameAnswer {
        NameAnswer::Found { v4: family(v4, "192.0.2."), v6: family(v6, "2001:db8::") }
    }

    fn nothing() -> NameAnswer {
        NameAnswer::Nothing("no such name".to_owned())
    }

    fn unknown() -> NameAnswer {
        NameAnswer::Unknown("SERVFAIL".to_owned())
    }

    /// Each host as its addresses' last numbers: `1+1`, `2`, `:3`.
    fn shown(target: &PoolTarget) -> String {
        let last = |addr: &SocketAddr| addr.ip().to_string().rsplit(['.', ':']).next().unwrap().to_owned();
        let host = |endpoint: &Endpoint| match endpoint {
            Endpoint::Tcp(addr) if addr.is_ipv6() => format!(":{}", last(addr)),
            Endpoint::Tcp(addr) => last(addr),
            Endpoint::Both { v4, v6 } => format!("{}+{}", last(v4), last(v6)),
            Endpoint::Unix(_) => "unix".to_owned(),
        };
        target.endpoints.iter().map(host).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_name_is_gone_when_that_was_said_twice_a_second_apart() {
        // Milliseconds and answers, then whether the address is still there.
        let rows: [(&[(u64, NameAnswer)], bool); 7] = [
            (&[(0, nothing())], true),
            (&[(0, nothing()), (200, nothing()), (400, nothing())], true),
            (&[(0, nothing()), (1000, nothing())], false),
            (&[(0, nothing()), (500, found("1", "-")), (1000, nothing())], true),
            (&[(0, unknown()), (1000, unknown()), (9000, unknown())], true),
            (&[(0, unknown()), (1000, nothing()), (2000, unknown())], true),
            (&[(0, nothing()), (1000, unknown()), (2000, nothing())], false),
        ];
        let start = Instant::now();
        for (answers, stays) in rows {
            let mut target = target();
            target.take(found("1", "-"), start);
            for (at, answer) in answers {
                target.take(answer.clone(), start + Duration::from_millis(*at));
            }
            assert_eq!(!target.endpoints.is_empty(), stays, "{answers:?}");
        }
    }

    #[test]
    fn an_address_is_current_only_while_the_name_has_it() {
        let (mut target, now) = (target(), Instant::now());
        let is = |target: &PoolTarget| (target.is_current(), target.is_gone(), target.is_changing());
        assert_eq!(is(&target), (false, false, false));
        target.take(found("1", "-"), now);
        assert_eq!(is(&target), (true, false, false));
        target.take(unknown(), now);
        assert_eq!(is(&target), (false, false, true));
        target.take(nothing(), now);
        assert_eq!(is(&target), (false, true, true));
        target.take(found("1", "-"), now);
        assert_eq!(is(&target), (true, false, false));
    }

    #[test]
    fn an_address_that_a_name_has_left_may_stay_for_a_second_unless_another_name_has_it() {
        let (mut target, now) = (target(), Instant::now());
        target.take(found("1", "-"), now);
        let old = target.endpoints[0].clone();
        assert_eq!(target.take(found("2", "-"), now), NameChange::Moved);
        assert!(target.is_leaving(&old) && target.is_changing());
        target.yield_to(&[(target.addr.clone(), old.ips().next().unwrap())]);
        assert!(target.is_leaving(&old), "that is its own");
        let mut taken = target.clone();
        taken.yield_to(&[("other:80".parse().unwrap(), old.ips().next().unwrap())]);
        assert!(!taken.is_leaving(&old));
        target.take(found("2", "-"), now + Duration::from_secs(1));
        assert!(!target.is_leaving(&old) && !target.is_changing());
    }

    #[test]
    fn addresses_of_both_families_are_one_host() {
        // Answers in turn, and the hosts after each.
        let rows: [&[(&str, &str, &str)]; 7] = [
            &[("1", "1", "1+1")],
            &[("1 2", "-", "1 2")],
            &[("-", "1 2", ":1 :2")],
            &[("1 2", "7 8", "1+7 2+8")],
            &[("1 2 3", "1", "1+1 2 3")],
            // A pair stays, whatever comes before it in order.
            &[("2", "2", "2+2"), ("1 2", "1 2", "2+2 1+1"), ("1", "1", "1+1")],
            // A family without an answer keeps what it had.
            &[("1", "1", "1+1"), ("1", "?", "1+1"), ("?", "1", "1+1"), ("1", "-", "1")],
        ];
        for answers in rows {
            let mut target = target();
            for (v4, v6, expected) in answers {
                target.take(found(v4, v6), Instant::now());
                assert_eq!(shown(&target), *expected, "{answers:?}");
            }
        }
    }
}
