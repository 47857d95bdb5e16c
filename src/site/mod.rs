//! From host to site to route: who a request is for.
//!
//! Owns the look-up tables of one snapshot. Decides nothing about the request itself: [`crate::decide`] does.

mod path;
mod route;

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

pub use path::{BadPath, encoded, normalized};
pub use route::{Action, Limit, Route, Target};

use crate::config;
use crate::types::{HostName, HostPattern};

/// One `[[site]]`, ready to answer.
#[derive(Debug)]
pub struct Site {
    /// The label of metrics and logs.
    pub name: Arc<str>,
    pub hosts: Vec<HostPattern>,
    pub tls: config::SiteTls,
    pub canonical_host: Option<HostName>,
    /// Most specific first; the last one takes every path. Never empty.
    pub routes: Vec<Arc<Route>>,
}

impl Site {
    /// The most specific route for a normalized path.
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
    exact: HashMap<Box<str>, usize, RandomState>,
    wildcard: HashMap<Box<str>, usize, RandomState>,
    any: Option<usize>,
}

impl Sites {
    pub fn new(all: Vec<Site>) -> Self {
        let mut sites = Self::default();
        for (index, site) in all.iter().enumerate() {
            for host in &site.hosts {
                match host {
                    HostPattern::Exact(name) => {
                        sites.exact.insert(name.as_str().into(), index);
                    }
                    HostPattern::Wildcard(suffix) => {
                        sites.wildcard.insert(suffix.as_str().into(), index);
                    }
                    HostPattern::Any => sites.any = Some(index),
                }
            }
        }
        sites.all = all;
        sites
    }

    /// `host` without port, in lower case.
    pub fn find(&self, host: &str) -> Option<usize> {
        if let Some(index) = self.exact.get(host) {
            return Some(*index);
        }
        if !self.wildcard.is_empty() {
            let mut rest = host;
            while let Some((_, suffix)) = rest.split_once('.') {
                if let Some(index) = self.wildcard.get(suffix) {
                    return Some(*index);
                }
                rest = suffix;
            }
        }
        self.any
    }

    pub fn at(&self, index: usize) -> &Site {
        &self.all[index]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Site> {
        self.all.iter()
    }
}
