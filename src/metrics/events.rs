//! What happens more rarely than requests: failures, retries, switches, refusals.
//!
//! Owns counters by service and by zone. What a flood can cause (retries, refusals) is an atomic; what names a reason
//! goes through a short lock. Reasons, results and phases are `&'static str`: the code's own words; backends are the
//! config's: nothing outside can add a time series.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use crate::types::Color;

use super::histogram::{Histogram, Sums};
use super::registry::Registry;
use super::series::{COLORS, color_slot};
use super::text::{MetricKind, Text};

/// What [`super::Metrics::service`] hands out.
#[derive(Debug, Default)]
pub struct ServiceSeries {
    retries: [AtomicU64; COLORS.len()],
    failures: Mutex<BTreeMap<(usize, &'static str), u64>>,
    ejections: Mutex<BTreeMap<(usize, String), u64>>,
    switches: Mutex<BTreeMap<&'static str, u64>>,
    detours: Mutex<BTreeMap<&'static str, u64>>,
    phases: Mutex<BTreeMap<&'static str, Histogram>>,
}

impl ServiceSeries {
    /// An attempt at a backend failed; `reason` is the error table's stable word.
    pub fn failed(&self, color: Option<Color>, reason: &'static str) {
        *self.failures.lock().entry((color_slot(color), reason)).or_default() += 1;
    }

    /// A request was sent again to another backend.
    pub fn retried(&self, color: Option<Color>) {
        self.retries[color_slot(color)].fetch_add(1, Relaxed);
    }

    /// A backend, named as the config names it, was taken out because it failed requests.
    pub fn ejected(&self, color: Option<Color>, backend: String) {
        *self.ejections.lock().entry((color_slot(color), backend)).or_default() += 1;
    }

    /// A switch or rollback ended.
    pub fn switched(&self, result: &'static str) {
        *self.switches.lock().entry(result).or_default() += 1;
    }

    /// One colour stands in for the other (`failover`, `fallback`), or does so no longer (`recovered`).
    pub fn detoured(&self, result: &'static str) {
        *self.detours.lock().entry(result).or_default() += 1;
    }

    /// A phase of a switch (gate, flip, watch, drain) took this long.
    pub fn phase(&self, phase: &'static str, duration: Duration) {
        self.phases.lock().entry(phase).or_default().observe(duration);
    }
}

/// What a zone did to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitMode {
    Refused,
    Delayed,
    /// Would have been refused.
    DryRun,
}

const MODES: [&str; 3] = ["refused", "delayed", "dry_run"];

/// What [`super::Metrics::zone`] hands out.
#[derive(Debug, Default)]
pub struct ZoneSeries([AtomicU64; MODES.len()]);

impl ZoneSeries {
    pub fn limited(&self, mode: LimitMode) {
        self.0[mode as usize].fetch_add(1, Relaxed);
    }
}

pub(super) fn render_services(registry: &Registry<Arc<str>, ServiceSeries>, text: &mut Text) {
    let all = registry.all();
    text.family(
        "edge_upstream_failures_total",
        "Failed attempts at a backend, and waits for one.",
        MetricKind::Counter,
    );
    for (service, series) in &all {
        for (&(color, reason), &count) in &*series.failures.lock() {
            let color = COLORS[color];
            text.sample(&[("service", service), ("color", color), ("reason", reason)], count);
        }
    }
    text.family("edge_upstream_retries_total", "Requests sent again.", MetricKind::Counter);
    for (service, series) in &all {
        for (color, count) in COLORS.iter().zip(&series.retries) {
            text.sample(&[("service", service), ("color", color)], count.load(Relaxed));
        }
    }
    text.family(
        "edge_backend_ejections_total",
        "Backends taken out because they failed requests.",
        MetricKind::Counter,
    );
    for (service, series) in &all {
        for ((color, backend), &count) in &*series.ejections.lock() {
            let color = COLORS[*color];
            text.sample(&[("service", service), ("color", color), ("backend", backend)], count);
        }
    }
    text.family("edge_switches_total", "Switches and rollbacks.", MetricKind::Counter);
    for (service, series) in &all {
        for (result, &count) in &*series.switches.lock() {
            text.sample(&[("service", service), ("result", result)], count);
        }
    }
    text.family("edge_failovers_total", "One colour stands in for the other, or no longer.", MetricKind::Counter);
    for (service, series) in &all {
        for (result, &count) in &*series.detours.lock() {
            text.sample(&[("service", service), ("result", result)], count);
        }
    }
    text.family("edge_switch_duration_seconds", "Phases of switches.", MetricKind::Histogram);
    for (service, series) in &all {
        for (phase, histogram) in &*series.phases.lock() {
            let mut totals = Sums::default();
            totals.add(histogram);
            text.histogram(&[("service", service), ("phase", phase)], &totals);
        }
    }
}

pub(super) fn render_zones(registry: &Registry<Arc<str>, ZoneSeries>, text: &mut Text) {
    text.family("edge_rate_limited_total", "Requests over their rate.", MetricKind::Counter);
    for (zone, series) in registry.all() {
        for (mode, count) in MODES.iter().zip(&series.0) {
            text.sample(&[("zone", &zone), ("mode", mode)], count.load(Relaxed));
        }
    }
}
