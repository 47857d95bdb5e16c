//! The requests of one site to one service: counts, times, bytes.
//!
//! Each worker has a shard on cache lines of its own and is the only one to write it, so a request costs a few plain
//! loads and stores: no lock, no `lock` prefix, no look-up. A table of status codes comes into being with the first
//! request of its colour and method. Readers add the shards up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;

use crate::types::Color;

use super::codes::{self, CODE_SLOTS, METHODS};
use super::histogram::{Histogram, Sums, bump};
use super::outcome::{Outcomes, Totals};
use super::registry::Registry;
use super::text::{MetricKind, Text};

/// No colour (the proxy's own answers, services with one pool), blue, green.
pub(super) const COLORS: [&str; 3] = ["", "blue", "green"];

pub(super) fn color_slot(color: Option<Color>) -> usize {
    color.map_or(0, |color| color.index() + 1)
}

/// What [`super::Metrics::series`] hands out.
#[derive(Debug)]
pub struct Series {
    shards: Box<[SeriesShard]>,
}

/// Two cache lines apart from its neighbour: CPUs fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct SeriesShard {
    colors: [OnceLock<Box<Requests>>; COLORS.len()],
    outcomes: [OnceLock<Box<Outcomes>>; COLORS.len()],
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Requests {
    methods: [OnceLock<Box<Codes>>; METHODS.len()],
    durations: Histogram,
}

#[derive(Debug)]
struct Codes([AtomicU64; CODE_SLOTS]);

impl Default for Codes {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; CODE_SLOTS])
    }
}

impl Series {
    pub(super) fn new(workers: usize) -> Self {
        Self { shards: (0..workers).map(|_| SeriesShard::default()).collect() }
    }

    /// Counts one finished request. `worker` is this thread's own index below the number of workers; two threads with
    /// one index would lose counts. An index beyond is not counted.
    pub fn record(
        &self,
        worker: usize,
        color: Option<Color>,
        method: &Method,
        status: u16,
        duration: Duration,
        bytes_out: u64,
    ) {
        let Some(shard) = self.shards.get(worker) else {
            return;
        };
        let requests = shard.colors[color_slot(color)].get_or_init(Box::default);
        let codes = requests.methods[codes::method_slot(method)].get_or_init(Box::default);
        bump(&codes.0[codes::code_slot(status)], 1);
        bump(&shard.bytes, bytes_out);
        requests.durations.observe(duration);
    }

    /// Judges one finished request that entered a pool, beside [`Self::record`]: whether the backend failed it, and how long
    /// its head took, where one came. What the client or the proxy ended is no failure of the backend.
    pub fn outcome(&self, worker: usize, color: Option<Color>, failed: bool, head_after: Option<Duration>) {
        if let Some(shard) = self.shards.get(worker) {
            shard.outcomes[color_slot(color)].get_or_init(Box::default).count(failed, head_after);
        }
    }

    /// Adds what each colour has done, by [`Color::index`]; a service with one pool is at 0.
    pub(super) fn add_to(&self, totals: &mut [Totals; 2]) {
        for shard in &self.shards {
            for (slot, outcomes) in shard.outcomes.iter().enumerate() {
                if let Some(outcomes) = outcomes.get() {
                    totals[slot.saturating_sub(1)].add(outcomes);
                }
            }
        }
    }

    fn requests(&self, color: usize) -> impl Iterator<Item = &Requests> {
        self.shards.iter().filter_map(move |shard| shard.colors[color].get().map(Box::as_ref))
    }

    fn count(&self, color: usize, method: usize, code: usize) -> u64 {
        let tables = self.requests(color).filter_map(|requests| requests.methods[method].get());
        tables.map(|codes| codes.0[code].load(Relaxed)).sum()
    }

    fn durations(&self, color: usize) -> Sums {
        let mut totals = Sums::default();
        for requests in self.requests(color) {
            totals.add(&requests.durations);
        }
        totals
    }

    fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes.load(Relaxed)).sum()
    }
}

type All = Registry<(Arc<str>, Arc<str>), Series>;

pub(super) fn render(registry: &All, text: &mut Text) {
    let all = registry.all();
    text.family("edge_http_requests_total", "Requests answered.", MetricKind::Counter);
    for ((site, service), series) in &all {
        render_counts(site, service, series, text);
    }
    let help = "From the request's head to the end of the answer.";
    text.family("edge_http_request_duration_seconds", help, MetricKind::Histogram);
    for ((site, service), series) in &all {
        for (slot, color) in COLORS.iter().enumerate() {
            let totals = series.durations(slot);
            if totals.count() > 0 {
                text.histogram(&[("site", site), ("service", service), ("color", color)], &totals);
            }
        }
    }
    text.family("edge_http_response_bytes_total", "Bytes of answers' bodies.", MetricKind::Counter);
    for of_site in all.chunk_by(|one, next| one.0.0 == next.0.0) {
        let bytes: u64 = of_site.iter().map(|(_, series)| series.bytes()).sum();
        text.sample(&[("site", &of_site[0].0.0)], bytes);
    }
}

fn render_counts(site: &str, service: &str, series: &Series, text: &mut Text) {
    for (color_slot, color) in COLORS.iter().enumerate() {
        for (method_slot, method) in METHODS.iter().enumerate() {
            for code in 0..CODE_SLOTS {
                let count = series.count(color_slot, method_slot, code);
                if count > 0 {
                    let labels = [
                        ("site", site),
                        ("service", service),
                        ("color", color),
                        ("method", method),
                        ("code", &codes::code_label(code)),
                    ];
                    text.sample(&labels, count);
                }
            }
        }
    }
}
