//! Figures that are read at scrape time instead of being counted: of the services, limiters, listeners and certificates.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use crate::access::AccessLog;
use crate::admin::wire::{ConfigOnDisk, ConfigState};
use crate::daemon::log;
use crate::listen::Admissions;
use crate::metrics::{MetricKind, Text};
use crate::service::Service;
use crate::tls::{CertSource, CertStatus, CertStore};
use crate::worker::SharedState;

/// Where the gauges live.
#[derive(Clone)]
pub struct Gauges {
    pub shared: Arc<SharedState>,
    pub admissions: Arc<Admissions>,
    pub certificates: Arc<CertStore>,
    pub access: Arc<AccessLog>,
    pub config_on_disk: Arc<ArcSwap<ConfigOnDisk>>,
}

impl Gauges {
    /// The whole exposition.
    pub fn render(&self) -> String {
        self.shared.metrics.render(&mut |text| self.write(text))
    }

    fn write(&self, text: &mut Text) {
        let snapshot = self.shared.snapshot.load();
        let services: Vec<&Arc<Service>> = snapshot.services.values().collect();
        in_flight(text, &services);
        queued(text, &services);
        backends(text, &services);
        active(text, &services);
        text.family("edge_rate_limit_keys", "Keys a zone remembers now.", MetricKind::Gauge);
        for (zone, limiter) in &snapshot.limiters {
            text.sample(&[("zone", zone)], limiter.keys() as u64);
        }
        text.family("edge_connections", "Open client connections.", MetricKind::Gauge);
        for (listener, open) in self.admissions.by_listener() {
            text.sample(&[("listener", &listener)], open as u64);
        }
        text.family("edge_connections_refused_total", "Connections closed because of a limit.", MetricKind::Counter);
        for (limit, count) in self.admissions.refused() {
            text.sample(&[("limit", limit)], count);
        }
        text.family("edge_buffer_memory_bytes", "Of [limits] buffer_memory, what is taken.", MetricKind::Gauge);
        text.sample(&[], self.shared.buffers.used());
        text.family("edge_spool_bytes", "In temporary files, which have no names, now.", MetricKind::Gauge);
        text.sample(&[], self.shared.spool.used());
        text.family("edge_spooled_total", "Bodies that were too large for memory.", MetricKind::Counter);
        text.sample(&[], self.shared.spool.files());
        self.certificates(text);
        text.family(
            "edge_ca_files_unusable",
            "Files of roots that can't be used, and what depends on them: sites of client_ca, services of tls_ca.",
            MetricKind::Gauge,
        );
        let (clients, backends) = (snapshot.roots.clients.troubles(), snapshot.roots.backends.troubles());
        for (key, troubles) in [("client_ca", clients), ("tls_ca", backends)] {
            text.sample(&[("key", key)], troubles.len() as u64);
        }
        text.family(
            "edge_config_on_disk",
            "How the config file compares with what runs: 1 for the state that it is in.",
            MetricKind::Gauge,
        );
        let present = &self.config_on_disk.load().state;
        for (name, state) in
            [("same", ConfigState::Same), ("differs", ConfigState::Differs), ("broken", ConfigState::Broken)]
        {
            text.sample(&[("state", name)], u64::from(*present == state));
        }
        text.family(
            "edge_log_dropped_total",
            "Log lines that an output did not take: gone, full, stalled or slow.",
            MetricKind::Counter,
        );
        for sink in log::sink().into_iter().chain(self.access.sink()) {
            text.sample(&[("sink", sink.name())], sink.dropped());
        }
    }

    fn certificates(&self, text: &mut Text) {
        text.family("edge_certificate_not_after_seconds", "When a certificate expires, Unix time.", MetricKind::Gauge);
        let status = self.certificates.status();
        for (name, at) in ends(&status) {
            text.sample(&[("host", name)], at);
        }
        text.family(
            "edge_certificate_stand_in",
            "1 while the internal CA's certificate stands in for one that is not issued yet.",
            MetricKind::Gauge,
        );
        let mut seen = HashSet::new();
        for certificate in status.iter().filter(|c| matches!(c.source, CertSource::Acme | CertSource::StandIn)) {
            for name in certificate.names.iter().filter(|name| seen.insert(name.as_str())) {
                text.sample(&[("host", name)], u64::from(certificate.source == CertSource::StandIn));
            }
        }
    }
}

/// When the certificate of each name ends. Of several, which different clients may be shown, the one that ends first; what has ended
/// counts only where nothing has taken its place.
fn ends(status: &[CertStatus]) -> BTreeMap<&str, u64> {
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = seconds(SystemTime::now());
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for certificate in status {
        let Some(at) = certificate.not_after.map(seconds) else { continue };
        for name in &certificate.names {
            let end = ends.entry(name).or_insert(at);
            if (at <= now, at) < (*end <= now, *end) {
                *end = at;
            }
        }
    }
    ends
}

fn in_flight(text: &mut Text, services: &[&Arc<Service>]) {
    text.family("edge_http_requests_in_flight", "Exchanges in flight, tunnels included.", MetricKind::Gauge);
    for service in services {
        for pool in service.pools() {
            let labels = [("service", &**service.name()), ("color", pool.color_label())];
            text.sample(&labels, pool.in_flight() as u64);
        }
    }
}

fn queued(text: &mut Text, services: &[&Arc<Service>]) {
    text.family("edge_http_requests_queued", "Requests waiting for a backend that is not full.", MetricKind::Gauge);
    for service in services {
        for pool in service.pools() {
            let labels = [("service", &**service.name()), ("color", pool.color_label())];
            text.sample(&labels, pool.queue().len() as u64);
        }
    }
}

fn backends(text: &mut Text, services: &[&Arc<Service>]) {
    text.family("edge_backend_up", "1 if any address of the backend passes its probes.", MetricKind::Gauge);
    for service in services {
        for pool in service.pools() {
            let backends = pool.backends();
            for target in pool.targets() {
                let up = backends.iter().any(|b| *b.addr() == target.addr && b.is_up());
                let address = target.addr.to_string();
                let labels = [("service", &**service.name()), ("color", pool.color_label()), ("backend", &address)];
                text.sample(&labels, u64::from(up));
            }
        }
    }
}

fn active(text: &mut Text, services: &[&Arc<Service>]) {
    text.family("edge_service_active", "1 for the colour that serves.", MetricKind::Gauge);
    for service in services {
        let active = service.active();
        for pool in service.pools() {
            let serves = pool.color().is_none_or(|color| color == active.color);
            text.sample(&[("service", service.name()), ("color", pool.color_label())], u64::from(serves));
        }
    }
    text.family("edge_service_generation", "Changes of the service's colour so far.", MetricKind::Gauge);
    for service in services {
        text.sample(&[("service", service.name())], service.active().generation);
    }
}
