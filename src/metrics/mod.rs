//! Prometheus metrics: counted without a lock, rendered when scraped.
//!
//! Owns every counter and histogram of the process, by names that come from the config; they live as long as the
//! process, so a reload keeps them. Requests count in a per-worker [`Series`]; rarer events in [`ServiceSeries`],
//! [`ZoneSeries`] and here. How the colours of a service do is in [`Totals`] and, over time, [`Recents`]. Gauges that live
//! elsewhere are given at scrape time. Never takes a label from a client. The text: [`Text`].

mod codes;
mod events;
mod handshakes;
mod histogram;
mod latency;
mod outcome;
mod recent;
mod registry;
mod series;
mod text;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub use events::{LimitMode, ServiceSeries, ZoneSeries};
pub use handshakes::HandshakeResult;
pub use outcome::Totals;
pub use recent::{Recent, Recents};
pub use series::Series;
pub use text::{MetricKind, SampleValue, Text};

use handshakes::Handshakes;
use registry::Registry;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    series: Registry<(Arc<str>, Arc<str>), Series>,
    services: Registry<Arc<str>, ServiceSeries>,
    zones: Registry<Arc<str>, ZoneSeries>,
    /// Failed attempts to have a certificate issued, by host.
    acme: Registry<Arc<str>, AtomicU64>,
    /// New starts of tasks that have ended, by name.
    tasks: Registry<&'static str, AtomicU64>,
    recents: Recents,
    handshakes: Handshakes,
    reloads_done: AtomicU64,
    reloads_failed: AtomicU64,
    /// Seconds since 1970; 0: never.
    last_reload: AtomicU64,
}

impl Metrics {
    /// `workers` is the number of request threads; each has its own index below it in [`Series::record`].
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers.max(1),
            series: Registry::default(),
            services: Registry::default(),
            zones: Registry::default(),
            acme: Registry::default(),
            tasks: Registry::default(),
            recents: Recents::default(),
            handshakes: Handshakes::default(),
            reloads_done: AtomicU64::new(0),
            reloads_failed: AtomicU64::new(0),
            last_reload: AtomicU64::new(0),
        }
    }

    /// The requests of one site to one service; `service` is empty where the proxy answers itself. Found or made: ask
    /// when a snapshot is built, keep the handle in it.
    pub fn series(&self, site: &str, service: &str) -> Arc<Series> {
        let key = (site.into(), service.into());
        self.series.find_or_make(key, || Series::new(self.workers))
    }

    /// What the colours of a service have done since the start, by [`crate::types::Color::index`]; a service with one pool is
    /// at 0. Adds up every site and worker: not for a request's way.
    pub fn totals(&self, service: &str) -> [Totals; 2] {
        let mut totals = <[Totals; 2]>::default();
        for ((_, of), series) in self.series.all() {
            if &*of == service {
                series.add_to(&mut totals);
            }
        }
        totals
    }

    /// The same over the last minutes.
    pub fn recents(&self) -> &Recents {
        &self.recents
    }

    /// Notes what each of these services has done so far. To be called about once a second; services that are no longer
    /// named are forgotten.
    pub fn sample<'a>(&self, services: impl Iterator<Item = &'a Arc<str>>, now: Instant) {
        self.recents.keep(services.map(|name| (name.clone(), self.totals(name))), now);
    }

    /// What happens to one service apart from its requests. Found or made, as [`Self::series`].
    pub fn service(&self, name: &str) -> Arc<ServiceSeries> {
        self.services.find_or_make(name.into(), ServiceSeries::default)
    }

    /// What one rate-limit zone did. Found or made, as [`Self::series`].
    pub fn zone(&self, name: &str) -> Arc<ZoneSeries> {
        self.zones.find_or_make(name.into(), ZoneSeries::default)
    }

    /// Failed attempts to have a certificate for this host issued. Found or made, as [`Self::series`].
    pub fn acme_failures(&self, host: &str) -> Arc<AtomicU64> {
        self.acme.find_or_make(host.into(), AtomicU64::default)
    }

    /// New starts of a task of the daemon that had ended. Found or made, as [`Self::series`].
    pub fn task_restarts(&self, task: &'static str) -> Arc<AtomicU64> {
        self.tasks.find_or_make(task, AtomicU64::default)
    }

    pub fn tls_handshake(&self, result: HandshakeResult) {
        self.handshakes.count(result);
    }

    /// A reload took effect at `now`. The first config counts as one.
    pub fn reloaded(&self, now: SystemTime) {
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.last_reload.store(seconds, Relaxed);
        self.reloads_done.fetch_add(1, Relaxed);
    }

    /// A reload changed nothing because the config was bad.
    pub fn reload_failed(&self) {
        self.reloads_failed.fetch_add(1, Relaxed);
    }

    /// The exposition (Prometheus text format 0.0.4). `gauges` adds families that live elsewhere: in flight, backends
    /// up, active colours, connections, keys, certificates, dropped log lines.
    pub fn render(&self, gauges: &mut dyn FnMut(&mut Text)) -> String {
        let mut text = Text::default();
        series::render(&self.series, &mut text);
        events::render_services(&self.services, &mut text);
        events::render_zones(&self.zones, &mut text);
        self.render_own(&mut text);
        gauges(&mut text);
        text.finish()
    }

    fn render_own(&self, text: &mut Text) {
        self.handshakes.render(text);
        text.family("edge_acme_failures_total", "Failed attempts to have a certificate issued.", MetricKind::Counter);
        for (host, count) in self.acme.all() {
            text.sample(&[("host", &*host)], count.load(Relaxed));
        }
        text.family(
            "edge_task_restarts_total",
            "Tasks of the daemon that have ended and were started again.",
            MetricKind::Counter,
        );
        for (task, count) in self.tasks.all() {
            text.sample(&[("task", task)], count.load(Relaxed));
        }
        text.family("edge_config_reloads_total", "Config reloads.", MetricKind::Counter);
        text.sample(&[("result", "success")], self.reloads_done.load(Relaxed));
        text.sample(&[("result", "failure")], self.reloads_failed.load(Relaxed));
        text.family(
            "edge_config_last_reload_success_timestamp_seconds",
            "When the running config was taken up.",
            MetricKind::Gauge,
        );
        text.sample(&[], self.last_reload.load(Relaxed));
        text.family("edge_build_info", "The running version.", MetricKind::Gauge);
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

#[cfg(test)]
mod tests;
