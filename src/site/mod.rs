//! From host to site to route: which site and which route a request belongs to.
//!
//! Owns the look-up tables of one snapshot. Decides nothing about the request itself: [`crate::decide`] does.

mod path;
mod route;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub use path::{BadPath, PathReadings, encoded, path_key};
pub use route::{Limit, Route, RouteAction, ServiceTarget};

use crate::config;
use crate::trust::{ClientProof, ClientRoots};
use crate::types::{HostName, HostPattern, parent_of};

/// One `[[site]]`, ready to answer.
#[derive(Debug)]
pub struct Site {
    /// The label of metrics and logs.
    pub name: Arc<str>,
    pub hosts: Vec<HostPattern>,
    pub tls: config::SiteTls,
    /// What a connection's handshake must have asked of the client for its requests to come in here.
    pub clients: Option<SiteClients>,
    pub canonical_host: Option<HostName>,
    /// Most specific first; the last one takes every path. Never empty.
    pub routes: Vec<Arc<Route>>,
}

/// What a site asks of its clients.
#[derive(Debug)]
pub struct SiteClients {
    pub asked: Arc<config::ClientAuth>,
    /// The roots that count now; `None`: the file can't be used, and the site is shut.
    pub roots: Option<Arc<ClientRoots>>,
}

impl Site {
    /// Whether it takes requests of a client that has shown this in its handshake. `by_name`: the handshake was for this site.
    pub fn admits(&self, proof: Option<&ClientProof>, by_name: bool) -> bool {
        let Some(clients) = &self.clients else { return true };
        clients.roots.as_ref().zip(proof).is_some_and(|(roots, proof)| proof.satisfies(roots, by_name))
    }

    /// The most specific route for a path as it is read ([`PathReadings`]).
    pub fn route(&self, path: &str) -> &Arc<Route> {
        self.routes.iter().find(|route| route.matches(path)).unwrap_or_else(|| self.fallback())
    }

    /// The route that takes every path.
    pub fn fallback(&self) -> &Arc<Route> {
        &self.routes[self.routes.len() - 1]
    }
}

/// Sites by host: exact names first, then the longest wildcard, then the catch-all.
#[derive(Debug, Default)]
pub struct Sites {
    all: Vec<Site>,
    hosts: Hosts,
}

impl Sites {
    pub fn new(all: Vec<Site>) -> Self {
        let hosts = Hosts::new(all.iter().map(|site| site.hosts.as_slice()).enumerate());
        Self { all, hosts }
    }

    /// `host` without port, in lower case.
    pub fn find(&self, host: &str) -> Option<usize> {
        self.hosts.find(host)
    }

    pub fn at(&self, index: usize) -> &Site {
        &self.all[index]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        self.all.iter()
    }
}

/// A number for each host pattern. A look-up takes the same time however many there are.
#[derive(Debug, Default)]
pub struct Hosts {
    exact: HashMap<Box<str>, usize, RandomState>,
    wildcard: HashMap<Box<str>, usize, RandomState>,
    any: Option<usize>,
}

impl Hosts {
    pub fn new<'a>(all: impl Iterator<Item = (usize, &'a [HostPattern])>) -> Self {
        let mut found = Self::default();
        for (index, patterns) in all {
            for pattern in patterns {
                match pattern {
                    HostPattern::Exact(name) => {
                        found.exact.insert(name.as_str().into(), index);
                    }
                    HostPattern::Wildcard(suffix) => {
                        found.wildcard.insert(suffix.as_str().into(), index);
                    }
                    HostPattern::Any => found.any = Some(index),
                }
            }
        }
        found
    }

    /// Whether only the catch-all answers for the host.
    pub fn is_caught(&self, host: &str) -> bool {
        self.any.is_some() && self.claimed(host).is_none()
    }

    /// Whether a name one label below `parent`, which a wildcard certificate is good for, can belong to a site.
    pub fn is_below(&self, parent: &str) -> bool {
        let below = |name: &str| parent_of(name) == Some(parent);
        self.find(&format!("a.{parent}")).is_some() || self.exact.keys().any(|name| below(name))
    }

    /// Exact, then the longest wildcard, then the catch-all.
    pub fn find(&self, host: &str) -> Option<usize> {
        self.claimed(host).or(self.any)
    }

    fn claimed(&self, host: &str) -> Option<usize> {
        if let Some(index) = self.exact.get(host) {
            return Some(*index);
        }
        if !self.wildcard.is_empty() {
            let mut rest = host;
            while let Some(suffix) = parent_of(rest) {
                if let Some(index) = self.wildcard.get(suffix) {
                    return Some(*index);
                }
                rest = suffix;
            }
        }
        None
    }
}
