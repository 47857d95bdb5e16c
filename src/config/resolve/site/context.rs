//! What the sections of sites refer to: the sections that were read before them.

use crate::config::model::{Acme, Limits, Server};
use crate::config::resolve::headers::Policies;
use crate::config::resolve::service::Services;
use crate::config::resolve::tls::ReadTls;
use crate::config::resolve::zone::Zones;

/// What sites refer to.
pub struct SiteContext<'a> {
    pub server: &'a Server,
    pub limits: &'a Limits,
    pub tls: &'a ReadTls,
    pub acme: &'a Acme,
    pub zones: &'a Zones,
    pub services: &'a Services,
    pub policies: &'a Policies,
}
