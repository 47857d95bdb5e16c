//! One immutable view of the whole configuration, with everything a request needs already prepared.
//!
//! A request takes the snapshot once and sees nothing else until its end. Reload is startup: [`Snapshot::build`] makes the
//! world from nothing or from the previous one, keeping the services, limiters and counters that stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::config::{self, BufferSizes, Config, HeaderPolicy, Preset};
use crate::headers::SecurityHeaders;
use crate::limit::Limiter;
use crate::metrics::Metrics;
use crate::policy::cors::Cors;
use crate::policy::methods::AllowedMethods;
use crate::policy::pages::ErrorPages;
use crate::service::Service;
use crate::site::{Limit, Route, RouteAction, ServiceTarget, Site, SiteClients, Sites};
use crate::trust::RootSets;
use crate::types::ListenAddr;

pub struct Snapshot {
    pub config: Arc<Config>,
    pub sites: Sites,
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    pub limiters: BTreeMap<Arc<str>, Arc<Limiter>>,
    /// By which roots clients and `https` backends are verified.
    pub roots: RootSets,
    /// Whether there is any TLS listener to redirect to.
    pub serves_tls: bool,
    /// Where plain requests are redirected.
    pub https_port: u16,
    /// For answers to requests that belong to no site: headers, counters, limits.
    pub stray: Arc<Route>,
}

impl Snapshot {
    /// Builds what `config` says. `add` makes a service that was not there before.
    ///
    /// Services that stay are the same objects; they take their new definition up in [`Snapshot::install`].
    pub fn build(
        config: Arc<Config>,
        roots: RootSets,
        previous: Option<&Snapshot>,
        metrics: &Metrics,
        add: &dyn Fn(&Arc<config::ServiceConfig>) -> Arc<Service>,
    ) -> Self {
        let services = config.services.iter().map(|(name, definition)| {
            let kept = previous.and_then(|p| p.kept(definition)).cloned();
            (name.clone(), kept.unwrap_or_else(|| add(definition)))
        });
        let limiters = config.zones.iter().map(|(name, zone)| {
            let kept = previous.and_then(|p| p.limiters.get(name)).filter(|l| l.zone() == &**zone);
            (name.clone(), kept.cloned().unwrap_or_else(|| Arc::new(Limiter::new(zone.clone()))))
        });
        let (services, limiters) = (services.collect(), limiters.collect());
        let builder = Builder { config: &config, roots: &roots, services: &services, limiters: &limiters, metrics };
        let sites = Sites::new(config.sites.iter().map(|site| builder.site(site)).collect());
        let stray = Arc::new(builder.stray());
        Self {
            serves_tls: !config.server.https.is_empty(),
            https_port: https_port(&config),
            config,
            sites,
            services,
            limiters,
            roots,
            stray,
        }
    }

    /// The service that goes on under this definition. A service that gets or loses its colours is a new one.
    pub fn kept(&self, definition: &config::ServiceConfig) -> Option<&Arc<Service>> {
        self.services.get(&definition.name).filter(|service| service.is_colored() == is_colored(definition))
    }

    /// Gives the services that stayed their new definitions; called once, when this snapshot is published.
    pub fn install(&self) {
        for (name, definition) in &self.config.services {
            let service = &self.services[name];
            // First: a new backend is probed at once.
            service.verify_backends(self.roots.backends.of(name));
            service.reconfigure(definition.clone());
        }
    }
}

fn is_colored(service: &config::ServiceConfig) -> bool {
    matches!(service.pools, config::Pools::BlueGreen { .. })
}

fn https_port(config: &Config) -> u16 {
    let tcp = config.server.https.iter().find_map(|listen| match listen {
        ListenAddr::Tcp(addr) => Some(addr.port()),
        ListenAddr::Unix(_) => None,
    });
    tcp.unwrap_or(443)
}

struct Builder<'a> {
    config: &'a Config,
    roots: &'a RootSets,
    services: &'a BTreeMap<Arc<str>, Arc<Service>>,
    limiters: &'a BTreeMap<Arc<str>, Arc<Limiter>>,
    metrics: &'a Metrics,
}

impl Builder<'_> {
    fn site(&self, site: &config::SiteConfig) -> Site {
        Site {
            name: site.name.clone(),
            hosts: site.hosts.clone(),
            tls: site.tls,
            clients: site.client_auth.as_ref().map(|asked| self.clients(asked)),
            canonical_host: site.canonical_host.clone(),
            routes: site.routes.iter().map(|route| Arc::new(self.route(site, route))).collect(),
        }
    }

    fn route(&self, site: &config::SiteConfig, route: &config::RouteConfig) -> Route {
        let (action, service) = match &route.action {
            config::ActionConfig::Service(name) => {
                let definition = self.config.services[name].clone();
                let target = ServiceTarget {
                    service: self.services[name].clone(),
                    settings: definition,
                    series: self.metrics.service(name),
                };
                (RouteAction::Service(target), &**name)
            }
            config::ActionConfig::Redirect { to, status } => {
                (RouteAction::Redirect { to: to.clone(), status: *status }, "")
            }
            config::ActionConfig::Respond { status, body, content_type } => {
                let body = Bytes::from(body.clone());
                (RouteAction::Respond { status: *status, body, content_type: content_type.clone() }, "")
            }
        };
        let label = match &route.path {
            config::RoutePath::Prefix(path) => path.clone(),
            config::RoutePath::Exact(path) => format!("={path}"),
        };
        let methods = AllowedMethods::of(&route.methods);
        Route {
            site: site.name.clone(),
            path: route.path.clone(),
            label: label.into(),
            action,
            limits: route.limit.iter().map(|zone| self.limit(zone)).collect(),
            allow: route.allow.clone(),
            deny: route.deny.clone(),
            body_size: route.body_size,
            body_timeout: route.body_timeout,
            buffers: route.buffers,
            security: SecurityHeaders::compile(&route.headers, route.hsts),
            cors: Cors::compile(&route.cors, methods.as_ref().map(AllowedMethods::allow)),
            methods,
            errors: ErrorPages::new(route.errors.clone(), route.errors_intercept.clone()),
            early_hints: route.early_hints,
            stripped: route.strip_prefix.then(|| route.path.as_prefix()).flatten(),
            tells_client_cert: site.client_auth.is_some(),
            series: self.metrics.series(&site.name, service),
        }
    }

    fn clients(&self, asked: &Arc<config::ClientAuth>) -> SiteClients {
        SiteClients { asked: asked.clone(), roots: self.roots.clients.of(asked).cloned() }
    }

    fn limit(&self, zone: &str) -> Limit {
        Limit { limiter: self.limiters[zone].clone(), series: self.metrics.zone(zone) }
    }

    fn stray(&self) -> Route {
        Route {
            site: "".into(),
            path: config::RoutePath::Prefix("/".into()),
            label: "".into(),
            action: RouteAction::Respond {
                status: StatusCode::NOT_FOUND,
                body: Bytes::new(),
                content_type: HeaderValue::from_static("text/plain; charset=utf-8"),
            },
            limits: Vec::new(),
            allow: Vec::new(),
            deny: Vec::new(),
            body_size: self.config.limits.body_size,
            body_timeout: self.config.limits.body_timeout,
            buffers: BufferSizes { requests: 0, responses: 0 },
            security: SecurityHeaders::compile(&HeaderPolicy { preset: Preset::Secure, changes: Vec::new() }, None),
            methods: None,
            cors: None,
            errors: ErrorPages::default(),
            early_hints: false,
            stripped: None,
            tells_client_cert: false,
            series: self.metrics.series("", ""),
        }
    }
}

#[cfg(test)]
mod sample;
