//! What issuance depends on, as it stands now, for a look from outside that changes nothing.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use super::keeper::AcmeContext;
use super::storage::Attempts;
use crate::challenge::Challenges;
use crate::resolve::Resolver;
use crate::tls::{CertSource, WantedCertificate};

/// Lives on the control runtime.
pub struct Inspection {
    shared: Rc<AcmeContext>,
    attempts: BTreeMap<Arc<str>, Attempts>,
}

impl Inspection {
    /// `attempts` by site.
    pub(super) fn new(shared: Rc<AcmeContext>, attempts: BTreeMap<Arc<str>, Attempts>) -> Self {
        Self { shared, attempts }
    }

    pub fn resolver(&self) -> Resolver {
        self.shared.resolver.borrow().clone()
    }

    pub fn challenges(&self) -> &Arc<Challenges> {
        &self.shared.challenges
    }

    /// The certificates that are asked for.
    pub fn wanted(&self) -> Vec<WantedCertificate> {
        self.shared.store.wanted()
    }

    /// Names that certificate files have.
    pub fn filed(&self) -> Vec<String> {
        let status = self.shared.store.status().into_iter();
        status.filter(|status| matches!(status.source, CertSource::File(_))).flat_map(|status| status.names).collect()
    }

    /// The URL of the account with a directory; `None`: there is none yet.
    pub fn account(&self, directory: &str) -> Option<String> {
        self.shared.accounts.known(directory)
    }

    /// What became of the attempts for a site.
    pub fn attempts(&self, site: &str) -> Attempts {
        self.attempts.get(site).cloned().unwrap_or_default()
    }

    /// Failed validations of the name in the last hour.
    pub fn recent(&self, name: &str, now: SystemTime) -> usize {
        self.shared.ledger.recent(name, now)
    }

    /// Until when no validation of these names is begun; `None`: one may begin now.
    pub fn held(&self, names: &[String], now: SystemTime) -> Option<SystemTime> {
        self.shared.ledger.held(names.iter().map(String::as_str), now)
    }
}
