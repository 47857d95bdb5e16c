//! Whether one more connection may be opened. One that may not is closed, counted and said.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::config::Limits;
use crate::resources::Descriptor;

/// Open client connections: in all, by listener, and by address where that is bounded.
#[derive(Debug, Default)]
pub struct Admissions {
    open: AtomicUsize,
    by_listener: Mutex<BTreeMap<String, Arc<AtomicUsize>>>,
    by_ip: Mutex<HashMap<IpAddr, usize>>,
    refused: [AtomicU64; 2],
}

/// Which limit a connection has met; its number is the config's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReached {
    Connections(usize),
    ConnectionsPerIp(usize),
}

/// One admitted connection; gives its place back when dropped.
#[derive(Debug)]
pub struct Admitted {
    admissions: Arc<Admissions>,
    listener: Arc<AtomicUsize>,
    /// Whose connection it is: IPv4 whole, IPv6 by its /64, as zones count it.
    client: Option<IpAddr>,
    _descriptor: Option<Descriptor>,
}

impl Admissions {
    /// The count of one listener's connections; shared by all workers.
    pub fn count_of(&self, listener: &str) -> Arc<AtomicUsize> {
        let mut by_listener = self.by_listener.lock();
        by_listener.entry(listener.to_owned()).or_default().clone()
    }

    /// Open connections of every listener there has been.
    pub fn by_listener(&self) -> Vec<(String, usize)> {
        let by_listener = self.by_listener.lock();
        by_listener.iter().map(|(name, open)| (name.clone(), open.load(Ordering::Relaxed))).collect()
    }

    /// Keeps the connection's `descriptor` as long as it is open.
    pub fn admit(
        self: &Arc<Self>,
        listener: &Arc<AtomicUsize>,
        limits: &Limits,
        descriptor: Option<Descriptor>,
    ) -> Result<Admitted, LimitReached> {
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        listener.fetch_add(1, Ordering::Relaxed);
        let admitted =
            Admitted { admissions: self.clone(), listener: listener.clone(), client: None, _descriptor: descriptor };
        if limits.connections == 0 || open < limits.connections {
            return Ok(admitted);
        }
        Err(self.refuse(LimitReached::Connections(limits.connections)))
    }

    /// Connections that were closed because of each limit, by its key.
    pub fn refused(&self) -> [(&'static str, u64); 2] {
        let [all, per_ip] = &self.refused;
        [("connections", all.load(Ordering::Relaxed)), ("connections_per_ip", per_ip.load(Ordering::Relaxed))]
    }

    fn refuse(&self, limit: LimitReached) -> LimitReached {
        let index = usize::from(matches!(limit, LimitReached::ConnectionsPerIp(_)));
        self.refused[index].fetch_add(1, Ordering::Relaxed);
        limit
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Admitted {
    /// It is a connection of this client's.
    pub fn count_for(&mut self, ip: IpAddr, limits: &Limits) -> Result<(), LimitReached> {
        if limits.connections_per_ip == 0 {
            return Ok(());
        }
        let client = block_of(ip);
        let mut by_ip = self.admissions.by_ip.lock();
        let count = by_ip.entry(client).or_default();
        if *count >= limits.connections_per_ip {
            return Err(self.admissions.refuse(LimitReached::ConnectionsPerIp(limits.connections_per_ip)));
        }
        *count += 1;
        self.client = Some(client);
        Ok(())
    }
}

impl LimitReached {
    /// A line in the log; only the first ones of many are written.
    pub fn say(self, ip: IpAddr) {
        match self {
            Self::Connections(most) => {
                tracing::warn!(%ip, "a connection was closed: all {most} of [limits] connections are open");
            }
            Self::ConnectionsPerIp(most) => {
                tracing::warn!(%ip, "a connection was closed: its client has all {most} of [limits] connections_per_ip open");
            }
        }
    }
}

/// IPv6 by its /64: what one household or host is given.
fn block_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admissions.open.fetch_sub(1, Ordering::Relaxed);
        self.listener.fetch_sub(1, Ordering::Relaxed);
        let Some(ip) = self.client else { return };
        let mut by_ip = self.admissions.by_ip.lock();
        if let Some(count) = by_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                by_ip.remove(&ip);
            }
        }
    }
}
